"""Records on disk under numbers that are never used twice; the oldest make room for the newest."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from rawdaq.errors import ComponentError
from rawdaq.ring.packets import OVERHEAD_BYTES, NewPacket, RingPacket
from rawdaq.ring.reading import RingReader
from rawdaq.ring.streams import StreamBook
from rawdaq.ring.tail import Tail
from rawdaq.ring.writing import Done, RingWriter, WriteError
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.errors import StoreClosed, StoreError
from rawdaq.store.retention import Retention
from rawdaq.store.store import Store
from rawdaq.store.values import Report, Trimmed

_SEGMENTS = 16  # at least in a ring; what is removed is one of them
_MIN_SEGMENT_BYTES, _MAX_SEGMENT_BYTES = 256 << 10, 16 << 20
_MAX_SEGMENTS = 10_000  # more come from writers that leave out numbers
_MAX_SKIP = 1 << 40  # numbers that a writer may leave out
_INDEX_BYTES = 36  # of a packet, in the index of a file
_CLOSE_S = 10.0

#: Records that clients of SeedLink 3, who know 24 bits of a number, can tell apart.
_MAX_V3_RECORDS: Final = 1 << 23

T = TypeVar("T")


class WriteFailed(ComponentError):
    """The disk refuses packets.

    Args:
        reason: cause and remedy.
        written: how many of them are written even so, from the first one on.
    """

    def __init__(self, reason: str, written: int) -> None:
        super().__init__(reason, written)
        self.reason, self.written = reason, written

    def __str__(self) -> str:
        return self.reason


class RingExtent(NamedTuple):
    """What a ring holds.

    Attributes:
        oldest: the first number that is kept.
        end: the number that the next packet gets.
        synced: packets below it survive a power cut.
        lost: packets that the disk has lost.
        sync_error: why what was written last may not be on the disk; None when all is well.
    """

    oldest: int
    end: int
    synced: int
    lost: int
    sync_error: str | None


class Ring:
    """A ring in a folder, for the clients and the writers of one event loop.

    Args:
        path: the folder; it is made when it is missing.
        max_bytes: how large it may be on the disk.
        sync_s: how long after it was written a packet survives a power cut; 0: before its writer gets its answer.
        log: where losses and failures of the disk are logged.
        clock: the time in nanoseconds.

    Attributes:
        written: called with packets when they are written.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        sync_s: float,
        log: logging.Logger,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.written: list[Callable[[Sequence[RingPacket]], None]] = []
        self._sync_s = sync_s
        self._log = log
        self._clock = clock
        self._segment_bytes = min(max(max_bytes // _SEGMENTS, _MIN_SEGMENT_BYTES), _MAX_SEGMENT_BYTES)
        self._store: AsyncStore | None = None
        self._writer: RingWriter | None = None
        self._reader: RingReader | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------ life

    async def open(self) -> None:
        """Open it, where an earlier run has ended.

        Raises:
            ComponentError: it cannot be written, or another process has it.
        """
        retention = Retention(max_bytes=self.max_bytes, drops_needed=True)
        store = Store(
            self.path, retention=retention, segment_bytes=self._segment_bytes, report=self._report, clock=self._clock
        )
        opened = AsyncStore(store, self._sync_failed, sync_s=self._sync_s, close_timeout_s=_CLOSE_S)
        streams = StreamBook(opened)
        try:
            await opened.__aenter__()
            await streams.open()
        except StoreError as error:
            await opened.aclose()
            raise ComponentError(f"the ring in {self.path}: {error}") from error
        self._store = opened
        self._reader = RingReader(opened, Tail(store.end_position), streams)
        self._writer = RingWriter(self._store, not self._sync_s, self._take, self._why_not, self._clock)
        self._tasks = [asyncio.create_task(self._writer.run(), name=f"write ring {self.path.name}")]
        if not self._sync_s:
            self._tasks.append(asyncio.create_task(self._writer.confirm(), name=f"confirm ring {self.path.name}"))
        if self._reader.end - self._reader.oldest > _MAX_V3_RECORDS:
            self._log.warning(
                "the ring holds more than %d records: clients of SeedLink 3 that resume after long may begin at a "
                "wrong one; a smaller `max_gb` prevents that",
                _MAX_V3_RECORDS,
            )

    def _report(self, report: Report) -> None:
        """Log what an operator must know; that the oldest make room is what a ring is for. Called by any thread."""
        if not isinstance(report, Trimmed) or report.undelivered:
            self._log.warning("%s", report)

    def _sync_failed(self, error: StoreError | None) -> None:
        if error is None:
            self._log.warning("the disk of the ring takes what is written again")
        else:
            self._log.error("what was written last may not be on the disk: %s; it is tried again", error)

    async def aclose(self) -> None:
        """Write and sync what was put, and close; may be called twice.

        Raises:
            ComponentError: the disk refuses that.
        """
        store, writer, reader = self._store, self._writer, self._reader
        if store is None or writer is None or reader is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await writer.empty()
        except TimeoutError:
            self._log.error("the disk of the ring does not answer: what was written last is lost")
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        writer.close(StoreClosed(f"the ring in {self.path} is closed"))
        await reader.aclose()
        self._store = self._writer = self._reader = None
        try:
            await store.aclose()
        except StoreError as error:
            raise ComponentError(f"the ring in {self.path}: {error}") from error

    async def watch(self) -> None:
        """Run as long as the ring works; raise what ends it, which is a bug."""
        # Not gather, whose end would be that of the tasks, too: they write what is put until the ring is closed.
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    # ------------------------------------------------------------------ writing

    def put(self, packets: Sequence[NewPacket], done: Done) -> None:
        """Have *packets* written; *done* is called once, in the loop, when they are safe or cannot be written."""
        self._opened(self._writer).put(packets, done)

    async def append(self, packets: Sequence[NewPacket]) -> None:
        """Return when *packets* are as safe as the ring makes them.

        Raises:
            WriteFailed: the disk refuses; it says how many of them are written.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def tell(numbers: Sequence[int], error: WriteError | None) -> None:
            if not done.done() and error is None:
                done.set_result(None)
            elif not done.done():
                done.set_exception(WriteFailed(str(error), len(numbers)))

        self.put(packets, tell)
        await done

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that writers should await `room`."""
        return self._writer is not None and self._writer.is_full

    async def room(self) -> None:
        """Return when there is room for more to be written."""
        await self._opened(self._writer).room()

    # ------------------------------------------------------------------ readers that go on after a restart

    def move_cursor(self, name: str, position: int) -> None:
        """Keep how far a reader has come, for the next run; that is written soon, and waits for no disk."""
        self._opened(self._store).move_cursor(name, position)

    def cursor(self, name: str) -> int | None:
        """Return how far a reader has come; None when it is not known."""
        cursor = self._opened(self._store).store.cursors().get(name)
        return None if cursor is None else cursor.position

    def _why_not(self, number: int) -> str | None:
        """Return why the next packet cannot have this *number*; None when it can."""
        end = self.reader.end
        if number < end:
            return f"packet ID {number} was given before, the next one is {end}"
        if number - end > _MAX_SKIP or self._opened(self._store).store.status().segments > _MAX_SEGMENTS:
            return f"packet ID {number} leaves out too many, the next one is {end}"
        return None

    def _take(self, packets: Sequence[RingPacket]) -> None:
        self.reader.tail.add(packets)
        self.reader.streams.add(packets)
        for written in self.written:
            written(packets)

    # ------------------------------------------------------------------ reading

    @property
    def reader(self) -> RingReader:
        """What finds packets; the ring must be open."""
        return self._opened(self._reader)

    def count_of(self, packet_bytes: int) -> int:
        """Return how many packets of so many bytes it keeps at least."""
        return max(1, (self.max_bytes - 2 * self._segment_bytes) // (packet_bytes + OVERHEAD_BYTES + _INDEX_BYTES))

    def extent(self) -> RingExtent | None:
        """Return what it holds, without touching a disk; None when it is not open."""
        if self._store is None:
            return None
        status, failure = self._store.store.status(), self._store.sync_error
        error = None if failure is None else str(failure)
        return RingExtent(status.oldest_position, self.reader.end, status.synced_position, status.lost, error)

    def _opened(self, part: T | None) -> T:
        if part is None:
            raise StoreClosed(f"the ring in {self.path} is not open")
        return part
