"""Which file is the log of a component, or of a process that components share, and what is to be known about it."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from rawdaq.control import invocation
from rawdaq.control.names import Target
from rawdaq.errors import ComponentError
from rawdaq.process.runs import Running, log_hint, process_key
from rawdaq.process.runtime_files import RuntimeFiles

_GROUP = re.compile(r"group\.[0-9]+")


class LogPlace(NamedTuple):
    """Where log lines are.

    Attributes:
        file: the log file; it may be missing while a component runs that will make it again.
        note: what a reader of the file must know; None: it is the log that the process writes to.
    """

    file: Path
    note: str | None = None


def find(name: str, runtime: RuntimeFiles) -> LogPlace:
    """Return where the log of *name* is, a component or ``group.N``.

    Raises:
        NoSuchComponent: there is no such component and no log of such a process.
        ComponentError: it has no log.
    """
    if _GROUP.fullmatch(name) and (place := _of_group(name, runtime)):
        return place
    target = invocation.find_one(name, runtime)
    running = target.running if target.state == "running" else None
    if running is None:
        return _of_earlier_run(target, runtime)
    if running.log_file is None:
        return _without_file(target, running, runtime)
    return _of_running(running.log_file, running)


def _of_group(name: str, runtime: RuntimeFiles) -> LogPlace | None:
    """Return the log of a shared process; it stays when the process has ended. None: there is none."""
    running = [process for key in runtime.keys() if (process := runtime.running(key)) and process.is_alive]
    of = {process.configuration: process for process in running if process.group == name}
    configuration = invocation.configuration()
    if not invocation.is_config_named() and configuration not in of and len(of) == 1:
        (configuration,) = of  # type: ignore[assignment]  # None: a program started it without one
    if (process := of.get(configuration)) and process.process_log:
        return _of_running(process.process_log, process)
    file = runtime.log_file(process_key(name, configuration))
    return LogPlace(file) if file.exists() else None


def _of_running(file: Path, running: Running) -> LogPlace:
    if not file.exists():
        return LogPlace(file, f"{file} was moved or removed; the next line makes it again")
    if not file.is_file():
        raise ComponentError(f"{file} is not a file; move it away")
    if running.process_log == file and (other := _other_output(file, running.pid)):
        return LogPlace(file, f"the process {running.pid} writes to {other}, no longer to {file}")
    return LogPlace(file)


def _other_output(file: Path, pid: int) -> str | None:
    """Return where the output of a process goes if that is not *file*; None too where the system does not say."""
    output = Path(f"/proc/{pid}/fd/1")
    try:
        return None if output.samefile(file) else os.readlink(output)
    except OSError:
        return None


def _without_file(target: Target, running: Running, runtime: RuntimeFiles) -> LogPlace:
    text = f"{target.title} (pid {running.pid}) does not log to a file; see {log_hint(None)}"
    file = runtime.log_file(target.key)
    if not file.exists():
        raise ComponentError(text)
    return LogPlace(file, f"{text}. {file} is of an earlier run")


def _of_earlier_run(target: Target, runtime: RuntimeFiles) -> LogPlace:
    known = (target.running and target.running.log_file) or (target.ended and target.ended.log_file)
    file = known or runtime.log_file(target.key)
    if not file.exists():
        raise ComponentError(f"{target.title} has no log ({file}); it was never started in the background")
    return LogPlace(file)
