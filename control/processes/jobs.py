"""Things that are done to many components side by side, and what became of each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias, TypeVar

from rawdaq.control.processes import children
from rawdaq.errors import RawdaqError
from rawdaq.open_files import highest_open_files

#: For each key the pid, or why there is none.
Results: TypeAlias = dict[str, int | RawdaqError]

_AT_ONCE = 16
_OWN_FILES = 24  # of a command, and as many as follow for each component that it asks at the same time
_FILES_EACH = 8

T = TypeVar("T")
R = TypeVar("R")


class Job(NamedTuple):
    """One process to start or to stop.

    Attributes:
        keys: its components.
        run: does it; returns the result of each component, or raises an error that is the result of all.
    """

    keys: Sequence[str]
    run: Callable[[], Results]


def run_all(jobs: Sequence[Job]) -> Results:
    """Run *jobs* side by side and return the result of each component."""
    ended = run_each(lambda job: job.run(), jobs)
    return {
        key: result if isinstance(result, RawdaqError) else result[key]
        for job, result in zip(jobs, ended, strict=True)
        for key in job.keys
    }


def run_each(action: Callable[[T], R], items: Sequence[T]) -> list[R | RawdaqError]:
    """Call *action* for all items side by side; return for each what it returned, or the error that it raised.

    Ctrl-C reaches only the main thread, which passes it on to the threads that wait for a process.
    """
    children.interrupted.clear()

    def run(item: T) -> R | RawdaqError:
        try:
            return action(item)
        except RawdaqError as error:
            return error

    with ThreadPoolExecutor(min(_at_once(), max(1, len(items)))) as pool:
        try:
            futures = [pool.submit(run, item) for item in items]
            return [future.result() for future in futures]
        except KeyboardInterrupt:
            children.interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise


def _at_once() -> int:
    """Return for how many items there are open files at the same time: ZMQ ends the process when it gets none."""
    highest = highest_open_files()
    return _AT_ONCE if highest is None else max(1, min(_AT_ONCE, (highest - _OWN_FILES) // _FILES_EACH))
