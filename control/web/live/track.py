"""A stream as viewers see it: its memory, and a track for each form in which somebody looks at it.

A track has a number that stands for it in blocks. What it gives is made once for all who look.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

from rawdaq.control.machine.columns import LEAST_COLUMN_MS, ColumnRing, Columns, coarser, column_ms, extremes
from rawdaq.control.web.live.blocks import block, drawn_type
from rawdaq.control.web.live.samples import Run, SampleRing
from rawdaq.control.web.messages import LiveStream
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId

#: Samples of faster streams never leave the server.
MAX_SAMPLES_HZ = 500.0

_MOST_SAMPLES_A_COLUMN = 4
_REMEMBERED_PACKETS = 64  # while two subscribers overlap, each brings the same packets
_PIECE_VALUES = 1 << 16  # of a block of the past


class Past:
    """What a new viewer gets first; read bit by bit, so that it takes no memory.

    Args:
        track: of what.
        begin: the number of the first sample or column.
        end: the number after the last one.
    """

    def __init__(self, track: "SamplesTrack | ColumnsTrack", begin: int, end: int) -> None:
        self._track, self._begin, self._end = track, begin, end
        self._lost = 0

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of what is still there."""
        while self._begin < self._end:
            begin = max(self._begin, min(self._track.ring.oldest, self._end))
            self._lost += begin - self._begin
            self._begin = end = min(begin + _PIECE_VALUES, self._end)
            if piece := self._track.piece(begin, end):
                yield piece

    def lost_s(self) -> float:
        """Return how much was overwritten before it was read."""
        return self._lost / self._track.per_s


