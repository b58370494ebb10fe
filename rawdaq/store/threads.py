"""Threads beside a store: one that does what it is given in order, and one that syncs some time after a write."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from rawdaq.errors import RawdaqError
from rawdaq.store.errors import StoreError
from rawdaq.store.store import Store

_MAINTAIN_S = 60.0  # what is too old is looked for so often, also when nothing is written
_AGAIN_FIRST_S = 0.5
_AGAIN_MAX_S = 30.0

_log = logging.getLogger("rawdaq.store")

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class _Job(NamedTuple):
    future: "Future[Any]"
    function: Callable[..., Any]
    args: tuple[Any, ...]


class Worker:
    """A thread that calls one function after the other.

    It does not keep the program from ending: what waits for a disk that hangs waits for ever.

    Args:
        name: what the system calls it.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> "Future[Result]":
        """Let the thread call *function*; return what will be its result."""
        future: Future[Result] = Future()
        self._jobs.put(_Job(future, function, args))
        return future

    def end(self) -> None:
        """Let the thread end when it has done all."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                _do(job)
            del job  # which may hold much while the thread waits


def _do(job: _Job) -> None:
    try:
        job.future.set_result(job.function(*job.args))
    except BaseException as error:
        if isinstance(error, RawdaqError):
            error.__traceback__ = None  # whose frames would hold files open for as long as the error is kept
        job.future.set_exception(error)


class SyncThread:
    """Syncs a store some time after something was written, and again when that fails; keeps it in order besides.

    Args:
        store: an open one.
        sync_s: how long after the first write; 0: at once.
        synced: called after each sync with the position below which all is on the disk.
        failed: called when the disk begins to refuse, with the reason, and with None when it does so no more.

    Attributes:
        error: why what was written last may not be on the disk; None when the disk refuses nothing.
    """

    def __init__(
        self,
        store: Store,
        sync_s: float,
        synced: Callable[[int], None],
        failed: Callable[[StoreError | None], None],
    ) -> None:
        self.error: StoreError | None = None
        self._store = store
        self._sync_s = sync_s
        self._synced = synced
        self._failed = failed
        self._changed = threading.Condition()
        self._is_wanted = False
        self._is_urgent = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._work, name=f"sync {store.path.name}", daemon=True)
        self._thread.start()

    def want(self, is_urgent: bool = False) -> None:
        """Say that something was written.

        Args:
            is_urgent: whether to sync at once.
        """
        if self._is_wanted and (self._is_urgent or not is_urgent):
            return
        with self._changed:
            self._is_wanted = True
            self._is_urgent = self._is_urgent or is_urgent
            self._changed.notify()

    def end(self) -> None:
        """Let the thread end after the sync that runs."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Return whether the thread has ended within *timeout_s*."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        again_s = _AGAIN_FIRST_S
        while self._wait(again_s):
            error = self._sync()
            again_s = _AGAIN_FIRST_S if error is None else min(2 * again_s, _AGAIN_MAX_S)
            was, self.error = self.error, error
            if (was is None) != (error is None):
                self._failed(error)

    def _sync(self) -> StoreError | None:
        try:
            self._synced(self._store.sync())
            self._store.maintain()
        except StoreError as error:
            return type(error)(*error.args)  # which holds no file open, as the frames that this one came from do
        except Exception as error:  # a bug, which must not end all syncs that would come
            _log.exception("the sync of %s failed", self._store.path)
            return StoreError(f"{error!r}; it is tried again")
        return None

    def _wait(self, again_s: float) -> bool:
        """Return when it is time for a sync; False at the end."""
        with self._changed:
            if self.error is not None:
                self._changed.wait_for(lambda: self._is_ending, again_s)
            elif self._changed.wait_for(lambda: self._is_wanted or self._is_ending, _MAINTAIN_S):
                self._changed.wait_for(lambda: self._is_urgent or self._is_ending, self._sync_s)
            self._is_wanted = self._is_urgent = False
            return not self._is_ending
