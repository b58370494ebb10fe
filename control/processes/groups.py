"""Which components share a process, and whether one process may open the files that they need."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from rawdaq.config import ComponentSettings, registry
from rawdaq.config.hooks import publisher_hooks, receiver_hooks
from rawdaq.errors import ComponentError
from rawdaq.open_files import REMEDY, highest_open_files
from rawdaq.process.runs import Running
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.stream_id import StreamId

_PROCESS_FILES = 40  # the interpreter's, the event loop's and ZMQ's own
_COMPONENT_FILES = 5  # pid file, two of the command socket and one of its client, the device
_LEAST_PROCESS_FILES = 24
_LEAST_COMPONENT_FILES = 4
_PUBLISHER_FILES = 2  # a socket and its client; of an archive a file for each stream


def spread(components: Sequence[ComponentSettings], count: int) -> list[list[ComponentSettings]]:
    """Return *components* as about *count* groups of similar size, in their order; none is empty.

    Components share a process only with those of the same ``Daemon.core_id``. Every core gets a process, so there can
    be more than *count*; the rest of *count* goes where most components would share one.
    """
    by_core: dict[int | None, list[ComponentSettings]] = {}
    for component in components:
        by_core.setdefault(component.daemon.core_id, []).append(component)
    counts = dict.fromkeys(by_core, 1)
    for _ in range(min(count, len(components)) - len(by_core)):
        counts[max(by_core, key=lambda core: len(by_core[core]) / counts[core])] += 1
    return [group for core, members in by_core.items() for group in _parts(members, counts[core])]


def _parts(members: list[ComponentSettings], count: int) -> list[list[ComponentSettings]]:
    """Return *members* in *count* pieces; those of one station stay together where possible."""
    edges = [len(members) * index // count for index in range(count + 1)]
    return [members[begin:end] for begin, end in pairwise(edges)]


def running_groups(
    components: Sequence[ComponentSettings], runtime: RuntimeFiles
) -> list[tuple[Path | None, list[ComponentSettings]]]:
    """Return *components* in the groups in which they share processes now, each with the configuration of its process.

    Where only some components of a process are among them, each of these gets a process of its own.
    """
    alone = {component.key: component for component in components}
    together = [
        (process.configuration, [alone.pop(key) for key in keys])
        for process, keys in whole_processes(list(alone), runtime)
    ]
    # By now the station files may bind them to different cores.
    parts = [(configuration, part) for configuration, group in together for part in spread(group, 1)]
    return parts + [(None, [component]) for component in alone.values()]


def whole_processes(keys: Sequence[str], runtime: RuntimeFiles) -> list[tuple[Running, list[str]]]:
    """Return the shared processes that run nothing but *keys*: the longest stop timeout of each, and its components."""
    members_of: dict[int, dict[str, Running]] = {}
    for key in runtime.keys():
        running = runtime.running(key)
        if running and running.is_alive and running.group:
            members_of.setdefault(running.pid, {})[key] = running
    whole = [members for members in members_of.values() if members.keys() <= set(keys)]
    return [(max(members.values(), key=lambda running: running.stop_timeout_s), list(members)) for members in whole]


def shortage(group: Sequence[ComponentSettings]) -> str | None:
    """Return why one process may not open enough files for *group*, and the remedy; None when it may."""
    highest = highest_open_files()
    needed = _PROCESS_FILES + sum(map(_count_files, group))
    if highest is None or needed <= highest:
        return None
    what = group[0].key if len(group) == 1 else f"{len(group)} components in one process"
    return f"{what} may need {needed} open files, and a process may have {highest} here: {REMEDY}"


def least_files(components: int) -> int:
    """Return how many open files a process needs in any case to run so many components."""
    return _LEAST_PROCESS_FILES + _LEAST_COMPONENT_FILES * components


def _count_files(component: ComponentSettings) -> int:
    files = _COMPONENT_FILES
    with suppress(ComponentError):  # a class that cannot be imported: its component reports that when it starts
        streams = streams_of(component)
        for publisher in component.publishers:
            hooks = publisher_hooks(registry.installed_class("publisher", publisher.class_name))
            is_archive = hooks.exclusive_by_stream(publisher.options) is not None
            files += sum(stream.matches(publisher.streams) for stream in streams) if is_archive else _PUBLISHER_FILES
    return files


def streams_of(component: ComponentSettings) -> list[StreamId]:
    """Return the streams of *component* with the decimated ones; empty when they are not known before they come.

    Raises:
        ComponentError: the class of its receiver cannot be imported.
    """
    hooks = receiver_hooks(registry.installed_class("receiver", component.receiver.class_name))
    sources = hooks.streams(component.station, component.receiver.options)
    return sources + [name for entry in component.decimation.values() for name in entry.names(sources).values()]
