"""Puts packets in order that a network has mixed up, drops copies, and waits a while for missing ones.

Nothing waits as long as nothing is missing. Only time decides: a packet is next when it begins within half a sample of
where the last one ended. No clock is read here: the caller passes the time in.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

import numpy as np

from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.times import CONTIGUOUS_SAMPLES, NS_PER_S

Item: TypeAlias = Packet | PacketRun

#: Stamps are cut to microseconds, at both ends of a packet.
_STAMP_NS = 2000

#: Before every time.
_NEVER_NS = -(1 << 63)

#: Packets of a stream that are remembered, twice over, so that a copy is recognised: seconds at usual rates.
_KNOWN_PACKETS = 50_000
_KNOWN_NS = 10 * NS_PER_S

#: What may wait in all streams together; beyond it the stream of which most waits gives up what it waits for.
MAX_WAITING_BYTES = 64_000_000
_ITEM_OVERHEAD_BYTES = 800  # objects, and what is remembered of it

#: So many old packets that follow each other, and no other, mean that the device's clock was set back.
_RESTART_PACKETS = 4


@dataclass(slots=True)
class OrderCounts:
    """What happened to the packets of a stream.

    Attributes:
        reordered: came late and were put where they belong.
        duplicates: came again and were dropped.
        too_late: came when what follows them was already published, and were dropped.
        given_up: how often waiting for missing packets was given up.
        restarts: how often the device's time ran back and was followed.
    """

    reordered: int = 0
    duplicates: int = 0
    too_late: int = 0
    given_up: int = 0
    restarts: int = 0

    def report(self) -> dict[str, int]:
        """Return them by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Reorder:
    """The order of all streams of a receiver.

    Args:
        wait_s: how long a missing packet is waited for; 0: packets pass as they come, only copies are dropped.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_ns = round(wait_s * NS_PER_S)
        self._streams: dict[StreamId, _Order] = {}
        self._waiting: dict[_Order, None] = {}  # those of which something waits: usually none of thousands

    @property
    def waiting_bytes(self) -> int:
        """The memory that waiting packets hold."""
        return sum(order.waiting_bytes for order in self._waiting)

    @property
    def due_ns(self) -> int | None:
        """When `release` has something to do at the earliest; None while nothing waits."""
        return min((order.due_ns for order in self._waiting if order.due_ns is not None), default=None)

    def add(self, items: Iterable[Item], now_ns: int) -> list[Item]:
        """Take *items* and return what can be published, each stream in order.

        Args:
            items: what came, in any order.
            now_ns: a clock that only runs forward.
        """
        out: list[Item] = []
        for item in items:
            order = self._streams.get(item.stream)
            if order is None:
                order = self._streams[item.stream] = _Order(item.rate_hz, self._wait_ns)
            order.add(item, now_ns, out)
            if order.waiting_bytes:
                self._waiting[order] = None
        while self._waiting and self.waiting_bytes > MAX_WAITING_BYTES:
            max(self._waiting, key=lambda each: each.waiting_bytes).give_up(out)
        self._forget_empty()
        return out

    def release(self, now_ns: int) -> list[Item]:
        """Return what has waited long enough by *now_ns*, and what follows it."""
        out: list[Item] = []
        for order in self._waiting:
            order.release(now_ns, out)
        self._forget_empty()
        return out

    def flush(self) -> list[Item]:
        """Return all that waits."""
        out: list[Item] = []
        for order in self._waiting:
            order.flush(out)
        self._forget_empty()
        return out

    def _forget_empty(self) -> None:
        if self._waiting:
            self._waiting = {order: None for order in self._waiting if order.waiting_bytes}

    def report(self) -> dict[str, dict[str, int]]:
        """Return the counts, and how many packets wait, of every stream to which anything has happened."""
        reports = {
            str(stream): order.counts.report() | {"waiting": order.waiting}
            for stream, order in sorted(self._streams.items())
        }
        return {stream: report for stream, report in reports.items() if any(report.values())}


#: What distinguishes packets: their start and a checksum of their samples. The start alone does not: a leap second, or
#: a device whose clock was set back, gives two packets of one time that are both needed.
_Mark: TypeAlias = tuple[int, int]


def _marks(item: Item) -> list[_Mark]:
    """Return the mark of each packet of *item*."""
    if isinstance(item, Packet):
        return [(item.start_ns, crc32(item.data))]
    samples = np.ascontiguousarray(item.samples)
    rows, width = samples.reshape(-1).view(np.uint8).data, samples.strides[0]
    starts = enumerate(item.starts_ns)
    return [(start_ns, crc32(rows[index * width : (index + 1) * width])) for index, start_ns in starts]


class _Known:
    """The packets that came lately, so that a copy is recognised."""

    __slots__ = ("_newer", "_older", "_since_ns")

    def __init__(self) -> None:
        self._newer: set[_Mark] = set()
        self._older: set[_Mark] = set()
        self._since_ns = 0

    def add(self, item: Item, now_ns: int) -> None:
        if len(self._newer) >= _KNOWN_PACKETS or now_ns - self._since_ns > _KNOWN_NS:
            self._older, self._newer, self._since_ns = self._newer, set(), now_ns
        self._newer.update(_marks(item))

    def has_any_of(self, item: Item) -> bool:
        marks = _marks(item)
        return not (self._newer.isdisjoint(marks) and self._older.isdisjoint(marks))


class _Order:
    """The order of one stream.

    What waits is kept twice: in a heap by its start, and in the order of its arrival, which decides when to give up.
    """

    __slots__ = (
        "_arrivals",
        "_heap",
        "_interval_ns",
        "_known",
        "_latest_ns",
        "_least",
        "_next_ns",
        "_old",
        "_old_since_ns",
        "_serial",
        "_slack_ns",
        "_tolerance_ns",
        "_wait_ns",
        "counts",
        "waiting_bytes",
    )

    def __init__(self, rate_hz: float, wait_ns: int) -> None:
        self.counts = OrderCounts()
        self.waiting_bytes = 0
        self._wait_ns = wait_ns
        self._interval_ns = NS_PER_S / rate_hz
        self._tolerance_ns = CONTIGUOUS_SAMPLES * self._interval_ns
        self._slack_ns = min(self._tolerance_ns, _STAMP_NS)
        self._next_ns: int | None = None  # where the packet that follows begins; None: not begun
        self._latest_ns = _NEVER_NS
        self._least = 0  # samples of the smallest packet so far
        self._known = _Known()
        self._heap: list[tuple[int, int, Item]] = []  # start, a number that makes entries differ, what waits
        self._arrivals: deque[tuple[int, int]] = deque()  # when it came, its start
        self._serial = 0
        self._old: dict[int, Packet] = {}  # by start, see _keep_old
        self._old_since_ns = 0

    @property
    def due_ns(self) -> int | None:
        """When waiting for what is missing is given up."""
        return self._arrivals[0][0] + self._wait_ns if self._arrivals else None

    @property
    def waiting(self) -> int:
        """How many packets wait."""
        return sum(_count(item) for _, _, item in self._heap)

    def add(self, item: Item, now_ns: int, out: list[Item]) -> None:
        """Take *item*; append what can be published to *out*."""
        if not self._heap and item.start_ns > self._latest_ns and self._is_next(item):  # mostly, and never a copy
            self._known.add(item, now_ns)
            self._pass(item, out)
        elif isinstance(item, Packet):
            self._place(item, now_ns, out)
        elif not self._known.has_any_of(item) and (self._is_next(item) or self._has_room_before(item)):
            self._place_new(item, now_ns, out)
        else:
            for packet in item:
                self._place(packet, now_ns, out)

    def release(self, now_ns: int, out: list[Item]) -> None:
        """Append what has waited long enough, and what follows it."""
        while self._arrivals and self._arrivals[0][0] + self._wait_ns <= now_ns:
            self.give_up(out)

    def give_up(self, out: list[Item]) -> None:
        """Give up waiting for what is missing first: append what follows it."""
        if self._heap:
            self.counts.given_up += self._next_ns is not None  # at the beginning nothing is known to be missing
            self._pass_first(out)
        else:
            self._forget_old()

    def flush(self, out: list[Item]) -> None:
        """Append all that waits."""
        while self._heap:
            self._pass_first(out)
        self._forget_old()

    def _place(self, packet: Packet, now_ns: int, out: list[Item]) -> None:
        if self._known.has_any_of(packet):
            self.counts.duplicates += 1
        elif self._wait_ns and self._is_old(packet):
            self._keep_old(packet, now_ns, out)
        else:
            self._place_new(packet, now_ns, out)

    def _place_new(self, item: Item, now_ns: int, out: list[Item]) -> None:
        self._known.add(item, now_ns)
        if item.start_ns < self._latest_ns:
            self.counts.reordered += _count(item)
        if self._wait_ns and self._has_room_before(item):
            self._hold(item, now_ns)
        else:
            self._pass(item, out)
            self._pass_followers(out)

    def _is_next(self, item: Item) -> bool:
        return self._next_ns is not None and abs(item.start_ns - self._next_ns) <= self._tolerance_ns

    def _is_old(self, item: Item) -> bool:
        """Whether all of *item* lies before what is to come, so that it can no longer be put in order."""
        return self._next_ns is not None and item.next_ns <= self._next_ns + self._slack_ns

    def _has_room_before(self, item: Item) -> bool:
        """Whether a packet may be missing before *item*: not where the smallest so far would not fit."""
        if self._next_ns is None:
            return True
        missing = (item.start_ns - self._next_ns) / self._interval_ns
        return missing > CONTIGUOUS_SAMPLES and missing >= min(self._least, item.samples.shape[-1]) - CONTIGUOUS_SAMPLES

    def _hold(self, item: Item, now_ns: int) -> None:
        item = item.owned()
        heapq.heappush(self._heap, (item.start_ns, self._serial, item))
        self._serial += 1
        self._arrivals.append((now_ns, item.start_ns))
        self._latest_ns = max(self._latest_ns, item.start_ns)
        self.waiting_bytes += _size_bytes(item)

    def _pass(self, item: Item, out: list[Item]) -> None:
        """Publish *item*, and note where the next one begins."""
        out.append(item)
        self._next_ns = item.next_ns
        self._latest_ns = max(self._latest_ns, item.start_ns)
        size = item.samples.shape[-1]
        if size < self._least or not self._least:
            self._least = size
        if self._old:
            self._forget_old()

    def _pass_first(self, out: list[Item]) -> None:
        """Publish what waits foremost, whatever is missing before it, and what follows it."""
        self._pass(self._pop(), out)
        self._pass_followers(out)

    def _pass_followers(self, out: list[Item]) -> None:
        while self._heap and not self._has_room_before(self._heap[0][2]):
            item = self._pop()
            if self._is_old(item):  # other packets have brought its samples meanwhile
                self.counts.duplicates += _count(item)
            else:
                self._pass(item, out)
        while self._arrivals and (not self._heap or self._arrivals[0][1] < self._heap[0][0]):
            self._arrivals.popleft()

    def _pop(self) -> Item:
        item = heapq.heappop(self._heap)[2]
        self.waiting_bytes -= _size_bytes(item)
        return item

    def _keep_old(self, packet: Packet, now_ns: int, out: list[Item]) -> None:
        """Take a packet that comes too late, unless the device's clock was set back.

        Stragglers come between others. When nothing but old packets comes for as long as stragglers may take, and
        some of them follow each other, they are the stream.
        """
        if packet.start_ns in self._old:
            self.counts.duplicates += 1
            return
        if not self._old:
            self._old_since_ns = now_ns
        self._old[packet.start_ns] = packet.owned()
        self.waiting_bytes += _size_bytes(packet)
        if len(self._old) >= _RESTART_PACKETS and now_ns - self._old_since_ns >= self._wait_ns:
            if self._is_a_row(sorted(self._old.values(), key=lambda each: each.start_ns)):
                self._restart(now_ns, out)
            else:
                self._forget_old()

    def _is_a_row(self, packets: list[Packet]) -> bool:
        pairs = itertools.pairwise(packets)
        return sum(abs(later.start_ns - packet.next_ns) <= self._tolerance_ns for packet, later in pairs) >= (
            _RESTART_PACKETS - 1
        )

    def _forget_old(self) -> None:
        self.counts.too_late += len(self._old)
        self.waiting_bytes -= sum(map(_size_bytes, self._old.values()))
        self._old = {}

    def _restart(self, now_ns: int, out: list[Item]) -> None:
        """Follow the device's clock back: begin anew with what came since."""
        again, self._old = list(self._old.values()), {}
        self.waiting_bytes -= sum(map(_size_bytes, again))
        self.flush(out)
        self.counts.restarts += 1
        self._next_ns, self._latest_ns = None, _NEVER_NS
        self._known = _Known()
        for packet in again:
            self._place_new(packet, now_ns, out)


def _count(item: Item) -> int:
    return 1 if isinstance(item, Packet) else len(item)


def _size_bytes(item: Item) -> int:
    return item.samples.nbytes + _ITEM_OVERHEAD_BYTES
