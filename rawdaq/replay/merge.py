"""The samples of many files as packets in order of time, in bounded memory, and records that hold none as they are.

A source is opened when its first sample is due. Of each of its parts a window of records is held that are not decoded
yet, so that records a little out of order, and whole small files, come in order; a record that is later than its window
comes late, but it comes. One heap orders everything by the time when it is due: sources and records by their first
sample, packets by their last one, because that is when a device sends them.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from rawdaq.miniseed.format import RecordRun
from rawdaq.packet import Packet
from rawdaq.replay.sources import Piece, Source, Unloaded
from rawdaq.stream_id import StreamId
from rawdaq.times import CONTIGUOUS_SAMPLES, NS_PER_S, sample_time, span_ns

#: Earlier than any time in a file.
BEGINNING_NS = -(1 << 63)

#: The largest packet, of whatever length in time: what the RAW protocol allows too.
MAX_PACKET_SAMPLES = 1 << 20

_WINDOW_BYTES = 8 << 20  # of records that wait, of all parts together ...
_MIN_WINDOW_BYTES = 1 << 16  # ... but at least this much of each
_STEP_NS = 1000  # miniSEED 2 has microseconds: nearer than that, two times are the same


class Merge:
    """Iterates over the packets of *sources*, by the time of their last samples.

    Args:
        sources: files.
        packet_s: the length of a packet; 0 leaves the pieces as they are in the files.
        begin_ns: leave out every sample before this time.
    """

    def __init__(self, sources: Iterable[Source], packet_s: float, begin_ns: int = BEGINNING_NS) -> None:
        self._packet_s = packet_s
        self._begin_ns = begin_ns
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Callable[[], Packet | RecordRun | None]]] = []
        self._cutters: dict[StreamId, _Cutter] = {}
        self._windows = 0
        for source in sources:
            self._push(source.extent.start_ns, partial(self._open, source))

    def __iter__(self) -> Iterator[Packet | RecordRun]:
        return self

    def __next__(self) -> Packet | RecordRun:
        while self._heap:
            _, _, act = heapq.heappop(self._heap)
            packet = act()
            if packet is not None:
                return packet
        raise StopIteration

    def batch(self, max_packets: int, max_bytes: int) -> list[Packet | RecordRun]:
        """Return the next packets, up to a number of packets and of bytes of samples; none at the end."""
        taken: list[Packet | RecordRun] = []
        for packet in self:
            taken.append(packet)
            max_bytes -= len(packet.data)
            if len(taken) >= max_packets or max_bytes <= 0:
                break
        return taken

    def _push(self, due_ns: int, act: Callable[[], Packet | RecordRun | None]) -> None:
        heapq.heappush(self._heap, (due_ns, next(self._order), act))

    def _open(self, source: Source) -> None:
        windows = [_Window(part) for part in source.open(self._begin_ns)]
        self._windows += len(windows)
        for window in windows:
            self._refill(window)

    def _refill(self, window: "_Window") -> None:
        window.fill(max(_MIN_WINDOW_BYTES, _WINDOW_BYTES // self._windows))
        if window.is_empty:
            self._windows -= 1
        else:
            self._push(window.start_ns, partial(self._take, window))

    def _take(self, window: "_Window") -> None:
        loaded = window.take().load()
        if isinstance(loaded, RecordRun):
            if loaded.start_ns >= self._begin_ns:
                self._push(loaded.start_ns, partial(_itself, loaded))
        elif loaded and (piece := _cut_before(loaded, self._begin_ns)):
            self._cut(piece)
        self._refill(window)

    def _cut(self, piece: Piece) -> None:
        cutter = self._cutters.get(piece.stream)
        if cutter is None:
            cutter = self._cutters[piece.stream] = _Cutter(self._packet_s)
        for packets in cutter.add(piece):
            self._schedule(packets)
        if cutter.flush_ns is not None:
            self._push(cutter.flush_ns, partial(self._flush, cutter, cutter.changes))

    def _schedule(self, packets: Iterator[Packet]) -> None:
        packet = next(packets, None)
        if packet is not None:
            self._push(packet.end_ns, partial(self._return, packet, packets))

    def _return(self, packet: Packet, following: Iterator[Packet]) -> Packet:
        self._schedule(following)
        return packet

    def _flush(self, cutter: "_Cutter", changes: int) -> Packet | None:
        """Return what waits in the cutter, unless more samples were added since."""
        return cutter.flush() if cutter.changes == changes else None


class _Window:
    """What was read ahead of one part, the earliest first."""

    def __init__(self, part: Iterator[Unloaded]) -> None:
        self._part = part
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Unloaded]] = []
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self._heap

    @property
    def start_ns(self) -> int:
        return self._heap[0][0]

    def fill(self, limit_bytes: int) -> None:
        """Read until *limit_bytes* wait, or to the end of the part."""
        while self._bytes < limit_bytes:
            unloaded = next(self._part, None)
            if unloaded is None:
                return
            heapq.heappush(self._heap, (unloaded.start_ns, next(self._order), unloaded))
            self._bytes += unloaded.size_bytes

    def take(self) -> Unloaded:
        unloaded = heapq.heappop(self._heap)[2]
        self._bytes -= unloaded.size_bytes
        return unloaded


class _Cutter:
    """Cuts the pieces of one stream into packets of equal length; what does not fill one waits for the next piece.

    A packet has the start time and the timing quality of the piece in which its first sample lies. It reaches into
    the next piece only if that begins where this one ends, to a microsecond; otherwise it is shorter.

    Attributes:
        changes: how often the samples that wait have changed.
    """

    def __init__(self, packet_s: float) -> None:
        self.changes = 0
        self._packet_s = packet_s
        self._waiting: list[Piece] = []

    @property
    def flush_ns(self) -> int | None:
        """From when on nothing can follow the samples that wait; None when none wait."""
        if not self._waiting:
            return None
        return self._next_ns + span_ns(CONTIGUOUS_SAMPLES, self._waiting[0].rate_hz)

    @property
    def _next_ns(self) -> int:
        last = self._waiting[-1]
        return sample_time(last.start_ns, last.samples.size, last.rate_hz)

    def add(self, piece: Piece) -> list[Iterator[Packet]]:
        """Return the packets that are complete with *piece*."""
        self.changes += 1
        made: list[Iterator[Packet]] = []
        if self._waiting and not self._is_continued_by(piece):
            made.append(iter([self.flush()]))
        size, done = self._size(piece.rate_hz), 0
        if self._waiting:
            done = min(piece.samples.size, size - sum(each.samples.size for each in self._waiting))
            self._waiting.append(_part(piece, 0, done))
            if done == piece.samples.size and sum(each.samples.size for each in self._waiting) < size:
                return made
            made.append(iter([self.flush()]))
        whole = done + (piece.samples.size - done) // size * size
        made.append(_packet(_part(piece, first, first + size)) for first in range(done, whole, size))
        if whole < piece.samples.size:
            self._waiting.append(_part(piece, whole, piece.samples.size))
            if not self._packet_s:
                made.append(iter([self.flush()]))
        return made

    def _size(self, rate_hz: float) -> int:
        return (
            min(max(round(self._packet_s * rate_hz), 1), MAX_PACKET_SAMPLES) if self._packet_s else MAX_PACKET_SAMPLES
        )

    def _is_continued_by(self, piece: Piece) -> bool:
        first = self._waiting[0]
        has_same_format = piece.rate_hz == first.rate_hz and piece.samples.dtype == first.samples.dtype
        return has_same_format and piece.marks == first.marks and abs(piece.start_ns - self._next_ns) < _STEP_NS

    def flush(self) -> Packet:
        """Return what waits as a packet."""
        self.changes += 1
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            return _packet(waiting[0])
        return _packet(waiting[0]._replace(samples=np.concatenate([each.samples for each in waiting])))


def _itself(run: RecordRun) -> RecordRun:
    return run


def _packet(piece: Piece) -> Packet:
    return Packet(piece.stream, piece.start_ns, piece.rate_hz, piece.samples, piece.timing_quality, marks=piece.marks)


def _part(piece: Piece, first: int, end: int) -> Piece:
    """Return samples *first* to *end* of *piece*."""
    if first == 0 and end == piece.samples.size:
        return piece
    start_ns = sample_time(piece.start_ns, first, piece.rate_hz)
    return piece._replace(start_ns=start_ns, samples=piece.samples[first:end])


def _cut_before(piece: Piece, begin_ns: int) -> Piece | None:
    """Return *piece* without the samples before *begin_ns*, None when nothing is left."""
    if piece.start_ns >= begin_ns:
        return piece
    first = round((begin_ns - piece.start_ns) * piece.rate_hz / NS_PER_S)
    first += sample_time(piece.start_ns, first, piece.rate_hz) < begin_ns
    return _part(piece, first, piece.samples.size) if first < piece.samples.size else None
