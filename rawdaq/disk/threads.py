"""Threads for all that may block on a disk, up to four for each disk: one that hangs stops nothing on another.

What is submitted in one turn of the event loop is handed over together, and its results come back together: a hundred
archives that write at the same moment wake a thread and the loop once.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar, TypeVarTuple

_PER_DISK = 4  # so that a disk does several `fsync` at once: 1500 files then take a quarter of the time

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_Call = tuple[asyncio.Future[Any], Callable[[], Any]]
_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]


class DiskThread:
    """A thread that makes one call after the other; `disk_thread` returns one of those that a disk has.

    A call on a disk that hangs never returns; it does not keep the program from ending.

    Args:
        name: the name of the thread.
        loop: the event loop that awaits the results.

    Attributes:
        users: how many share it.
        calls_done: how many calls have returned; while it grows, the disk answers.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self.calls_done = 0
        self._loop = loop
        self._submitted: list[_Call] = []
        self._queue: SimpleQueue[list[_Call] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> asyncio.Future[Result]:
        """Let the thread call *function*; return the future of its result.

        Calls are made in the order in which they were submitted, also when their future was cancelled.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        if not self._submitted:
            self._loop.call_soon(self._hand_over)
        self._submitted.append((future, partial(contextvars.copy_context().run, function, *args)))
        return future

    def give_back(self) -> None:
        """End the use of it; when no user is left, the thread ends after the calls that were submitted."""
        self.users -= 1
        if self.users <= 0:
            for key, threads in tuple(_shared.items()):
                if self in threads:
                    threads.remove(self)
                if not threads:
                    del _shared[key]
            self._hand_over()
            self._queue.put(None)

    def _hand_over(self) -> None:
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def _work(self) -> None:
        for calls in iter(self._queue.get, None):
            outcomes = [self._make(future, function) for future, function in calls]
            try:
                self._loop.call_soon_threadsafe(_resolve, outcomes)
            except RuntimeError:  # the loop is closed: the program ends without waiting for this disk
                return
            del calls, outcomes  # megabytes, while it waits for the next

    def _make(self, future: asyncio.Future[Any], function: Callable[[], Any]) -> _Outcome:
        try:
            return future, function(), None
        except BaseException as error:  # the task that awaits the result gets it
            return future, None, error
        finally:
            self.calls_done += 1


def _resolve(outcomes: Iterable[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # it was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


_shared: dict[tuple[asyncio.AbstractEventLoop, int], list[DiskThread]] = {}


def disk_thread(device: int) -> DiskThread:
    """Return a thread for files on *device* (``os.stat_result.st_dev``), to be given back.

    It is the one with the fewest users of up to four, which all users of the disk in the running event loop share.
    """
    loop = asyncio.get_running_loop()
    threads = _shared.setdefault((loop, device), [])
    if len(threads) < _PER_DISK:
        threads.append(DiskThread(f"disk {device} {len(threads)}", loop))
    thread = min(threads, key=lambda each: each.users)
    thread.users += 1
    return thread


async def in_new_thread(name: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
    """Return what *function* returns, called in a thread that ends with it: for a disk that is not known yet.

    Args:
        name: the name of the thread.
        function: what to call.
        args: its arguments.
    """
    thread = DiskThread(name, asyncio.get_running_loop())
    ended = thread.submit(function, *args)
    thread.give_back()
    return await ended
