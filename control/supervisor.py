"""Components as processes: start one and know that it works, stop one and know that it is gone."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rawdaq.control import client, logs
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.runtime import AlreadyRunning, Running, RuntimeFiles
from rawdaq.settings import ComponentSettings

START_TIMEOUT_S = 30.0
SHOWN_LINES = 10

_STOP_MARGIN_S = 5.0  # beyond its own deadline, a component closes files and sockets
_KILL_TIMEOUT_S = 5.0
_GONE_TIMEOUT_S = 2.0  # between giving its pid file back and having ended
_PID_TIMEOUT_S = 5.0  # between locking its pid file and having written it
_POLL_S = 0.02
_ASK_AGAIN_S = 0.1
_AT_ONCE = 16

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


class EndedWithError(ComponentError):
    """A component has stopped as it was told to, but not all went well.

    Args:
        key: its ``NET.STA.NAME``.
        reason: what went wrong.
        log_file: where more of it may be.
    """

    def __init__(self, key: str, reason: str, log_file: Path) -> None:
        super().__init__(key, reason, log_file)
        self.key, self.reason, self.log_file = key, reason, log_file

    def __str__(self) -> str:
        """Return the reason and where to look."""
        return f"{self.key} has stopped, but with an error: {self.reason}; see {self.log_file}"


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
    pid = _spawn(component, log_file)
    try:
        trouble = _trouble(pid, key, runtime, timeout_s)
    except BaseException:  # such as Ctrl-C: what nobody waits for shall not stay
        os.kill(pid, signal.SIGTERM)
        raise
    if trouble:
        running = runtime.running(key)
        if running and running.is_alive and running.pid != pid:  # somebody else started it meanwhile
            raise AlreadyRunning(key, running.pid)
        lines = logs.last_lines(log_file, SHOWN_LINES, begin)
        told = [match[1] for line in lines if (match := _REASON.fullmatch(line))]
        reason = runtime.error_at_end(key, pid) or (told[-1] if told else trouble)
        raise StartFailed(key, reason, tuple(line for line in lines if not line.endswith(reason)))
    return pid


def _spawn(component: ComponentSettings, log_file: Path) -> int:
    """Return the pid of a process of its own session, without a terminal, whose output is its log file."""
    command = [sys.executable, "-P", "-m", "rawdaq.control.component", str(component.file), component.key]
    try:
        descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ComponentError(
            f"{log_file} cannot be written: {error.strerror}; set RAWDAQ_LOG_DIR to another folder"
        ) from error
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, descriptor, 1),
        (os.POSIX_SPAWN_DUP2, descriptor, 2),
    ]
    try:
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)
    finally:
        os.close(descriptor)


def _trouble(pid: int, key: str, runtime: RuntimeFiles, timeout_s: float) -> str | None:
    """Wait until the process runs *key* and answers; return None then, else why it does not (and it is gone)."""
    end_s = time.monotonic() + timeout_s
    while True:
        with client.call(runtime.command_address(key), "ping") as wait:
            while wait(_POLL_S) is None:
                if trouble := _end_of(pid, end_s, timeout_s):
                    return trouble
        if _holds(pid, runtime.running(key)):
            return None
        # Another process answered, started at the same time: ours will notice that and end, or get its turn.
        if trouble := _end_of(pid, end_s, timeout_s):
            return trouble
        time.sleep(_ASK_AGAIN_S)


def _end_of(pid: int, end_s: float, timeout_s: float) -> str | None:
    """Return how our child *pid* has ended, None while it may still come up; at *end_s* it is killed."""
    status = _exit_status(pid)
    if status is not None:
        return f"it ended with exit status {status}"
    if time.monotonic() <= end_s:
        return None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"it did not answer within {timeout_s:g} s and was killed"


def _exit_status(pid: int) -> int | None:
    """Return the exit status of our child *pid*, None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def stop(key: str, runtime: RuntimeFiles) -> int:
    """Stop a component in order and return the pid that it had.

    Raises:
        Killed: it did not stop in time; now it is gone.
        EndedWithError: it is gone, but what waited was not delivered, or something else went wrong.
        ComponentError: it does not run (a dead one's files are removed), or is not ours to stop.
    """
    running = _known(key, runtime)
    if running is None:
        raise ComponentError(f"{key} is not running")
    if not running.is_alive:
        runtime.forget(key)
        who = f"its process {running.pid}" if running.pid > 0 else "its process"
        raise ComponentError(
            f"{key} is not running: {who} ended without tidying up; "
            f"its pid file is removed now, its log may say why: {runtime.log_file(key)}"
        )
    timeout_s = running.stop_timeout_s + _STOP_MARGIN_S
    if _end(running, signal.SIGTERM, key, runtime, timeout_s):
        _raise_error_at_end(running.pid, key, runtime)
        return running.pid
    if not _end(running, signal.SIGKILL, key, runtime, _KILL_TIMEOUT_S):
        raise ComponentError(f"{key} (pid {running.pid}) cannot even be killed: it hangs in the system, see its disks")
    runtime.forget(key)
    raise Killed(key, timeout_s)


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
        time.sleep(_POLL_S)
    return running


def _raise_error_at_end(pid: int, key: str, runtime: RuntimeFiles) -> None:
    """Raise what went wrong with the process *pid*, which was told to stop and has ended."""
    reason = runtime.error_at_end(key, pid)
    left = runtime.running(key)
    if left and left.pid == pid and not left.is_alive:
        runtime.forget(key)
        reason = "it ended before it was done: what waited in its queues may be lost"
    if reason:
        raise EndedWithError(key, reason, runtime.log_file(key))


def _end(running: Running, number: signal.Signals, key: str, runtime: RuntimeFiles, timeout_s: float) -> bool:
    """Send a signal and return whether the component has gone before *timeout_s* passed."""
    try:
        os.kill(running.pid, number)
    except ProcessLookupError:
        pass  # it went meanwhile
    except PermissionError as error:
        raise ComponentError(f"{key} (pid {running.pid}) belongs to another user, who can stop it") from error
    if not _within(timeout_s, lambda: not _holds(running.pid, runtime.running(key))):
        return False
    _within(_GONE_TIMEOUT_S, lambda: _is_gone(running.pid))
    return True


def _holds(pid: int, now: Running | None) -> bool:
    return now is not None and now.is_alive and now.pid == pid


def _is_gone(pid: int) -> bool:
    """Whether the process has ended; a child of ours is laid to rest."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # it is not our child
        pass
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()  # ended, and its parent has not asked yet
    except OSError:
        return True


def _within(timeout_s: float, is_true: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > end_s:
            return False
        time.sleep(_POLL_S)
    return True


def each(action: Callable[[T], R], items: Sequence[T]) -> list[R | RawdaqError]:
    """Return what *action* makes of each item, or the error that it raised; they run side by side."""

    def run(item: T) -> R | RawdaqError:
        try:
            return action(item)
        except RawdaqError as error:
            return error

    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(items)))) as pool:
        return list(pool.map(run, items))
