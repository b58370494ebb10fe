"""What stands behind a journal for one publisher: its queue, its records where it wants some, its cursor."""

import itertools
import logging
import time
from collections.abc import Callable, Iterable

from rawdaq.delivery.items import NAMELESS
from rawdaq.delivery.journal.cursor import PublisherCursor, Start
from rawdaq.delivery.journal.ledger import Place, SampleLedger
from rawdaq.delivery.journal.queue import JournalQueue
from rawdaq.delivery.journal.source import Source
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.records import MAX_BYTES, MAX_PACKETS, RecordWriter
from rawdaq.delivery.selection import MessageSelection, selection
from rawdaq.delivery.worker import Worker
from rawdaq.errors import ComponentError
from rawdaq.journal.entries import Item
from rawdaq.miniseed.format import RecordFormat, RecordRun
from rawdaq.publisher import OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.store.async_store import AsyncStore


class _RecordQueue(DeliveryQueue[RecordRun]):
    """The records of one publisher: those that are delivered are noted in the ledger."""

    def __init__(self, publisher: Publisher) -> None:
        max_bytes = int(publisher.queue_mb * 1e6)
        policy = OverflowPolicy.BLOCK
        super().__init__(publisher.name, policy, publisher.queue_packets, max_bytes, publisher.log, time.monotonic)
        self.ledger: SampleLedger | None = None
        self.moved: Callable[[], None] = lambda: None

    def set_policy(self, policy: OverflowPolicy) -> None:
        """Do nothing: no record is dropped here, because the samples of those behind it would be taken for its own."""

    def passed_by(self, items: Iterable[RecordRun]) -> None:
        items = list(items)
        super().passed_by(items)
        self._tell(items)

    def acknowledge(self, count: int) -> None:
        self._tell(itertools.islice(self._items, count))
        super().acknowledge(count)

    def _tell(self, runs: Iterable[RecordRun]) -> None:
        assert self.ledger is not None  # noqa: S101 - it is set where this is made
        for run in runs:
            if run.rate_hz:  # a text is in no journal
                self.ledger.delivered(run)
        self.moved()


class Outlet:
    """One publisher behind a journal.

    Args:
        publisher: the publisher.
        name: its name among those of the component.
        log: for what its records refuse.
        clock_ns: nanoseconds that only run forward.

    Attributes:
        queue: what was journalled and is not with it yet.
        worker: carries batches to it.
        writer: makes its records; None when it wants packets.
        cursor: moves its cursor.
        source: reads the journal for it, which is open.
    """

    def __init__(self, publisher: Publisher, name: str, log: logging.Logger, clock_ns: Callable[[], int]) -> None:
        self.publisher = publisher
        self.name = name
        self.source: Source | None = None
        self.writer: RecordWriter | None = None
        self._ledger: SampleLedger | None = None
        self._start: Start | None = None
        if publisher.record_format is None:
            self.queue = self._queue(publisher.queue_packets, int(publisher.queue_mb * 1e6))
            self.worker = Worker(publisher, self.queue, self.begin)
        else:
            self.queue = self._queue(MAX_PACKETS, MAX_BYTES)
            self._make_records(publisher.record_format, log, clock_ns)
        self.cursor = PublisherCursor(name, publisher, self.queue, self._ledger, publisher.log)
        self.queue.moved = self.cursor.moved.set

    def _queue(self, max_items: int, max_bytes: int) -> JournalQueue:
        publisher = self.publisher
        chosen, messages = selection([publisher.streams]), MessageSelection(publisher)
        return JournalQueue(publisher.name, max_items, max_bytes, publisher.log, time.monotonic, chosen, messages)

    def _make_records(self, record_format: RecordFormat, log: logging.Logger, clock_ns: Callable[[], int]) -> None:
        records = _RecordQueue(self.publisher)
        self.worker = Worker(self.publisher, records, self.begin)
        writer = self.writer = RecordWriter(record_format, [self.worker], log, clock_ns, self.queue)
        writer.name = f"records of {self.name}"
        ledger = self._ledger = writer.ledger = records.ledger = SampleLedger(writer.counts_of)

        def enter(item: Item, place: Place) -> None:
            if isinstance(item, NAMELESS):
                ledger.enter_whole(place.position)
            elif writer.takes(item.stream):
                ledger.enter(item.stream, place, item.size)

        self.queue.enter = enter
        records.moved = lambda: self.cursor.moved.set()

    def open(self, store: AsyncStore) -> None:
        """Find in *store* where the publisher goes on; from now on what it has not got is kept."""
        self._start = self.cursor.open(store)
        self.source = Source(self.publisher.name, store, self.publisher.log)
        self.queue.open(store.store.end_position)

    async def begin(self) -> None:
        """Go on where the publisher, which is open now, was.

        Raises:
            PublisherUnavailable: it cannot say now what it had delivered.
            ComponentError: the journal is not open.
        """
        start, source = self._start, self.source
        if start is None or source is None:
            raise ComponentError("the journal is not open")
        known = await self.publisher.recover(start.marks, self.cursor.remember)
        if self._ledger is not None:
            self._ledger.begin(start.places)
        self.queue.begin(source, start.base, start.places, known)
        self.cursor.begin()

    async def settle(self) -> None:
        """Move the cursor to what is delivered and safe by now; where it cannot be moved it stays, which is logged."""
        try:
            await self.cursor.settle(at_once=True)
        except PublisherUnavailable as error:
            self.publisher.log.warning("%s delivers its last again at the next start: %s", self.name, error)
