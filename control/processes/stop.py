"""Stops components in order and knows that they have gone: alone in a process, one of many, or a whole process."""

import os
import signal
import time
from collections.abc import Sequence
from functools import partial

from rawdaq.control import client
from rawdaq.control.processes import children
from rawdaq.control.processes.errors import EndedWithError, Killed, NotStopped
from rawdaq.control.processes.groups import whole_processes
from rawdaq.control.processes.jobs import Job, Results, run_all
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.runs import Running, log_hint
from rawdaq.process.runtime_files import RuntimeFiles

_STOP_MARGIN_S = 5.0  # beyond its own deadlines, a component closes sockets and ends
_KILL_TIMEOUT_S = 5.0
_GONE_TIMEOUT_S = 2.0  # between removing its pid file and having ended
_PID_TIMEOUT_S = 5.0  # between locking its pid file and having written it


def stop(keys: Sequence[str], runtime: RuntimeFiles) -> Results:
    """Stop components in order; return the pid that each had, or what went wrong.

    A process that runs nothing but *keys* is stopped as a whole; others run on with the rest of their components.
    """
    whole = whole_processes(keys, runtime)
    jobs = [Job(members, partial(_stop_process, running, members, runtime)) for running, members in whole]
    shared = {key for _, members in whole for key in members}
    jobs += [Job([key], partial(_stop_one, key, runtime)) for key in keys if key not in shared]
    results = run_all(jobs)
    return {key: results[key] for key in keys}


def _stop_one(key: str, runtime: RuntimeFiles) -> Results:
    """Stop the component *key*.

    Raises:
        ComponentError: it does not run (what a dead or failed one left is removed), or belongs to another user.
    """
    running = _wait_for_pid(key, runtime)
    if running is None:
        raise ComponentError(f"{key} is not running{_take_failure(key, runtime)}")
    if not running.is_alive:
        runtime.forget(key)
        process = f"its process {running.pid}" if running.pid > 0 else "its process"
        raise ComponentError(
            f"{key} is not running: {process} ended without tidying up; "
            f"its pid file is removed now, its log may say why: {log_hint(running.process_log)}"
        )
    return {key: _stop_member(running, key, runtime)} if running.group else _stop_process(running, [key], runtime)


def _wait_for_pid(key: str, runtime: RuntimeFiles) -> Running | None:
    """Return what the pid file of *key* says; while the process lives, not before the file has its pid.

    Raises:
        ComponentError: the file does not have it in time.
    """
    end_s = time.monotonic() + _PID_TIMEOUT_S
    # A process locks its file before it writes it. For the system 0 would mean all processes of our group.
    while (running := runtime.running(key)) and running.is_alive and running.pid <= 0:
        if time.monotonic() > end_s:
            raise ComponentError(
                f"{key} is running, but {runtime.pid_file(key)} does not say as which process; "
                f"stop it with `control-rawdaq send {key} stop`, or find it with `fuser {runtime.pid_file(key)}`"
            )
        time.sleep(children.POLL_S)
    return running


def _timeout_s(running: Running) -> float:
    """Return how long a stop may take: its `stop_timeout_s` to deliver, and as long again to close files."""
    return 2 * running.stop_timeout_s + _STOP_MARGIN_S


def _take_failure(key: str, runtime: RuntimeFiles) -> str:
    """Return, once, why a component that was not stopped does not run, as the end of a sentence."""
    ended = runtime.ended(key)
    if ended is None or runtime.take_error(key, ended.pid) is None:
        return ""
    return f": {ended}; see {log_hint(ended.log_file)}"


def _stop_member(running: Running, key: str, runtime: RuntimeFiles) -> int | RawdaqError:
    """Stop one component of a process that others need."""
    timeout_s = _timeout_s(running)
    with client.call(runtime.command_address(key), "stop"):  # the request stays on its way until it is read
        if not children.within(timeout_s, lambda: not children.holds(running.pid, runtime.running(key))):
            return NotStopped(key, timeout_s, running.group or "")
    return _error_at_end(running.pid, key, runtime) or running.pid


def _stop_process(running: Running, keys: Sequence[str], runtime: RuntimeFiles) -> Results:
    """Stop the process that runs *keys* and nothing else.

    Args:
        running: the content of their pid files; of several the one with the longest ``stop_timeout_s``.
        keys: all components of the process.
        runtime: where their files are.

    Raises:
        ComponentError: it belongs to another user, or cannot even be killed.
    """
    timeout_s = _timeout_s(running)
    late = _signal(running, signal.SIGTERM, keys, runtime, timeout_s)
    if late and _signal(running, signal.SIGKILL, late, runtime, _KILL_TIMEOUT_S):
        raise ComponentError(
            f"{late[0]} (pid {running.pid}) cannot even be killed: it hangs in the system, see its disks"
        )
    for key in [*late, running.process] if late and running.process else late:
        runtime.forget(key)
    killed = {key: Killed(key, timeout_s) for key in late}
    return {key: killed.get(key) or _error_at_end(running.pid, key, runtime) or running.pid for key in keys}


def _signal(
    running: Running, number: signal.Signals, keys: Sequence[str], runtime: RuntimeFiles, timeout_s: float
) -> list[str]:
    """Send a signal; return which of *keys* the process still runs when *timeout_s* has passed."""
    try:
        os.kill(running.pid, number)
    except ProcessLookupError:
        pass  # it ended meanwhile
    except PermissionError as error:
        raise ComponentError(f"{keys[0]} (pid {running.pid}) belongs to another user, who can stop it") from error
    late = list(keys)

    def are_gone() -> bool:
        while late and not children.holds(running.pid, runtime.running(late[-1])):
            late.pop()  # and is not asked again
        return not late

    if children.within(timeout_s, are_gone):
        children.within(_GONE_TIMEOUT_S, lambda: children.is_gone(running.pid))
    return [key for key in late if children.holds(running.pid, runtime.running(key))]


def _error_at_end(pid: int, key: str, runtime: RuntimeFiles) -> EndedWithError | None:
    """Return what went wrong with *key*, which the process *pid* has stopped."""
    ended = runtime.ended(key)
    if ended is None or ended.pid != pid:
        return None
    runtime.forget(key)
    reason = ended.error or "it ended before it was done: what waited in its queues may be lost"
    return EndedWithError(key, reason, log_hint(ended.log_file))
