"""From packets to the records of one format, once for all publishers that want it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from rawdaq.archive.extent import Extent
from rawdaq.delivery.items import Published, owned
from rawdaq.delivery.journal.ledger import SampleLedger
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.selection import selection
from rawdaq.delivery.worker import Worker
from rawdaq.messages.message import Message
from rawdaq.miniseed.convert import whole_record
from rawdaq.miniseed.format import flush_after_ns
from rawdaq.miniseed.maker import RecordCounts, RecordFormat, RecordMaker, RecordRun, why_not
from rawdaq.miniseed.series import is_compiled
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import OverflowPolicy, Publisher
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

#: What waits for a record maker, which never waits itself: one burst is enough.
MAX_PACKETS = 10_000
MAX_BYTES = 4_000_000

#: Records of a stream that are made at once under load: what one series costs beside its records is then little.
_RECORDS_AT_ONCE = 32
_BUSY_ITEMS = 32  # in one batch
_HOLD_NS = NS_PER_S // 10  # so long at most


def fill_s(publishers: Iterable[Publisher], lowest_rate_hz: float) -> float:
    """Return after how long the last samples are in records, full or not, of the slowest stream too."""
    formats = [each.record_format for each in publishers if each.record_format]
    return max((flush_after_ns(each, lowest_rate_hz) for each in formats), default=0) / NS_PER_S


class RecordWriter:
    """Makes the records of one format, once for all publishers that want it.

    Args:
        record_format: what they look like.
        targets: the workers of these publishers.
        log: where it is logged what cannot be a record.
        clock_ns: nanoseconds that only run forward.
        queue: packets that wait for records to be made of them; by default a new one.

    Attributes:
        targets: as the argument.
        queue: as the argument.
        ledger: what takes note of all records, if anything.
        selection: what none of the publishers wants is left out.
        is_dead: whether the task has ended with an error.
        name: of its task.
        format: as the argument.
    """

    def __init__(
        self,
        record_format: RecordFormat,
        targets: list[Worker],
        log: logging.Logger,
        clock_ns: Callable[[], int],
        queue: DeliveryQueue[Published] | None = None,
    ) -> None:
        self.targets = targets
        self.queue: DeliveryQueue[Published] = (
            DeliveryQueue("records", OverflowPolicy.BLOCK, MAX_PACKETS, MAX_BYTES, log, time.monotonic)
            if queue is None
            else queue
        )
        self.ledger: SampleLedger | None = None
        self.selection = selection([target.publisher.streams for target in targets])
        self.refused = self._fallbacks = 0
        self.is_dead = False
        self.name = "records"
        self._log = log
        self._clock_ns = clock_ns
        self.format = record_format
        self._maker = RecordMaker(record_format)
        self._accepted: set[StreamId] = set()
        self._refused: set[StreamId] = set()
        self._has_logged_bytes = False
        self._timer: asyncio.TimerHandle | None = None
        self._holding_since_ns = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_idle = False
        self._failure: Exception | None = None

    def put(self, packets: list[Packet | PacketRun | bytes]) -> bool:
        """Have records made of *packets*: at once when nothing waits and they are few, else by the task.

        Returns:
            False when the caller must await room in the queue before it puts more.
        """
        queue = self.queue
        if self._is_idle and not queue.waiting and self._can_make_now(packets):
            try:
                records = self._maker.add(packets, self._clock_ns())  # type: ignore[arg-type]  # all are packets
                if self._timer is None and self._maker.due_ns is not None:
                    self._set_timer()
                if records:
                    self._offer(records)
                queue.delivered_count += len(packets)
                return True
            except Exception as error:
                self._failure = error  # the task ends with it, as with one of its own
        if self.selection is not None and queue.waiting:  # so that views keep one read at most
            return queue.put(owned(packets))
        return queue.put(packets)

    def _can_make_now(self, packets: list[Packet | PacketRun | bytes]) -> bool:
        """Return whether *packets* are a few single ones that can be records, and every target has room."""
        if len(packets) >= _BUSY_ITEMS:
            return False
        for packet in packets:
            if not isinstance(packet, Packet):
                return False
            if packet.stream not in self._accepted and not self._accept(packet.stream):
                return False
        for target in self.targets:
            if target.queue.waiting and target.queue.is_full:
                return False
        return True

    async def run(self) -> None:
        """Turn packets into records until cancelled; a partial record leaves when it is due."""
        if not is_compiled():
            self._log.info(
                "records cost more than need be: rawdaq was installed without a C compiler and Python's headers; with "
                "both, install it again (pip install --force-reinstall --no-cache-dir)"
            )
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._set_timer()
                self._is_idle = True
                batch = await self.queue.take()
                self._is_idle = False
                if self._failure is not None:
                    raise self._failure
                records = self._add(batch) if batch else []
                records += self._maker.flush_due(self._clock_ns())
                await self._hand_on(records)
                self.queue.acknowledge(len(batch))
                if self._maker.is_holding and not await self._may_hold():
                    await self._hand_on(self._maker.take())
                if not self._maker.is_holding:
                    self._holding_since_ns = 0
        except Exception:
            self.is_dead = True  # what waits for records is not taken any more
            raise
        finally:
            self._is_idle = False
            if self._timer is not None:
                self._timer.cancel()

    def _set_timer(self) -> None:
        """See that `run` goes on when a record is due; one timer runs out before another is set."""
        due_ns = self._maker.due_ns
        if due_ns is not None and self._timer is None and self._loop is not None:
            delay_s = max(0, due_ns - self._clock_ns()) / NS_PER_S
            self._timer = self._loop.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        """Make the records that are due; when something waits, the task does it."""
        self._timer = None
        if not self._is_idle or self.queue.waiting or self._failure is not None:
            self.queue.wake()
            return
        try:
            self._offer(self._maker.flush_due(self._clock_ns()))
            self._set_timer()
        except Exception as error:
            self._failure = error
            self.queue.wake()

    async def _may_hold(self) -> bool:
        """Whether full records may wait for more: that comes soon, and it is not for long."""
        now_ns = self._clock_ns()
        self._holding_since_ns = self._holding_since_ns or now_ns
        left_ns = self._holding_since_ns + _HOLD_NS - now_ns
        if left_ns < 0:
            return False
        return await self.queue.comes_soon(left_ns / NS_PER_S)

    def _add(self, batch: list[Published]) -> list[RecordRun]:
        """Return the records that *batch* fills; what cannot be a record is counted."""
        packets: list[Packet | PacketRun] = []
        whole: list[RecordRun] = []
        for item in batch:
            if isinstance(item, Message):
                continue  # none comes here: a journal was written with another station file
            made = whole_record(item, self.format) if isinstance(item, bytes) else item
            if made is None:
                self._refuse_bytes()
            elif made.stream not in self._accepted and not self._accept(made.stream):
                self.refused += made.count
            elif isinstance(made, RecordRun):
                whole.append(made)
            else:
                packets.append(made)
        is_busy = len(packets) >= _BUSY_ITEMS or any(isinstance(item, PacketRun) for item in packets)
        return whole + self._maker.add(packets, self._clock_ns(), _RECORDS_AT_ONCE if is_busy else 1)

    def takes(self, stream: StreamId) -> bool:
        """Return whether the packets of *stream* that came so far were to become records."""
        return stream in self._accepted

    def counts_of(self, stream: StreamId) -> RecordCounts | None:
        """Return what was made of *stream* so far, None when no packet of it came; it goes on counting."""
        return self._maker.counts_of(stream)

    def _refuse_bytes(self) -> None:
        self.refused += 1
        if not self._has_logged_bytes:
            self._has_logged_bytes = True
            self._log.error("plain bytes that are no miniSEED record: not written as miniSEED, counted as refused")

    def _accept(self, stream: StreamId) -> bool:
        """Return whether the format can name *stream*; logged once per stream when it cannot."""
        if stream in self._refused:
            return False
        reason = why_not(self.format, stream)
        if reason is None:
            self._accepted.add(stream)
            return True
        self._refused.add(stream)
        self._log.error("%s is not written as miniSEED, counted as refused: %s", stream, reason)
        return False

    def status(self) -> dict[str, int]:
        """Return what `status` shows at the publishers of this format.

        ``refused`` counts packets that cannot be records and samples for which there is no encoding, ``fallbacks``
        records in another encoding than the wanted one.
        """
        counts = self._maker.counts.values()
        return {
            "refused": self.refused + sum(each.refused for each in counts),
            "fallbacks": self._fallbacks + sum(each.fallbacks for each in counts),
        }

    def go_on_counting(self, before: "RecordWriter") -> None:
        """Count on from what *before* has counted, in whose place this one comes."""
        counted = before.status()
        self.refused, self._fallbacks = counted["refused"], counted["fallbacks"]

    async def drain(self) -> None:
        """Make records of all that waits, also those that are not full; return when all publishers have them.

        Their queues must not make it wait for room: one that is full would keep the last records from the others.
        """
        await self.queue.empty()
        await self._hand_on(self._maker.flush())

    @property
    def left(self) -> str | None:
        """What waits to become records, in words; None when nothing does."""
        extent = Extent(self.queue.items(with_taken=True))
        for part in self._maker.waiting():
            extent.add_samples(*part)
        names = ", ".join(target.publisher.name for target in self.targets)
        return f"what was to become records of {names}: {extent}" if extent else None

    async def _hand_on(self, records: list[RecordRun]) -> None:
        if records:
            self._offer(records)
            for target in self.targets:
                await target.queue.room()

    def _offer(self, records: list[RecordRun]) -> None:
        if records:
            if self.ledger is not None:
                self.ledger.made(records)
            for target in self.targets:
                target.put(records if target.selection is None else target.selection.of(records))
