"""The journal of a component: what is published is written to a log on disk, then given to those who must deliver it.

::

    put ── queue ── append to the store ──┬── JournalQueue ── RawWriter.deliver(batch)
                                          └── JournalQueue ── RecordWriter ── queue ── MiniSeedPublisher.deliver(batch)
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from rawdaq.config.settings import JournalSettings
from rawdaq.delivery.items import count_of, size_bytes, stream_of
from rawdaq.delivery.journal.look import Look, Newest, cursor_status, look_at, store_status
from rawdaq.delivery.journal.outlet import Outlet
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.records import RecordWriter
from rawdaq.delivery.worker import Worker
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.journal.entries import EntryEncoder, EntryUnreadable, Item, decode
from rawdaq.journal.folder import entry_at
from rawdaq.messages.message import Message
from rawdaq.outage import Outage
from rawdaq.publisher import OverflowPolicy, Publisher
from rawdaq.sockets.dialling import Backoff
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.errors import StoreError, StoreFull, StoreUnavailable
from rawdaq.store.retention import Retention
from rawdaq.store.store import SEGMENT_BYTES, Store
from rawdaq.store.values import Entry, Report, Stored
from rawdaq.times import NS_PER_DAY, to_iso

#: What waits to be written, and is written together: it is read from the device no earlier, so that it is still in the
#: processor's cache then.
_MAX_PACKETS = 100_000
_MAX_BYTES = 8_000_000
#: What may wait while the disk takes nothing, for so long that a device would notice.
_MAX_STALLED_BYTES = 32_000_000
_STALLED_S = 0.05
_GATHER_S = 0.002
#: How long a publisher that is busy, not away, may keep the others waiting before it is given the journal to read.
_PATIENCE_S = 0.25
_RETRY_MAX_S = 2.0
_LOOK_S = 2.0
_FORGOTTEN_NS = 7 * NS_PER_DAY


class Journal:
    """Writes what is published, and gives it to its outlets.

    Args:
        settings: where it is, and what it keeps.
        log: where outages are logged.
        clock_ns: the time of plain bytes, which have none, and the age of cursors.

    Attributes:
        queue: what waits to be written.
        outlets: the publishers behind it.
        refused: how many packets it cannot hold.
    """

    selection = None  # it keeps everything

    def __init__(
        self, settings: JournalSettings, log: logging.Logger, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.queue: DeliveryQueue[Item] = DeliveryQueue(
            "the journal", OverflowPolicy.BLOCK, _MAX_PACKETS, _MAX_BYTES, log, time.monotonic
        )
        self.outlets: list[Outlet] = []
        self.refused: Counter[str] = Counter()
        self._settings = settings
        self._log = log
        self._clock_ns = clock_ns
        self._encoder = EntryEncoder()
        self._store: AsyncStore | None = None
        self._may_drop = frozenset[str]()
        self._number = 0
        self._newest_ns = 0
        self._outage = Outage(log)
        self._look = Look()

    def add(self, publisher: Publisher, name: str, clock_ns: Callable[[], int]) -> Outlet:
        """Put *publisher* behind this journal, before it is opened."""
        outlet = Outlet(publisher, name, self._log, clock_ns)
        self._follow(outlet)
        return outlet

    def _follow(self, outlet: Outlet) -> None:
        outlet.queue.is_written_to = lambda: self.queue.waiting > 0
        self.outlets.append(outlet)

    def check(self, coming: Iterable[Publisher]) -> None:
        """Refuse publishers that this journal cannot have while it is open.

        Raises:
            ComponentError: what the journal may drop when it is full was settled when it was opened.
        """
        for each in coming:
            if each.must_deliver and (each.overflow is not OverflowPolicy.BLOCK) != (each.name in self._may_drop):
                raise ComponentError(f"{each.name}: whether a full journal may drop what it needs is set at a start")

    def dismiss(self, names: Collection[str]) -> list[Outlet]:
        """Give nothing more to the publishers called *names*; return their outlets. Their cursors stay."""
        left = [outlet for outlet in self.outlets if outlet.name in names]
        self.outlets = [outlet for outlet in self.outlets if outlet.name not in names]
        return left

    def admit(self, outlet: Outlet) -> None:
        """Put a new publisher behind this journal, which is open: it goes on where its cursor is."""
        outlet.open(self.store)
        self._follow(outlet)

    @property
    def targets(self) -> list[Worker]:
        """The workers of the publishers behind it."""
        return [outlet.worker for outlet in self.outlets]

    @property
    def writers(self) -> list[RecordWriter]:
        """What makes their records."""
        return [outlet.writer for outlet in self.outlets if outlet.writer is not None]

    def tasks(self) -> dict[str, Callable[[], Any]]:
        """Return the coroutines that keep it going, by name."""
        return {"journal": self.run, "journal watch": self.watch} | tasks_of(self.outlets)

    async def open(self) -> None:
        """Open the store.

        Raises:
            ComponentError: it cannot be opened; the text says why.
        """
        settings = self._settings
        self._may_drop = frozenset(
            outlet.name for outlet in self.outlets if outlet.publisher.overflow is not OverflowPolicy.BLOCK
        )
        rules = Retention(int(settings.max_gb * 1e9), round(settings.max_days * NS_PER_DAY), droppable=self._may_drop)
        store = AsyncStore(
            Store(settings.path, retention=rules, segment_bytes=SEGMENT_BYTES, report=self._report),
            self._sync_failed,
            sync_s=settings.sync_s,
        )
        try:
            await store.__aenter__()
            newest = await store.call(_newest, store.store)
        except StoreError as error:
            raise ComponentError(f"the journal cannot be opened: {error}") from error
        self._store = store
        if newest is not None:
            with contextlib.suppress(EntryUnreadable):
                last = decode(newest)
                self._number, self._newest_ns = last.number + count_of(last.item), newest.end_ns
        for outlet in self.outlets:
            outlet.open(store)
        self._drop_forgotten(is_start=True)

    def _report(self, report: Report) -> None:
        self._log.warning("journal: %s", report)

    def _sync_failed(self, error: StoreError | None) -> None:
        if error is None:
            self._log.warning("the disk of the journal takes what is written again")
        else:
            self._log.error("what was journalled last may not be on the disk: %s; it is tried again", error)

    @property
    def store(self) -> AsyncStore:
        """The store, which is open."""
        assert self._store is not None  # noqa: S101 - nothing is called before `open`
        return self._store

    def _drop_forgotten(self, *, is_start: bool = False) -> None:
        """Drop the cursors of publishers that have not been in the station file for long: they keep what is below."""
        names = {outlet.name for outlet in self.outlets}
        for name, cursor in self.store.store.cursors().items():
            if name in names or cursor.position is None:
                continue
            since = to_iso(cursor.updated_ns, 0)
            if self._clock_ns() - cursor.updated_ns > _FORGOTTEN_NS:
                self.store.store.drop_cursor(name)
                self._log.warning("journal: nothing is kept for %s any more, not a publisher since %s", name, since)
            elif is_start:
                self._log.warning(
                    "journal: %s is no publisher of this component that must deliver; what it has not read is kept "
                    "until seven days after %s",
                    name,
                    since,
                )

    def put(self, items: Sequence[Item]) -> bool:
        """Have *items* written, then delivered; return False when the caller must await room in `queue`."""
        return self.queue.put(items)

    def wanted(self, messages: list[Message]) -> list[Message]:
        """Return those of *messages* that any publisher behind it takes."""
        taking = [outlet.worker.messages for outlet in self.outlets]
        return [message for message in messages if any(each.wants(message) for each in taking)]

    async def run(self) -> None:
        """Write what waits, group by group, until cancelled."""
        while True:
            batch = await self.queue.take()
            for items in _groups(batch):
                await self._write(items)
                self.queue.acknowledge(len(items))
            if self.queue.waiting:  # under load: a group costs as much as thirty packets, so it should have some
                await asyncio.sleep(_GATHER_S)

    async def _write(self, items: Sequence[Item]) -> None:
        entries: list[Entry] = []
        kept: list[Item] = []
        now_ns = self._clock_ns()
        for item in items:
            try:
                entries.append(self._encoder.encode(item, self._number, now_ns))
            except InvalidValue as error:
                self._refuse(item, error)
                continue
            kept.append(item)
            self._number += count_of(item)
        if not entries:
            return
        positions = await self._append(entries)
        self._newest_ns = max(self._newest_ns, entries[-1].end_ns)
        for outlet in self.outlets:
            outlet.queue.follow(positions.start, kept)
        for outlet in self.outlets:
            if outlet.queue.is_full and not outlet.queue.is_behind:
                await self._make_room(outlet)

    def _refuse(self, item: Item, error: InvalidValue) -> None:
        stream = stream_of(item)
        if stream not in self.refused:
            self._log.error(
                "%s is not journalled, counted as refused, and goes only to live publishers: %s", stream, error
            )
        self.refused[stream] += count_of(item)

    async def _append(self, entries: Sequence[Entry]) -> range:
        """Return the positions of *entries* when they are written, however long the disk or a full journal takes."""
        backoff = Backoff(0.1, _RETRY_MAX_S)
        stalled = asyncio.get_running_loop().call_later(_STALLED_S, self.queue.set_limit, _MAX_STALLED_BYTES)
        while True:
            try:
                positions = await self.store.append(entries)
            except (StoreUnavailable, StoreFull) as error:
                if not self._outage.is_on:
                    self._outage.log("the journal takes nothing now: %s; what comes waits, then reading is held", error)
            else:
                if self._outage.is_on:
                    self._log.warning("the journal takes data again after %.1f s", self._outage.elapsed_s)
                    self._outage.clear()
                stalled.cancel()
                if self.queue.max_bytes != _MAX_BYTES:
                    self.queue.set_limit(_MAX_BYTES)
                return positions
            await asyncio.sleep(backoff.next_s())

    async def _make_room(self, outlet: Outlet) -> None:
        """Wait a little for a publisher that is busy; one that stays full reads from the journal from now on."""
        if outlet.worker.paused_reason is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await outlet.queue.room()
        if outlet.queue.is_full:
            outlet.queue.fall_behind()

    async def watch(self) -> None:
        """Look now and then at what only the disk shows, until cancelled."""
        while True:
            positions = {outlet.name: outlet.cursor.base for outlet in self.outlets}
            newest = Newest(self._number, self._newest_ns)
            with contextlib.suppress(StoreUnavailable):
                self._look = await self.store.call(look_at, self.store.store, positions, newest)
            self._drop_forgotten()
            await asyncio.sleep(_LOOK_S)

    async def drain(self) -> None:
        """Return when all that was put is written."""
        await self.queue.empty()

    async def settle(self) -> None:
        """Move every cursor to what is delivered and safe by now; one that cannot be moved stays, which is logged."""
        for outlet in self.outlets:
            await outlet.settle()

    async def aclose(self) -> None:
        """Close the store; a disk that refuses leaves it as a kill does, which is logged."""
        if self._store is not None:
            store, self._store = self._store, None
            try:
                await store.aclose()
            except StoreError as error:
                self._log.error("the journal was not closed: %s", error)

    @property
    def left(self) -> str | None:
        """What is not written, in words; None when all is."""
        waiting = len(self.queue)
        return f"{waiting} packets that were to be journalled" if waiting else None

    def status(self) -> dict[str, object]:
        """Return what `status` shows of it; sizes and lags are some seconds old."""
        shown: dict[str, object] = {"path": str(self._settings.path), "is_open": self._store is not None}
        if self._store is None:
            return shown
        lost = self._store.store.status().dropped
        return {
            **shown,
            "max_bytes": int(self._settings.max_gb * 1e9),
            "waiting": len(self.queue),
            "is_taking_nothing": self._outage.is_on,
            "refused": self.refused.total(),
            **store_status(self._store, self._look),
            "cursors": {
                outlet.name: cursor_status(outlet, self._look, lost.get(outlet.name, {})) for outlet in self.outlets
            },
        }


def tasks_of(outlets: Iterable[Outlet]) -> dict[str, Callable[[], Any]]:
    """Return the coroutines that move the cursors of *outlets*, by name."""
    return {f"cursor {outlet.name}": outlet.cursor.run for outlet in outlets}


def _newest(store: Store) -> Stored | None:
    """Return the last entry, None when there is none or it is damaged."""
    end = store.end_position
    return entry_at(store.reader(max(end - 1, store.oldest_position)), end)


def _groups(batch: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield *batch* in parts of about `_MAX_BYTES`."""
    begin = size = 0
    for index, item in enumerate(batch, 1):
        size += size_bytes(item)
        if size >= _MAX_BYTES or index == len(batch):
            yield batch[begin:index]
            begin, size = index, 0
