"""Processes of components: started without a terminal, watched, waited for."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rawdaq.errors import ComponentError
from rawdaq.process.runs import Running

POLL_S = 0.02

#: Set by Ctrl-C: the threads that wait for processes give up.
interrupted = threading.Event()

_KILL_TIMEOUT_S = 5.0


def spawn(module: str, args: Sequence[str], log_file: Path, stdin: int) -> int:
    """Start a process, in a session of its own, that runs *module*; return its pid.

    Args:
        module: what ``python -m`` runs.
        args: its arguments.
        log_file: its stdout and stderr.
        stdin: a descriptor that becomes its standard input.

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
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate((stdin, output, output))]
    # Numpy starts a thread for each core, for linear algebra that nothing here uses.
    environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}
    try:
        return os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    finally:
        os.close(output)


def exit_status(pid: int) -> int | None:
    """Return the exit status of our child *pid*, None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def kill(pid: int) -> str:
    """Kill our child *pid*; return, as the end of a sentence, whether the system let it go."""
    os.kill(pid, signal.SIGKILL)
    if within(_KILL_TIMEOUT_S, lambda: is_gone(pid)):
        return "was killed"
    return f"cannot even be killed (pid {pid}): it hangs in the system, see its disks"


def holds(pid: int, now: Running | None) -> bool:
    """Whether the process *pid* holds the pid file whose content is *now*."""
    return now is not None and now.is_alive and now.pid == pid


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a child of ours is reaped."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # it is not our child
        pass
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()  # ended, but its parent has not reaped it yet
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
