"""Components as processes: start one and know that it works, stop one and know that it is gone."""

import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rawdaq.config.settings import ComponentSettings
from rawdaq.control import client, logs
from rawdaq.control.processes import children as processes
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.runtime_files import AlreadyRunning, Running, RuntimeFiles

START_TIMEOUT_S = 30.0
SHOWN_LINES = 10

_STOP_MARGIN_S = 5.0  # beyond its own deadlines, a component closes sockets and ends
_KILL_TIMEOUT_S = 5.0
_GONE_TIMEOUT_S = 2.0  # between giving its pid file back and having ended
_PID_TIMEOUT_S = 5.0  # between locking its pid file and having written it
_ASK_AGAIN_S = 0.1
_AT_ONCE = 16

_LOG_ELSEWHERE = "the log of what started it (of rawdaq-plugin that is seedlink's)"

_REASON = re.compile(r"\S+ (?:ERROR|CRITICAL) \S+ (.*)")

T = TypeVar("T")
R = TypeVar("R")


class StartFailed(ComponentError):
    """A component did not come up.

    Args:
        key: its ``NET.STA.NAME``.
        reason: why, in one line.
        lines: what else its log says last, since this start.
    """

    def __init__(self, key: str, reason: str, lines: tuple[str, ...]) -> None:
        super().__init__(key, reason, lines)
        self.key, self.reason, self.lines = key, reason, lines

    def __str__(self) -> str:
        """Return the reason, then the lines."""
        lines = "".join(f"\n    {line}" for line in self.lines)
        return f"{self.key} did not start: {self.reason}" + (f"\n  its last log lines:{lines}" if lines else "")


class Killed(ComponentError):
    """A component did not stop in time and was killed.

    Args:
        key: its ``NET.STA.NAME``.
        timeout_s: how long it was given.
    """

    def __init__(self, key: str, timeout_s: float) -> None:
        super().__init__(key, timeout_s)
        self.key, self.timeout_s = key, timeout_s

    def __str__(self) -> str:
        """Return what happened and what it may mean."""
        return (
            f"{self.key} did not stop within {self.timeout_s:g} s and was killed: what waited in its queues is lost; "
            "Daemon.stop_timeout_s gives it longer"
        )


class NotStopped(ComponentError):
    """A component did not stop in time, and its process is needed by others.

    Args:
        key: its ``NET.STA.NAME``.
        timeout_s: how long it was given.
        group: what the process is called.
    """

    def __init__(self, key: str, timeout_s: float, group: str) -> None:
        super().__init__(key, timeout_s, group)
        self.key, self.timeout_s, self.group = key, timeout_s, group

    def __str__(self) -> str:
        """Return what happened and what can be done."""
        return (
            f"{self.key} did not stop within {self.timeout_s:g} s and was not killed, others share its process; "
            f"`control-rawdaq stop {self.group}` stops them all"
        )


class EndedWithError(ComponentError):
    """A component has stopped as it was told to, but not all went well.

    Args:
        key: its ``NET.STA.NAME``.
        reason: what went wrong.
        log_file: where more of it may be; None: it has no log of its own.
    """

    def __init__(self, key: str, reason: str, log_file: Path | None) -> None:
        super().__init__(key, reason, log_file)
        self.key, self.reason, self.log_file = key, reason, log_file

    def __str__(self) -> str:
        """Return the reason and where to look."""
        return f"{self.key} has stopped, but with an error: {self.reason}; see {self.log_file or _LOG_ELSEWHERE}"


def start(component: ComponentSettings, runtime: RuntimeFiles, timeout_s: float = START_TIMEOUT_S) -> int:
    """Start *component* in the background; return its pid when it answers commands.

    Raises:
        AlreadyRunning: it runs.
        StartFailed: it ended, or did not answer within *timeout_s* and was killed.
        ComponentError: no process can be started.
    """
    key = component.key
    runtime.prepare()
    running = runtime.running(key)
    if running and running.is_alive:
        raise AlreadyRunning(key, running.pid)
    log_file = runtime.log_file(key)
    begin = logs.size_bytes(log_file)
    pid = processes.spawn("rawdaq.control.processes.component", [str(component.file), key], log_file)
    end_s = time.monotonic() + timeout_s
    try:
        trouble = wait_for_answer(pid, key, runtime, lambda: processes.end_of(pid, end_s, timeout_s))
    except BaseException:  # such as Ctrl-C: what nobody waits for shall not stay
        os.kill(pid, signal.SIGTERM)
        raise
    if trouble:
        raise failed_start(pid, key, runtime, trouble, begin)
    return pid