class StreamMemory:
    """The last minutes of a stream.

    Args:
        stream: which.
        rate_hz: samples per second.
        sample_type: of its samples.
        history_s: how much is kept.

    Attributes:
        stream: as the argument.
        rate_hz: as the argument.
        sample_type: as the argument.
        tracks: the forms in which somebody looks at it, by the width of a column; 0: its samples.
    """

    def __init__(self, stream: StreamId, rate_hz: float, sample_type: str, history_s: float) -> None:
        self.stream, self.rate_hz, self.sample_type = stream, rate_hz, sample_type
        self.tracks: dict[int, SamplesTrack | ColumnsTrack] = {}
        self._history_s = history_s
        self._seen: deque[tuple[int | None, int]] = deque(maxlen=_REMEMBERED_PACKETS)
        self._is_fast = rate_hz > MAX_SAMPLES_HZ
        self._samples = SampleRing(
            rate_hz, drawn_type(sample_type), 1 if self._is_fast else max(2, round(history_s * rate_hz))
        )
        self._finest = ColumnRing(LEAST_COLUMN_MS, _capacity(history_s, LEAST_COLUMN_MS) if self._is_fast else 1)

    def fits(self, packet: Packet) -> bool:
        """Whether *packet* is of the same rate and type."""
        return packet.rate_hz == self.rate_hz and drawn_type(packet.sample_type) == drawn_type(self.sample_type)

    def add(self, packet: Packet) -> bool:
        """Add *packet*; return False when it was there before."""
        mark = packet.sequence, packet.start_ns
        if not packet.size or mark in self._seen:
            return False
        self._seen.append(mark)
        samples = packet.samples
        if self._is_fast:
            fine = self._finest.add(packet.start_ns, self.rate_hz, samples)
        else:
            self._samples.add(packet.start_ns, samples)
            fine = None
        for track in self.tracks.values():
            if isinstance(track, ColumnsTrack):
                made = extremes(packet.start_ns, self.rate_hz, samples, track.ring.width_ns) if fine is None else fine
                track.ring.merge(made if fine is None else coarser(fine, track.ring.width_ms // LEAST_COLUMN_MS))
        return True

    @property
    def is_urgent(self) -> bool:
        """Whether what is not taken yet is so much that it would soon be overwritten."""
        return any(track.is_urgent for track in self.tracks.values() if isinstance(track, SamplesTrack))

    def runs(self, since_ns: int) -> list[Run]:
        """Return the samples since *since_ns*; none of a stream of which only columns are kept."""
        ring = self._samples
        return [] if self._is_fast else list(ring.runs(ring.since(since_ns), ring.count))

    def width_ms(self, asked_ms: float) -> int:
        """Return in which form who asks for *asked_ms* sees it: the width of a column; 0: as samples."""
        width = column_ms(asked_ms)
        is_fine = not self._is_fast and self.rate_hz * width / 1000 <= _MOST_SAMPLES_A_COLUMN
        return 0 if is_fine else width

    def track(self, width_ms: int, number: int) -> "SamplesTrack | ColumnsTrack":
        """Return the track of this form; a new one has *number*, and all of the past."""
        if (known := self.tracks.get(width_ms)) is not None:
            return known
        about = LiveStream(
            i=number,
            id=str(self.stream),
            rate_hz=self.rate_hz,
            kind="columns" if width_ms else "samples",
            sample_type="int32" if not width_ms and drawn_type(self.sample_type).kind == "i" else "float32",
            column_ms=width_ms or None,
            history_s=self._history_s,
        )
        made = self._columns(about, width_ms) if width_ms else SamplesTrack(about, self._samples)
        self.tracks[width_ms] = made
        return made

    def _columns(self, about: LiveStream, width_ms: int) -> "ColumnsTrack":
        ring = ColumnRing(width_ms, _capacity(self._history_s, width_ms))
        if not self._is_fast:
            for run in self._samples.runs(0, self._samples.count):
                ring.add(run.start_ns, self.rate_hz, run.values)
        elif (fine := self._finest.read(self._finest.oldest, (self._finest.newest or 0) + 1)) is not None:
            ring.merge(coarser(fine, width_ms // LEAST_COLUMN_MS))
        ring.take_changed()
        return ColumnsTrack(about, ring)


def _capacity(history_s: float, width_ms: int) -> int:
    return max(2, round(history_s * 1000 / width_ms) + 1)


class SamplesTrack:
    """The samples of a stream."""

    def __init__(self, about: LiveStream, ring: SampleRing) -> None:
        self.about, self.ring, self.per_s = about, ring, ring.rate_hz
        self._taken = ring.count

    @property
    def is_urgent(self) -> bool:
        """Whether half of what is kept is not taken yet."""
        return 2 * (self.ring.count - self._taken) > self.ring.capacity

    def take(self) -> bytes:
        """Return blocks of the samples that have come since the last call."""
        begin, self._taken = self._taken, self.ring.count
        return self.piece(begin, self._taken)

    def piece(self, begin: int, end: int) -> bytes:
        """Return blocks of the samples from *begin* up to *end* that are still there."""
        runs = self.ring.runs(begin, end)
        return b"".join(block(self.about.i, run.start_ns, self.per_s, run.values) for run in runs)

    def past(self, since_ns: int) -> Past:
        """Return the samples since *since_ns* that were taken already."""
        return Past(self, min(self.ring.since(since_ns), self._taken), self._taken)


class ColumnsTrack:
    """The columns of a stream, of one width."""

    def __init__(self, about: LiveStream, ring: ColumnRing) -> None:
        self.about, self.ring, self.per_s = about, ring, 1000 / ring.width_ms

    def take(self) -> bytes:
        """Return a block from the first to the last column that has changed since the last call."""
        made = self.ring.take_changed()
        return b"" if made is None else self._block(made.first, made.values)

    def _block(self, first: int, values: Columns) -> bytes:
        return block(self.about.i, first * self.ring.width_ns, self.per_s, values)

    def piece(self, begin: int, end: int) -> bytes:
        """Return a block of the columns from *begin* up to *end*, without empty ones at either side."""
        made = self.ring.read(begin, end)
        if made is None or not (filled := np.flatnonzero(~np.isnan(made.values[:, 0]))).size:
            return b""
        return self._block(made.first + int(filled[0]), made.values[filled[0] : filled[-1] + 1])

    def past(self, since_ns: int) -> Past:
        """Return the columns since *since_ns*."""
        begin = max(since_ns // self.ring.width_ns, self.ring.oldest)
        return Past(self, begin, (self.ring.newest or 0) + 1)
