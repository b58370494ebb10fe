"""Starts components in the background, one to a process or many together, and knows whether each works."""

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import IO

from rawdaq import open_files
from rawdaq.config import ComponentSettings
from rawdaq.control import client, logs
from rawdaq.control.processes import children
from rawdaq.control.processes.errors import StartFailed
from rawdaq.control.processes.groups import least_files
from rawdaq.control.processes.jobs import Job, Results, run_all
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.runs import AlreadyRunning, process_key
from rawdaq.process.runtime_files import RuntimeFiles

START_TIMEOUT_S = 30.0
SHOWN_LINES = 10

_MAIN = "rawdaq.control.processes.main"
_BUILD_TIMEOUT_S = 0.1  # of one component, on the slowest machine
_ANSWER_TIMEOUT_S = 0.2  # of one that had all the time in which another did not answer
_GONE_TIMEOUT_S = 2.0  # between the end of its last component and the end of a process
_ASK_AGAIN_S = 0.1

_REASON = re.compile(r"\S+ (?:ERROR|CRITICAL) \S+ (.*)")


def start(
    groups: Sequence[Sequence[ComponentSettings]],
    runtime: RuntimeFiles,
    configuration: Path | None = None,
    *,
    is_strict: bool = False,
) -> Results:
    """Start components in the background.

    Args:
        groups: the components; those of each group share a process.
        runtime: where their files are.
        configuration: the station file, or the folder of them, that processes which components share belong to.
        is_strict: whether a component does not start of which a publisher cannot open.

    Returns:
        The pid of each component that answers, or why it does not.
    """
    with runtime.one_start():  # so that no other start takes a name that is free now
        names = _free_names(runtime, configuration)
        named = [(group[0].key if len(group) == 1 else next(names), group) for group in groups]
        starts = [_Start(name, group, runtime, configuration, is_strict) for name, group in named]
        return run_all([Job(each.keys, each.run) for each in starts])


def _free_names(runtime: RuntimeFiles, configuration: Path | None) -> Generator[str]:
    """Yield names for shared processes of *configuration*; no component has such a name, because of the point."""
    for number in count(1):
        running = runtime.running(process_key(f"group.{number}", configuration))
        if running is None or not running.is_alive:
            yield f"group.{number}"


