"""Samples of one stream that follow each other without a gap and wait to become records."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.packet import Marks, Packet, PacketRun, Samples
from rawdaq.times import CONTIGUOUS_SAMPLES, MAX_YEAR, MIN_YEAR, NS_PER_DAY, NS_PER_S, from_calendar, sample_time

_FIRST_CAPACITY = 1024
_KEPT_CAPACITY = 4096  # what is larger is given back after a burst: of many streams it would add up to megabytes
#: Where a run may begin without a closer look: all times between are in the years that records can say.
_FIRST_NS, _LAST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 0, 0, 0) - NS_PER_DAY
#: A drift that adds up closes the record at hand before that is half a sample off, so that the next one, which begins
#: where its packet does, continues it for every reader: beyond this, when ...
_ADDED_UP_SAMPLES = 3 / 8
_STEP_SAMPLES = 1 / 8  # ... one packet adds no more than this
_STAMP_NS = 1000  # but stamps that are cut to microseconds do not add up
_NO_TYPE = np.dtype("V1")  # that no packet has; numpy takes None for float64
_SPARE = 4  # room is taken for a fourth more than is needed


class _Origin(NamedTuple):
    """The packet that some of the samples came from."""

    position: int  # of its first sample in the run
    start_ns: int
    timing_quality: int | None
    arrived_ns: int


_origin = partial(tuple.__new__, _Origin)  # what a NamedTuple does itself, without a call of Python


class PendingSamples:
    """Contiguous samples of one stream: packets are appended at its end, records are taken from its start.

    The time of the first sample always comes from the packet in which it lies, so rounding in the time stamps of a
    device never adds up, however long the run.

    Args:
        dtype: native type in which the samples are kept.
        rate_hz: their sampling rate.
        taken: the type of the samples of packets that can be appended; by default there are none.
        marks: flags that all these packets have.

    Attributes:
        rate_hz: their sampling rate.
        marks: as the argument.
        size: how many samples wait.
        start_ns: time of the first of them.
        timing_quality: of the packet in which the first sample lies.
        is_mixed: whether packets of other timing qualities wait too.
        interval_ns: between two samples.
    """

    # Slots, and numpy asked for nothing where a packet goes on as before: at the pace of real devices all is cold.
    __slots__ = (
        "_begin",
        "_buffer",
        "_bytes",
        "_calm_ns",
        "_capacity",
        "_dtype",
        "_has_same_type",
        "_item_bytes",
        "_most_ns",
        "_origins",
        "_position",
        "_taken",
        "interval_ns",
        "is_mixed",
        "marks",
        "rate_hz",
        "size",
        "start_ns",
        "timing_quality",
    )

    def __init__(
        self,
        dtype: npt.DTypeLike,
        rate_hz: float,
        taken: np.dtype[Any] = _NO_TYPE,
        marks: Marks | None = None,
    ) -> None:
        self.rate_hz, self.marks = rate_hz, marks
        self.size = 0
        self.start_ns = 0
        self.timing_quality: int | None = None
        self.is_mixed = False
        self.interval_ns = NS_PER_S / rate_hz
        self._most_ns = CONTIGUOUS_SAMPLES * self.interval_ns
        self._calm_ns = max(_ADDED_UP_SAMPLES * self.interval_ns, min(_STAMP_NS, self._most_ns))
        self._buffer: npt.NDArray[Any] = np.empty(_FIRST_CAPACITY, dtype)
        self._dtype, self._item_bytes, self._capacity = self._buffer.dtype, self._buffer.itemsize, _FIRST_CAPACITY
        self._bytes = self._buffer.data.cast("B")
        self.taken = taken
        self._begin = 0
        self._position = 0
        self._origins: deque[_Origin] = deque()

    @property
    def taken(self) -> np.dtype[Any]:
        """The type of the samples of packets that can be appended; any that the type of the run can hold."""
        return self._taken

    @taken.setter
    def taken(self, dtype: np.dtype[Any]) -> None:
        self._taken, self._has_same_type = dtype, dtype == self._dtype

    @property
    def samples(self) -> Samples:
        """The samples that wait: a view that is good until the next `append`."""
        return self._buffer[self._begin : self._begin + self.size]

    @property
    def arrived_ns(self) -> int:
        """When the packet in which the first sample lies was appended."""
        return self._origins[0].arrived_ns

    def append(self, packet: Packet | PacketRun, arrived_ns: int, reach: int) -> bool:
        """Add the samples of *packet*, when it is where its first sample belongs to half a sample interval.

        Of that a drift that adds up may use three eighths.

        Args:
            packet: the packet.
            arrived_ns: when it arrived.
            reach: about how many samples back its place is measured from: those of the record at hand, so that a clock
                that drifts closes a record after as long a time however many records wait.

        Returns:
            False when it is of another rate, type or marks, or does not continue what waits; of an empty run, when its
            time has to be looked at.
        """
        if packet.dtype is not self._taken and packet.dtype != self._taken:
            return False
        if packet.rate_hz != self.rate_hz or packet.marks != self.marks:
            return False
        waiting, count, start_ns = self.size, packet.size, packet.start_ns
        if waiting:
            late_ns = start_ns - self.start_ns - waiting * self.interval_ns
            if waiting > reach:
                late_ns = self._late_ns(start_ns, reach)
            if abs(late_ns) > self._calm_ns and (abs(late_ns) > self._most_ns or self._is_adding_up(start_ns)):
                return False
        elif _FIRST_NS <= start_ns <= _LAST_NS:
            self._origins.clear()
            self.start_ns, self.timing_quality, self.is_mixed = start_ns, packet.timing_quality, False
        else:
            return False
        if self._begin + waiting + count > self._capacity:
            self._make_room(waiting + count)
        self._origins.append(_origin((self._position + waiting, start_ns, packet.timing_quality, arrived_ns)))
        if packet.timing_quality != self.timing_quality:
            self.is_mixed = True
        begin = self._begin + waiting
        if isinstance(packet, Packet):
            if self._has_same_type:
                self._bytes[begin * self._item_bytes : (begin + count) * self._item_bytes] = packet.data
            else:
                self._buffer[begin : begin + count] = packet.samples
        else:
            self._buffer[begin : begin + count].reshape(packet.samples.shape)[...] = packet.samples
        self.size = waiting + count
        return True

    def _is_adding_up(self, start_ns: int) -> bool:
        """Whether a packet from *start_ns* on is about where the one before it leads to, however late that was."""
        last = self._origins[-1]
        step_ns = start_ns - last.start_ns - (self._position + self.size - last.position) * self.interval_ns
        return abs(step_ns) <= _STEP_SAMPLES * self.interval_ns

    def _late_ns(self, start_ns: int, reach: int) -> float:
        """Return how much later than expected *start_ns* is, measured from about *reach* samples back."""
        base_ns, distance = self.start_ns, self.size
        end = self._position + distance
        origin = next((each for each in reversed(self._origins) if end - each.position >= reach), None)
        if origin is not None and origin.position > self._position:
            base_ns, distance = origin.start_ns, end - origin.position
        return start_ns - base_ns - distance * self.interval_ns

    def _make_room(self, needed: int) -> None:
        """Move what waits to the start of a buffer that holds *needed* samples."""
        roomy = needed + needed // _SPARE
        self._move(self._buffer if roomy <= self._buffer.size else np.empty(roomy, self._buffer.dtype))

    def _move(self, buffer: npt.NDArray[Any]) -> None:
        buffer[: self.size] = self.samples
        self._buffer, self._begin, self._capacity = buffer, 0, buffer.size
        self._bytes = buffer.data.cast("B")

    def starts_ns(self, counts: Sequence[int], step_ns: int) -> list[int]:
        """Return the start times of the next pieces of *counts* samples, as long as they follow from the first.

        A piece follows when the packet in which it begins puts it within *step_ns* of where the first piece does, and
        its lowest timing quality is that of the first.
        """
        if len(counts) == 1:  # as it usually is where packets come singly
            return [self.start_ns]
        if self.is_mixed:
            counts = counts[: self._alike(counts)]
        positions = list(accumulate(counts, initial=self._position))
        origins = iter(self._origins)
        first = origin = next(origins)
        starts: list[int] = []
        while True:
            following, done = next(origins, None), len(starts)
            end = bisect_left(positions, following.position, done, len(counts)) if following else len(counts)
            if end > done:
                starts += self._times_ns(origin, positions[done:end])
            if not following or end == len(counts):
                return starts
            planned_ns = sample_time(first.start_ns, following.position - first.position, self.rate_hz)
            if not -step_ns < following.start_ns - planned_ns < step_ns:
                return starts
            origin = following

    def lowest_quality(self, count: int, skipped: int = 0) -> int | None:
        """Return the lowest timing quality of *count* samples behind *skipped* ones; None when none is known."""
        begin = self._position + skipped
        qualities: list[int] = []
        for origin, following in pairwise((*self._origins, None)):
            if origin is None or origin.position >= begin + count:
                break
            if (following is None or following.position > begin) and origin.timing_quality is not None:
                qualities.append(origin.timing_quality)
        return min(qualities, default=None)

    def _alike(self, counts: Sequence[int]) -> int:
        """Return how many of the next pieces of *counts* samples have the lowest timing quality of the first."""
        lowest, skipped = self.lowest_quality(counts[0]), counts[0]
        for index, count in enumerate(counts[1:], 1):
            if self.lowest_quality(count, skipped) != lowest:
                return index
            skipped += count
        return len(counts)

    def _times_ns(self, origin: _Origin, positions: Sequence[int]) -> list[int]:
        """Return the times of the samples at *positions*, by the packet that they lie in."""
        if self.interval_ns.is_integer():  # most rates: then it is done in half the time
            step_ns = int(self.interval_ns)
            base_ns = origin.start_ns - origin.position * step_ns
            return [base_ns + position * step_ns for position in positions]
        return [sample_time(origin.start_ns, position - origin.position, self.rate_hz) for position in positions]

    def drop(self, count: int) -> None:
        """Forget the first *count* samples: they are in a record."""
        self._begin += count
        self.size -= count
        self._position += count
        origins = self._origins
        while len(origins) > 1 and origins[1].position <= self._position:
            origins.popleft()
        first = origins[0]
        self.timing_quality = first.timing_quality
        if self.is_mixed:
            self.is_mixed = any(origin.timing_quality != first.timing_quality for origin in origins)
        self.start_ns = first.start_ns + round((self._position - first.position) * NS_PER_S / self.rate_hz)
        if self._buffer.size > _KEPT_CAPACITY and self.size <= _FIRST_CAPACITY:
            self._move(np.empty(_FIRST_CAPACITY, self._buffer.dtype))