def wait_for_answer(pid: int, key: str, runtime: RuntimeFiles, end_of: Callable[[], str | None]) -> str | None:
    """Wait until the process runs *key* and answers; return None then, else what *end_of* says of its end."""
    while True:
        with client.call(runtime.command_address(key), "ping") as wait:
            while wait(processes.POLL_S) is None:
                if trouble := end_of():
                    return trouble
                if processes.interrupted.is_set():
                    raise KeyboardInterrupt
        if processes.holds(pid, runtime.running(key)):
            return None
        # Another process answered, started at the same time: ours will notice that and end, or get its turn.
        if trouble := end_of():
            return trouble
        time.sleep(_ASK_AGAIN_S)


def failed_start(pid: int, key: str, runtime: RuntimeFiles, trouble: str, begin: int) -> ComponentError:
    """Return the error that tells why the process *pid* does not run *key*.

    Args:
        pid: the process.
        key: the component.
        runtime: where its files are.
        trouble: what is known of its end when it did not tell.
        begin: where in its log file this start begins.
    """
    running = runtime.running(key)
    if running and running.is_alive and running.pid != pid:  # somebody else started it meanwhile
        return AlreadyRunning(key, running.pid)
    lines = logs.last_lines(runtime.log_file(key), SHOWN_LINES, begin)
    told = [match[1] for line in lines if (match := _REASON.fullmatch(line))]
    reason = runtime.error_at_end(key, pid) or (told[-1] if told else trouble)
    return StartFailed(key, reason, tuple(line for line in lines if not line.endswith(reason)))


def stop(key: str, runtime: RuntimeFiles) -> int:
    """Stop a component in order and return the pid that it had.

    Raises:
        Killed: it did not stop in time; now it is gone.
        NotStopped: it did not stop in time, and others share its process, so it is still there.
        EndedWithError: it is gone, but what waited was not delivered, or something else went wrong.
        ComponentError: it does not run (what a dead or failed one left is removed), or is not ours to stop.
    """
    running = _known(key, runtime)
    if running is None:
        raise ComponentError(f"{key} is not running{_failure(key, runtime)}")
    if not running.is_alive:
        runtime.forget(key)
        who = f"its process {running.pid}" if running.pid > 0 else "its process"
        raise ComponentError(
            f"{key} is not running: {who} ended without tidying up; "
            "its pid file is removed now, its log may say why: "
            f"{_log_file(running.group or key, runtime) or _LOG_ELSEWHERE}"
        )
    result = _stop_member(running, key, runtime) if running.group else stop_process(running, [key], runtime)[key]
    if isinstance(result, RawdaqError):
        raise result
    return result


def _given_s(running: Running) -> float:
    """Return how long a stop may take: its `stop_timeout_s` to deliver, and as long again to close files."""
    return 2 * running.stop_timeout_s + _STOP_MARGIN_S


def _failure(key: str, runtime: RuntimeFiles) -> str:
    """Return, once, why a component that nobody stopped does not run, as the end of a sentence."""
    ended = runtime.ended(key)
    if ended is None or runtime.error_at_end(key, ended.pid) is None:
        return ""
    return f": {ended}; see {_log_file(key, runtime) or _LOG_ELSEWHERE}"


def _stop_member(running: Running, key: str, runtime: RuntimeFiles) -> int | RawdaqError:
    """Stop one component of a process that others need."""
    timeout_s = _given_s(running)
    with client.call(runtime.command_address(key), "stop"):  # which stays on its way until the component listens
        if not processes.within(timeout_s, lambda: not processes.holds(running.pid, runtime.running(key))):
            return NotStopped(key, timeout_s, running.group or "")
    return _error_at_end(running.pid, key, runtime) or running.pid


