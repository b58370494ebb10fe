"""Processes of components: started without a terminal, watched, waited for."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rawdaq.errors import ComponentError
from rawdaq.process.runtime_files import Running

POLL_S = 0.02

#: Set when the user has had enough: the threads that wait for processes give up.
interrupted = threading.Event()

_KILL_TIMEOUT_S = 5.0


def spawn(module: str, args: Sequence[str], log_file: Path, stdin: int | None = None) -> int:
    """Return the pid of a process of its own session that runs *module*, and whose output is its log file.

    Args:
        module: what ``python -m`` runs.
        args: its arguments.
        log_file: where stdout and stderr go.
        stdin: a descriptor that it reads as its standard input; None: there is nothing to read.

    Raises:
        ComponentError: the log file cannot be written.
    """
    command = [sys.executable, "-P", "-m", module, *args]
    try:
        output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ComponentError(
            f"{log_file} cannot be written: {error.strerror}; set RAWDAQ_LOG_DIR to another folder"
        ) from error
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0) if stdin is None else (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    # Numpy starts a thread for each core, for linear algebra of which nothing here makes use.
    environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}
    try:
        return os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    finally:
        os.close(output)


def exit_status(pid: int) -> int | None:
    """Return the exit status of our child *pid*, None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def end_of(pid: int, end_s: float, timeout_s: float) -> str | None:
    """Return how our child *pid* has ended, None while it may still come up; at *end_s* it is killed."""
    status = exit_status(pid)
    if status is not None:
        return f"it ended with exit status {status}"
    if time.monotonic() <= end_s:
        return None
    return f"it did not answer within {timeout_s:g} s and {kill(pid)}"


def kill(pid: int) -> str:
    """Kill our child *pid* and return what became of it; one that the system does not let go is left."""
    os.kill(pid, signal.SIGKILL)
    if within(_KILL_TIMEOUT_S, lambda: is_gone(pid)):
        return "was killed"
    return f"cannot even be killed (pid {pid}): it hangs in the system, see its disks"


def holds(pid: int, now: Running | None) -> bool:
    """Whether the pid file that says *now* is held by the process *pid*."""
    return now is not None and now.is_alive and now.pid == pid


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a child of ours is laid to rest."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # it is not our child
        pass
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()  # ended, and its parent has not asked yet
    except OSError:
        return True


def within(timeout_s: float, is_true: Callable[[], bool]) -> bool:
    """Return whether *is_true* became so before *timeout_s* passed."""
    end_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > end_s:
            return False
        time.sleep(POLL_S)
    return True
