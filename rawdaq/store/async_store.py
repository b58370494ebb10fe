"""A store for an event loop, which never waits for a disk: one thread writes, another syncs, a third reads."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Self, TypeVar, TypeVarTuple

from rawdaq.store.cursors import CursorMove
from rawdaq.store.errors import DiskSlow, StoreClosed, StoreError
from rawdaq.store.segments.reading import READ_BYTES, Reader
from rawdaq.store.store import Store
from rawdaq.store.threads import SyncThread, Worker
from rawdaq.store.values import Batch, Entry

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class AsyncStore:
    """The face of a `Store` in an event loop.

    Args:
        store: one that is not open yet.
        failed: called in the loop when the disk begins to refuse a sync, with the reason, and with None when it does
            so no more.
        sync_s: how long after a write it is synced; 0: before `append` returns.
        max_waiting_bytes: how much may wait for the thread that writes.
        close_timeout_s: how long `aclose` waits for the disk.

    Attributes:
        waiting_bytes: what waits for the thread that writes.
        refused: how many appends were refused because too much waited.
    """

    def __init__(
        self,
        store: Store,
        failed: Callable[[StoreError | None], None],
        *,
        sync_s: float = 1.0,
        max_waiting_bytes: int = 64 << 20,
        close_timeout_s: float = 10.0,
    ) -> None:
        self.store = store
        self.waiting_bytes = 0
        self.refused = 0
        self._sync_s = sync_s
        self._max_waiting_bytes = max_waiting_bytes
        self._close_timeout_s = close_timeout_s
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: Worker | None = None
        self._reader: Worker | None = None
        self._sync: SyncThread | None = None
        self._waiters: dict[asyncio.Future[None], int] = {}
        self._grown = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open it.

        Raises:
            StoreLocked: another process writes it.
            StoreUnavailable: the disk refuses.
            UnknownFormat: another version has written it.
        """
        self._loop = asyncio.get_running_loop()
        name = self.store.path.name
        self._writer = Worker(f"write {name}")
        try:
            await asyncio.wrap_future(self._writer.submit(self.store.open))
        except BaseException:  # also when nothing waits for it any more, and it is opened even so
            self._writer.submit(self.store.close)
            self._writer.end()
            self._writer = None
            raise
        self._reader = Worker(f"read {name}")
        self._sync = SyncThread(
            self.store, self._sync_s, self._from_thread(self._synced), self._from_thread(self._failed)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Sync and close; may be called twice.

        Raises:
            DiskSlow: the disk does not answer within the time that it has; the threads are left behind.
            StoreUnavailable: the disk refuses.
        """
        writer, reader, sync = self._writer, self._reader, self._sync
        self._writer = self._reader = self._sync = None
        if writer is None or reader is None or sync is None:
            return
        sync.end()
        reader.end()
        closing = asyncio.wrap_future(writer.submit(self._close, sync))
        writer.end()
        try:
            async with asyncio.timeout(self._close_timeout_s):
                await asyncio.shield(closing)
        except TimeoutError:
            closing.add_done_callback(_forget)
            raise DiskSlow(str(self.store.path), f"no answer within {self._close_timeout_s} s") from None
        finally:
            self._fail_waiters()

    def _close(self, sync: SyncThread) -> None:
        sync.join(self._close_timeout_s)
        self.store.close()

    async def append(self, entries: Sequence[Entry], cursors: Sequence[CursorMove] = ()) -> range:
        """Write *entries* as `write` does; with `sync_s` 0, return only when a power cut cannot undo it either.

        Raises:
            InvalidValue: an entry or a move is not what a store can hold.
            DiskSlow: too much waits for the disk; call it again later.
            StoreUnavailable: the disk refuses; nothing has changed, so the same call may be made again.
            StoreFull: cursors need all that may be kept.
        """
        positions = await self.write(entries, cursors)
        if not self._sync_s and positions:
            await self.synced(positions.stop)
        return positions

    async def write(self, entries: Sequence[Entry], cursors: Sequence[CursorMove] = ()) -> range:
        """Write *entries* as one group; return their positions when a kill of the process cannot undo that.

        Groups are written in the order of the calls. To end the wait does not take a group back.

        Args:
            entries: what to append.
            cursors: moves that are made if, and only if, the entries are written.

        Raises:
            InvalidValue: an entry or a move is not what a store can hold.
            DiskSlow: too much waits for the disk; call it again later.
            StoreUnavailable: the disk refuses; nothing has changed, so the same call may be made again.
            StoreFull: cursors need all that may be kept.
        """
        writer, sync = self._opened(self._writer), self._opened(self._sync)
        size = sum(entry.size_bytes for entry in entries)
        if self.waiting_bytes and self.waiting_bytes + size > self._max_waiting_bytes:
            self.refused += 1
            raise DiskSlow(str(self.store.path), f"{self.waiting_bytes / 1e6:.1f} MB wait to be written")
        self.waiting_bytes += size
        job = writer.submit(self.store.append, entries, cursors)
        try:
            positions = await asyncio.shield(asyncio.wrap_future(job))
        finally:
            if job.done():
                self.waiting_bytes -= size
            else:
                job.add_done_callback(self._from_thread(lambda _: self._wrote(size)))
        self._grown.set()
        sync.want(self.store.wants_sync)
        return positions

    async def skip_to(self, position: int) -> None:
        """Let the next entry get *position*; those between are never used.

        Raises:
            InvalidValue: that was used already, or is beyond what a position can be.
            StoreUnavailable: the disk refuses.
        """
        await asyncio.wrap_future(self._opened(self._writer).submit(self.store.skip_to, position))

    def _wrote(self, size: int) -> None:
        """Note the end of an append for which nothing waits any more."""
        self.waiting_bytes -= size
        self._grown.set()
        if self._sync is not None:
            self._sync.want()

    async def synced(self, position: int) -> None:
        """Return when all entries below *position* survive a power cut.

        Raises:
            StoreClosed: the store is closed before that.
        """
        sync = self._opened(self._sync)
        if self.store.synced_position < position:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = position
            sync.want()
            try:
                await waiter
            finally:
                self._waiters.pop(waiter, None)

    def _synced(self, position: int) -> None:
        for waiter, wanted in self._waiters.items():
            if wanted <= position and not waiter.done():
                waiter.set_result(None)

    def _fail_waiters(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(StoreClosed(f"the store in {self.store.path} was closed before all was synced"))

    async def grown(self, position: int) -> None:
        """Return when there are entries at or behind *position*."""
        while self.store.end_position <= position:
            self._grown.clear()
            await self._grown.wait()

    async def read(self, reader: Reader, max_bytes: int = READ_BYTES) -> Batch:
        """Return the next entries of *reader*, which the caller got from `Store.reader`.

        Raises:
            InvalidValue: its position is beyond the end of the store.
            StoreUnavailable: the disk cannot be read.
        """
        return await self.call(reader.read, max_bytes)

    async def call(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Call a method of the store that may read from the disk, as `Store.find`, in the thread that reads."""
        return await asyncio.wrap_future(self._opened(self._reader).submit(function, *args))

    def move_cursor(self, name: str, position: int | None, marks: Mapping[bytes, bytes] | None = None) -> None:
        """Move a cursor; it is written with the next group, or synced within `sync_s`."""
        self.store.move_cursor(name, position, marks)
        self._opened(self._sync).want()

    @property
    def sync_error(self) -> StoreError | None:
        """Why what was written last may not be on the disk; None when the disk refuses nothing."""
        return self._sync.error if self._sync is not None else None

    def _opened(self, thread: Result | None) -> Result:
        if thread is None:
            raise StoreClosed(f"the store in {self.store.path} is not open")
        return thread

    def _from_thread(self, function: Callable[[Result], None]) -> Callable[[Result], None]:
        """Return what calls *function* in the loop, from any thread."""
        loop = self._opened(self._loop)

        def call(value: Result) -> None:
            try:
                loop.call_soon_threadsafe(function, value)
            except RuntimeError:  # the loop is closed: nothing waits for this disk any more
                return

        return call


def _forget(future: "asyncio.Future[None]") -> None:
    """Take note of how *future* has ended, which nothing waits for any more."""
    if not future.cancelled():
        future.exception()
