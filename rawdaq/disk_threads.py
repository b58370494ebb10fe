"""Threads for what touches a disk: few for all files on it, so that one that hangs stops nothing on another.

`disk_thread` lends one; all that one user gives it happens in order. Thousands of archives on one disk share four
threads: as many as let the file system make several of their ``fsync`` calls one.
"""

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

_PER_DISK = 4
_AT_ONCE = 64  # jobs whose ends are told to the event loop together

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class _Job(NamedTuple):
    future: asyncio.Future[Any]
    context: contextvars.Context
    function: Callable[..., Any]
    args: tuple[Any, ...]


class _Done(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: BaseException | None


class DiskThread:
    """A thread that does one thing after the other; `disk_thread` gives it out.

    It does not keep the program from ending, because what waits for a disk that hangs waits for ever.

    Args:
        name: what the system calls it.
        loop: where the ends of its jobs are told.

    Attributes:
        users: how many share it.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> asyncio.Future[Result]:
        """Let the thread call *function*; return the future of its result, to be awaited on the loop.

        What is given is done in order, also when nobody waits for the result any more.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        self._jobs.put(_Job(future, contextvars.copy_context(), function, args))
        return future

    def give_back(self) -> None:
        """End the use of it; the thread ends after all jobs when nobody uses it."""
        self.users -= 1
        if not self.users:
            for threads in _threads_of(self._loop).values():
                if self in threads:
                    threads.remove(self)
            self._jobs.put(None)

    def _work(self) -> None:
        is_last = False
        while not is_last:
            jobs = [self._jobs.get()]
            while len(jobs) < _AT_ONCE and not self._jobs.empty():
                jobs.append(self._jobs.get())
            is_last = None in jobs
            done = [_outcome(job) for job in jobs if job]
            try:
                self._loop.call_soon_threadsafe(_settle, done)
            except RuntimeError:  # the loop is closed: the program ends without waiting for this disk
                return


def _outcome(job: _Job) -> _Done:
    try:
        return _Done(job.future, job.context.run(job.function, *job.args), None)
    except BaseException as error:  # whatever it is, who waits for the job gets it
        return _Done(job.future, None, error)


def _settle(done: Iterable[_Done]) -> None:
    for future, result, error in done:
        if future.cancelled():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


_Threads = dict[int, list[DiskThread]]
_threads: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = weakref.WeakKeyDictionary()


def _threads_of(loop: asyncio.AbstractEventLoop) -> _Threads:
    return _threads.setdefault(loop, {})


def disk_thread(device: int) -> DiskThread:
    """Return a thread for files on *device* (``os.stat_result.st_dev``), to be given back.

    It is one of at most four that serve this disk in the running event loop.
    """
    loop = asyncio.get_running_loop()
    threads = _threads_of(loop).setdefault(device, [])
    if len(threads) < _PER_DISK:
        threads.append(DiskThread(f"disk {device} {len(threads)}", loop))
    thread = min(threads, key=lambda each: each.users)
    thread.users += 1
    return thread