class _Start:
    """The start of one process, and of the components that it is to run.

    Args:
        name: the key of a component that has the process to itself, or the name of a shared process.
        group: the components.
        runtime: where their files are.
        configuration: what a shared process belongs to.
        is_strict: whether a component does not start of which a publisher cannot open.
    """

    def __init__(
        self,
        name: str,
        group: Sequence[ComponentSettings],
        runtime: RuntimeFiles,
        configuration: Path | None,
        is_strict: bool,
    ) -> None:
        self.keys = [component.key for component in group]
        self._name = name
        self._group = group
        self._runtime = runtime
        self._configuration = configuration
        self._is_strict = is_strict
        self._is_alone = self.keys == [name]
        self._log_file = runtime.log_file(name if self._is_alone else process_key(name, configuration))
        # What the logs hold by now is about earlier runs.
        self._log_begin = logs.size_bytes(self._log_file)
        self._begins = {key: logs.size_bytes(runtime.log_file(key)) for key in self.keys}
        # A process reads and builds its components one after the other, then opens them side by side.
        self._timeout_s = START_TIMEOUT_S if self._is_alone else 2 * START_TIMEOUT_S + _BUILD_TIMEOUT_S * len(group)
        self._end_s = 0.0
        self._pid = 0
        self._has_answered = False
        self._crash: str | None = None

    def run(self) -> Results:
        """Start the process; return when each component answers or has failed.

        Raises:
            AlreadyRunning: the only component runs.
            ComponentError: no process can be started, or it could not open enough files.
        """
        if self._is_alone and (running := self._runtime.running(self._name)) and running.is_alive:
            raise AlreadyRunning(self._name, running.pid)
        open_files.raise_open_files(least_files(len(self.keys)))
        with self._order() as order:
            self._pid = children.spawn(_MAIN, [self._name], self._log_file, order.fileno())
        self._end_s = time.monotonic() + self._timeout_s
        try:
            results = {key: self._wait(key) for key in self.keys}
            results = {key: self._check_again(key, result) for key, result in results.items()}
        except BaseException:  # such as Ctrl-C: the process must not stay
            os.kill(self._pid, signal.SIGTERM)
            raise
        if not self._has_answered:
            self._end_process()
        return results

    def _order(self) -> IO[bytes]:
        """Return a file that says what the process is to run; writing into a pipe could wait for the reader."""
        members = [(str(component.file), component.key) for component in self._group]
        order = {
            "core_id": self._group[0].daemon.core_id,
            "configuration": str(self._configuration) if self._configuration else None,
            "is_strict": self._is_strict,
            "members": members,
        }
        try:
            with ExitStack() as stack:
                file = stack.enter_context(tempfile.TemporaryFile())
                file.write(json.dumps(order).encode())
                file.seek(0)
                stack.pop_all()
                return file
        except OSError as error:
            raise ComponentError(
                f"{tempfile.gettempdir()} cannot be written: {error.strerror}; make room, or set TMPDIR"
            ) from error

    def _wait(self, key: str) -> int | RawdaqError:
        """Return the pid when *key* answers, or why it does not."""
        # A component that hangs must not use up the time of those behind it.
        end_s = max(self._end_s, time.monotonic() + (_ANSWER_TIMEOUT_S if self._has_answered else 0))
        trouble = wait_for_answer(self._pid, key, self._runtime, lambda: self._find_trouble(key, end_s))
        if trouble is None:
            self._has_answered = True
            return self._pid
        if self._is_alone:
            self._end_process()  # now: its log is complete then
        elif trouble == self._crash:  # the last lines of the component's own log are not the reason
            return self._crash_of(key)
        return self._failure_of(key, trouble)

    def _find_trouble(self, key: str, end_s: float) -> str | None:
        """Return why *key* will not answer, None while it still may."""
        if self._runtime.has_failed(key, self._pid):
            return "it ended with an error"
        running = None if self._is_alone else self._runtime.running(key)  # alone, the process ends when it sees that
        if running and running.is_alive and running.pid not in (0, self._pid):
            return f"it runs already (pid {running.pid})"
        if self._has_crashed() or time.monotonic() <= end_s:
            return self._crash
        if self._is_alone:
            return f"it did not answer within {self._timeout_s:g} s and {children.kill(self._pid)}"
        hint = f"`control-rawdaq list` shows whether its process {self._name} still runs"
        return f"it did not answer within {self._timeout_s:g} s; {hint}"

    def _failure_of(self, key: str, trouble: str) -> ComponentError:
        """Return the error that says why the process does not run *key*; *trouble* is what was seen from outside."""
        running = self._runtime.running(key)
        if running and running.is_alive and running.pid != self._pid:  # another start was quicker
            return AlreadyRunning(key, running.pid)
        lines = logs.last_lines(self._runtime.log_file(key), SHOWN_LINES, self._begins[key])
        logged = [match[1] for line in lines if (match := _REASON.fullmatch(line))]
        reason = self._runtime.take_error(key, self._pid) or (logged[-1] if logged else trouble)
        return StartFailed(key, reason, tuple(line for line in lines if not line.endswith(reason)))

    def _check_again(self, key: str, result: int | RawdaqError) -> int | RawdaqError:
        """Return *result*, or why the process of *key* has gone since *key* answered: a later component ended it."""
        running = self._runtime.running(key)
        if isinstance(result, RawdaqError) or running is None or running.is_alive:
            return result
        children.within(_GONE_TIMEOUT_S, self._has_crashed)
        return self._crash_of(key)

    def _crash_of(self, key: str) -> StartFailed:
        reason = self._runtime.take_error(key, self._pid) or self._crash
        return StartFailed(key, reason or f"{self._name} ended; see {self._log_file}")

    def _has_crashed(self) -> bool:
        """Whether the process has ended; `_crash` says how."""
        if self._crash is None and (status := children.exit_status(self._pid)) is not None:
            self._crash = f"it ended with exit status {status}"
            if not self._is_alone:
                last = "".join(logs.last_lines(self._log_file, 1, self._log_begin)) or "nothing"
                self._crash = f"{self._name} ended with exit status {status}; the last line of {self._log_file}: {last}"
        return self._crash is not None

    def _end_process(self) -> None:
        """Make sure that a process without a component that answers ends."""
        if not children.within(_GONE_TIMEOUT_S, lambda: children.is_gone(self._pid)):
            children.kill(self._pid)


def wait_for_answer(pid: int, key: str, runtime: RuntimeFiles, find_trouble: Callable[[], str | None]) -> str | None:
    """Wait until the process *pid* runs *key* and answers; return None then, else what *find_trouble* returns."""
    while True:
        with client.call(runtime.command_address(key), "ping") as wait:
            while wait(children.POLL_S) is None:
                if trouble := find_trouble():
                    return trouble
                if children.interrupted.is_set():
                    raise KeyboardInterrupt
        if children.holds(pid, runtime.running(key)):
            return None
        # Another process answered, which was started at the same time: ours will see that and end, or get its turn.
        if trouble := find_trouble():
            return trouble
        time.sleep(_ASK_AGAIN_S)
