"""Threads for what touches a disk: few for all files on it, so that one that hangs stops nothing on another.

`disk_thread` lends one; all that one user gives it happens in order. Thousands of archives on one disk share four
threads: as many as let the file system make several of their ``fsync`` calls one.
"""

import asyncio
import contextvars
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

_PER_DISK = 4
_AT_ONCE = 64  # jobs whose ends are told to the event loop together
_TELL_S = 0.005  # by which an end is told at most later than it could be, the job that follows it apart

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
        jobs_done: how many jobs have ended: a disk that answers is not one that hangs, however much waits for it.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self.jobs_done = 0
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
        if self.users <= 0:
            _forget(self, self._loop)
            self._jobs.put(None)

    def _work(self) -> None:
        done: list[_Done] = []
        since_s = 0.0
        while job := self._jobs.get():
            since_s = since_s if done else time.monotonic()
            done.append(_outcome(job))
            self.jobs_done += 1
            if self._jobs.empty() or len(done) == _AT_ONCE or time.monotonic() - since_s > _TELL_S:
                if not self._tell(done):
                    return
                done = []
        self._tell(done)

    def _tell(self, done: list[_Done]) -> bool:
        """Let the loop know; return whether it still runs."""
        try:
            self._loop.call_soon_threadsafe(_settle, done)
        except RuntimeError:  # the loop is closed: the program ends without waiting for this disk
            return False
        return True


def _outcome(job: _Job) -> _Done:
    try:
        return _Done(job.future, job.context.run(job.function, *job.args), None)
    except StopIteration as error:  # of which no future can be told
        return _Done(job.future, None, RuntimeError(f"raised {error!r}"))
    except BaseException as error:  # whatever it is, who waits for the job gets it
        return _Done(job.future, None, error)


def _settle(done: Iterable[_Done]) -> None:
    for future, result, error in done:
        if future.done():  # nobody waits for it any more
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


async def in_new_thread(name: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
    """Let a thread that ends with that call *function*, and return its result: for a disk that is not known yet.

    Args:
        name: what the system calls the thread.
        function: what to call.
        args: its arguments.
    """
    thread = DiskThread(name, asyncio.get_running_loop())
    ended = thread.submit(function, *args)
    thread.give_back()
    return await ended


_Threads = dict[int, list[DiskThread]]
_threads: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = weakref.WeakKeyDictionary()


def _forget(thread: DiskThread, loop: asyncio.AbstractEventLoop) -> None:
    """Lend *thread* to nobody any more, and keep nothing of a loop that has none left."""
    of_loop = _threads.get(loop, {})
    for device, threads in list(of_loop.items()):
        if thread in threads:
            threads.remove(thread)
        if not threads:
            del of_loop[device]
    if not of_loop:
        _threads.pop(loop, None)


def disk_thread(device: int) -> DiskThread:
    """Return a thread for files on *device* (``os.stat_result.st_dev``), to be given back.

    It is one of at most four that serve this disk in the running event loop.
    """
    loop = asyncio.get_running_loop()
    threads = _threads.setdefault(loop, {}).setdefault(device, [])
    if len(threads) < _PER_DISK:
        threads.append(DiskThread(f"disk {device} {len(threads)}", loop))
    thread = min(threads, key=lambda each: each.users)
    thread.users += 1
    return thread
