"""How many files a process of many components opens, and how many it may."""

import resource
from collections.abc import Sequence
from contextlib import suppress

from rawdaq.config import registry
from rawdaq.config.hooks import publisher_hooks, receiver_hooks
from rawdaq.config.settings import ComponentSettings
from rawdaq.errors import ComponentError
from rawdaq.stream_id import StreamId

_PROCESS_FILES = 40  # the interpreter's, the event loop's and ZMQ's own
_COMPONENT_FILES = 5  # pid file, two of the command socket and one of who asks there, the device
_PUBLISHER_FILES = 2  # a socket and who listens to it; of an archive a file for each stream


def raise_limit() -> None:
    """Let this process open as many files as the system ever lets it."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS calls it infinite and then does not mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))


def shortage(group: Sequence[ComponentSettings]) -> str | None:
    """Return why one process is not enough for the files of *group*, and what to do; None when it is."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _PROCESS_FILES + sum(map(_files, group))
    if highest == resource.RLIM_INFINITY or wanted <= highest:
        return None
    return (
        f"{len(group)} components in one process may need {wanted} open files, and it may have {highest}: "
        "give --processes a larger number, or raise the limit (ulimit -Hn, LimitNOFILE= in systemd)"
    )


def _files(component: ComponentSettings) -> int:
    files = _COMPONENT_FILES
    with suppress(ComponentError):  # a class that cannot be imported: its component says so when it starts
        streams = _streams(component)
        for publisher in component.publishers:
            hooks = publisher_hooks(registry.publisher_class(publisher.class_name))
            is_archive = hooks.exclusive_by_stream(publisher.options) is not None
            files += sum(stream.matches(publisher.streams) for stream in streams) if is_archive else _PUBLISHER_FILES
    return files


def _streams(component: ComponentSettings) -> list[StreamId]:
    """Return the streams of *component* with the decimated ones; empty when they are not known before they come."""
    hooks = receiver_hooks(registry.receiver_class(component.receiver.class_name))
    sources = hooks.streams(component.station, component.receiver.options)
    return sources + [name for entry in component.decimation.values() for name in entry.names(sources).values()]