def stop_process(running: Running, keys: Sequence[str], runtime: RuntimeFiles) -> dict[str, int | RawdaqError]:
    """Stop the process that runs *keys* and nothing else; return its pid, or the error that *keys* ended with.

    Args:
        running: what their pid files say; of several the longest ``stop_timeout_s``.
        keys: all that it runs.
        runtime: where their files are.

    Raises:
        ComponentError: it is not ours to stop, or cannot even be killed.
    """
    timeout_s = _given_s(running)
    late = _end(running, signal.SIGTERM, keys, runtime, timeout_s)
    if late and _end(running, signal.SIGKILL, late, runtime, _KILL_TIMEOUT_S):
        raise ComponentError(
            f"{late[0]} (pid {running.pid}) cannot even be killed: it hangs in the system, see its disks"
        )
    for key in [*late, running.group] if late and running.group else late:
        runtime.forget(key)
    killed = {key: Killed(key, timeout_s) for key in late}
    return {key: killed.get(key) or _error_at_end(running.pid, key, runtime) or running.pid for key in keys}


def _known(key: str, runtime: RuntimeFiles) -> Running | None:
    """Return what the pid file of *key* says, of one that lives not before it says which process that is.

    Raises:
        ComponentError: it does not say so in time.
    """
    end_s = time.monotonic() + _PID_TIMEOUT_S
    # One that has just begun locks its file before it writes it. To the system 0 would mean everybody, us too.
    while (running := runtime.running(key)) and running.is_alive and running.pid <= 0:
        if time.monotonic() > end_s:
            raise ComponentError(
                f"{key} is running, but {runtime.pid_file(key)} does not say as which process; "
                f"stop it with `control-rawdaq send {key} stop`, or find it with `fuser {runtime.pid_file(key)}`"
            )
        time.sleep(processes.POLL_S)
    return running


def _error_at_end(pid: int, key: str, runtime: RuntimeFiles) -> EndedWithError | None:
    """Return what went wrong with *key*, which the process *pid* was told to stop and runs no more."""
    reason, logged_by = runtime.error_at_end(key, pid), key
    left = runtime.running(key)
    if left and left.pid == pid and not left.is_alive:
        runtime.forget(key)
        reason = "it ended before it was done: what waited in its queues may be lost"
        logged_by = left.group or key
    return EndedWithError(key, reason, _log_file(logged_by, runtime)) if reason else None


def _log_file(key: str, runtime: RuntimeFiles) -> Path | None:
    """Return the log file of *key*; None for what was not started here: a plugin logs to the server that runs it."""
    file = runtime.log_file(key)
    return file if file.exists() else None


def _end(
    running: Running, number: signal.Signals, keys: Sequence[str], runtime: RuntimeFiles, timeout_s: float
) -> list[str]:
    """Send a signal; return which of *keys* the process still runs when *timeout_s* has passed."""
    try:
        os.kill(running.pid, number)
    except ProcessLookupError:
        pass  # it went meanwhile
    except PermissionError as error:
        raise ComponentError(f"{keys[0]} (pid {running.pid}) belongs to another user, who can stop it") from error
    late = list(keys)

    def are_gone() -> bool:
        while late and not processes.holds(running.pid, runtime.running(late[-1])):
            late.pop()  # and is not asked again
        return not late

    if processes.within(timeout_s, are_gone):
        processes.within(_GONE_TIMEOUT_S, lambda: processes.is_gone(running.pid))
    return [key for key in late if processes.holds(running.pid, runtime.running(key))]


def each(action: Callable[[T], R], items: Sequence[T]) -> list[R | RawdaqError]:
    """Return what *action* makes of each item, or the error that it raised; they run side by side.

    Ctrl-C, which reaches the main thread only, is handed on to those that wait for a process.
    """
    processes.interrupted.clear()

    def run(item: T) -> R | RawdaqError:
        try:
            return action(item)
        except RawdaqError as error:
            return error

    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(items)))) as pool:
        try:
            jobs = [pool.submit(run, item) for item in items]
            return [job.result() for job in jobs]
        except KeyboardInterrupt:
            processes.interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise
