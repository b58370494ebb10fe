"""Components that share processes: many are started in few, and a whole process is stopped at once."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import IO, TypeAlias

from rawdaq.config.settings import ComponentSettings
from rawdaq.control import logs
from rawdaq.control.processes import children as processes
from rawdaq.control.processes import supervisor
from rawdaq.control.processes.spread import spread
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.runtime_files import Running, RuntimeFiles

#: For each key the pid, or why there is none.
Results: TypeAlias = dict[str, int | RawdaqError]

_Job: TypeAlias = tuple[Sequence[str], Callable[[], Results]]

_BUILD_TIMEOUT_S = 0.1  # of one component, on the slowest machine
_ANSWER_TIMEOUT_S = 0.2  # of one that had all the time in which another did not answer
_GONE_TIMEOUT_S = 2.0


def start(groups: Sequence[Sequence[ComponentSettings]], runtime: RuntimeFiles) -> Results:
    """Start each of *groups* as one process; return the pid of each component that answers, or why it does not."""
    runtime.prepare()
    with runtime.one_start():  # so that no other takes a name that is free now
        names = _free_names(runtime)
        jobs: list[_Job] = []
        for group in groups:
            is_shared = len(group) > 1
            start = (
                _GroupStart(next(names), group, runtime).run if is_shared else partial(_start_alone, group[0], runtime)
            )
            jobs.append(([component.key for component in group], start))
        return _side_by_side(jobs)


def _start_alone(component: ComponentSettings, runtime: RuntimeFiles) -> Results:
    return {component.key: supervisor.start(component, runtime)}


def as_they_run(components: Sequence[ComponentSettings], runtime: RuntimeFiles) -> list[list[ComponentSettings]]:
    """Return *components* in the groups in which they share processes now.

    Where only some of a process are among them, each of these gets a process of its own.
    """
    alone = {component.key: component for component in components}
    together = [[alone.pop(key) for key in keys] for _, keys in _whole_processes(list(alone), runtime)]
    # What the station files say by now may part them.
    return [part for group in together for part in spread(group, 1)] + [[component] for component in alone.values()]


def stop(keys: Sequence[str], runtime: RuntimeFiles) -> Results:
    """Stop components; return the pid that each had, or what went wrong.

    A process of which all components are meant is told once; others go on with those that are not.
    """
    whole = _whole_processes(keys, runtime)
    jobs: list[_Job] = [
        (members, partial(supervisor.stop_process, running, members, runtime)) for running, members in whole
    ]
    shared = {key for _, members in whole for key in members}
    jobs += [([key], partial(_stop_alone, key, runtime)) for key in keys if key not in shared]
    results = _side_by_side(jobs)
    return {key: results[key] for key in keys}


def _stop_alone(key: str, runtime: RuntimeFiles) -> Results:
    return {key: supervisor.stop(key, runtime)}


def _whole_processes(keys: Sequence[str], runtime: RuntimeFiles) -> list[tuple[Running, list[str]]]:
    """Return the shared processes that run nothing but *keys*: what to know of each, and what it runs."""
    members_of: dict[int, dict[str, Running]] = {}
    for key in runtime.keys():
        running = runtime.running(key)
        if running and running.is_alive and running.group:
            members_of.setdefault(running.pid, {})[key] = running
    whole = [members for members in members_of.values() if members.keys() <= set(keys)]
    return [(max(members.values(), key=lambda running: running.stop_timeout_s), list(members)) for members in whole]


def _side_by_side(jobs: Sequence[_Job]) -> Results:
    """Return the results of all *jobs*; an error that ends one is that of each of its components."""
    ended = supervisor.each(lambda job: job[1](), jobs)
    return {
        key: result if isinstance(result, RawdaqError) else result[key]
        for (keys, _), result in zip(jobs, ended, strict=True)
        for key in keys
    }


def _free_names(runtime: RuntimeFiles) -> Generator[str]:
    """Yield what processes can be called: no component is called so, because of the point."""
    for number in count(1):
        running = runtime.running(f"group.{number}")
        if running is None or not running.is_alive:
            yield f"group.{number}"


class _GroupStart:
    """A process that starts, and what becomes of the components that it is to run."""

    def __init__(self, name: str, group: Sequence[ComponentSettings], runtime: RuntimeFiles) -> None:
        self._name = name
        self._group = group
        self._runtime = runtime
        self._log_file = runtime.log_file(name)
        self._log_begin = logs.size_bytes(self._log_file)
        self._begins = {component.key: logs.size_bytes(runtime.log_file(component.key)) for component in group}
        # It reads and builds them one after the other, then opens them side by side.
        self._timeout_s = 2 * supervisor.START_TIMEOUT_S + _BUILD_TIMEOUT_S * len(group)
        self._end_s = 0.0
        self._pid = 0
        self._has_answered = False
        self._crash: str | None = None

    def run(self) -> Results:
        """Start it; return when every component answers or has failed.

        Raises:
            ComponentError: no process can be started.
        """
        with self._order() as order:
            self._pid = processes.spawn("rawdaq.control.processes.group", [self._name], self._log_file, order.fileno())
        self._end_s = time.monotonic() + self._timeout_s
        try:
            results = {key: self._result(key) for key in self._begins}
            results = {key: self._now(key, result) for key, result in results.items()}
        except BaseException:  # such as Ctrl-C: what nobody waits for shall not stay
            os.kill(self._pid, signal.SIGTERM)
            raise
        if not self._has_answered:
            self._end()
        return results

    def _order(self) -> IO[bytes]:
        """Return a file that tells the process what to run; of a pipe we would have to wait until it is read."""
        members = [(str(component.file), component.key) for component in self._group]
        order = {"core_id": self._group[0].daemon.core_id, "members": members}
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

    def _result(self, key: str) -> int | RawdaqError:
        # One that hangs must not make those behind it late.
        end_s = max(self._end_s, time.monotonic() + (_ANSWER_TIMEOUT_S if self._has_answered else 0))
        trouble = supervisor.wait_for_answer(self._pid, key, self._runtime, lambda: self._trouble(key, end_s))
        if trouble is None:
            self._has_answered = True
            return self._pid
        if trouble == self._crash:  # what the component's own log says last is not why
            return self._failed_with_all(key)
        return supervisor.failed_start(self._pid, key, self._runtime, trouble, self._begins[key])

    def _now(self, key: str, result: int | RawdaqError) -> int | RawdaqError:
        """Return *result*, or why *key* has gone again with its process, by what another did that came up later."""
        running = self._runtime.running(key)
        if isinstance(result, RawdaqError) or running is None or running.is_alive:
            return result
        processes.within(_GONE_TIMEOUT_S, self._has_crashed)
        return self._failed_with_all(key)

    def _failed_with_all(self, key: str) -> supervisor.StartFailed:
        reason = self._runtime.error_at_end(key, self._pid) or self._crash
        return supervisor.StartFailed(key, reason or f"{self._name} ended; see {self._log_file}", ())

    def _trouble(self, key: str, end_s: float) -> str | None:
        """Return why *key* will not answer, None while it still may."""
        if self._runtime.has_failed(key, self._pid):
            return "it ended with an error"
        running = self._runtime.running(key)
        if running and running.is_alive and running.pid not in (0, self._pid):
            return f"it runs already (pid {running.pid})"
        if not self._has_crashed() and time.monotonic() > end_s:
            whether = f"`control-rawdaq list` shows whether its process {self._name} still runs"
            return f"it did not answer within {self._timeout_s:g} s; {whether}"
        return self._crash

    def _has_crashed(self) -> bool:
        """Whether the process has ended; `_crash` says how."""
        self._crash = self._crash or self._told_crash()
        return self._crash is not None

    def _told_crash(self) -> str | None:
        status = processes.exit_status(self._pid)
        if status is None:
            return None
        said = "".join(logs.last_lines(self._log_file, 1, self._log_begin)) or "nothing"
        return f"{self._name} ended with exit status {status}; the last that it said in {self._log_file}: {said}"

    def _end(self) -> None:
        """See that the process goes, of which no component answered."""
        if not processes.within(_GONE_TIMEOUT_S, lambda: processes.is_gone(self._pid)):
            processes.kill(self._pid)
