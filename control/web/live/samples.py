"""The last samples of a stream: one array that is written round and round, with a mark where time does not go on."""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.times import NS_PER_S, sample_time, span_ns

_EXACT_SAMPLES = 0.1  # a run of samples is drawn where its first one is; beyond this a new one begins
_MARKS_LIMIT = 10_000  # of a stream whose every packet begins elsewhere than the one before it ended


class Run(NamedTuple):
    """Samples that follow each other.

    Attributes:
        start_ns: time of the first one.
        values: the samples, a view that is valid until more are added.
    """

    start_ns: int
    values: npt.NDArray[Any]


class _Mark(NamedTuple):
    """Where time does not go on: the number of a sample, and its time."""

    number: int
    start_ns: int


class SampleRing:
    """The last samples of a stream, which are numbered from 0 on.

    Args:
        rate_hz: samples per second.
        dtype: their type: int32 or float32.
        capacity: how many are kept.

    Attributes:
        rate_hz: as the argument.
        count: the number that the next sample will have.
    """

    def __init__(self, rate_hz: float, dtype: np.dtype[Any], capacity: int) -> None:
        self.rate_hz = rate_hz
        self.count = 0
        self._values = np.zeros(capacity, dtype)
        self._marks: deque[_Mark] = deque(maxlen=_MARKS_LIMIT)

    @property
    def capacity(self) -> int:
        """How many samples are kept."""
        return len(self._values)

    @property
    def oldest(self) -> int:
        """The number of the oldest sample that is still there."""
        kept = max(0, self.count - len(self._values))
        return max(kept, self._marks[0].number) if self._marks else kept

    @property
    def next_ns(self) -> int | None:
        """The time of the next sample if it follows the last one; None before the first."""
        if not self._marks:
            return None
        number, start_ns = self._marks[-1]
        return sample_time(start_ns, self.count - number, self.rate_hz)

    def add(self, start_ns: int, samples: npt.NDArray[Any]) -> None:
        """Add *samples*, of any type and byte order, of which the first one is at *start_ns*."""
        capacity = len(self._values)
        if (surplus := len(samples) - capacity) > 0:  # a packet that is longer than all that is kept
            start_ns += span_ns(surplus, self.rate_hz)
            samples = samples[surplus:]
        expected_ns = self.next_ns
        if expected_ns is None or abs(start_ns - expected_ns) * self.rate_hz > _EXACT_SAMPLES * NS_PER_S:
            self._marks.append(_Mark(self.count, start_ns))
        if samples.dtype.kind == "f":
            with np.errstate(over="ignore"):  # a float64 may be too large for what is drawn
                samples = samples.astype(self._values.dtype)
        at = self.count % capacity
        first = min(len(samples), capacity - at)
        self._values[at : at + first] = samples[:first]
        self._values[: len(samples) - first] = samples[first:]
        self.count += len(samples)
        while len(self._marks) > 1 and self._marks[1].number <= self.count - capacity:
            self._marks.popleft()

    def runs(self, begin: int, end: int) -> Iterator[Run]:
        """Yield the samples with the numbers from *begin* up to *end*, those that are still there."""
        begin = max(begin, self.oldest)
        for index, (number, start_ns) in enumerate(self._marks):
            stop = self._marks[index + 1].number if index + 1 < len(self._marks) else self.count
            yield from self._pieces(number, start_ns, max(begin, number), min(end, stop))

    def _pieces(self, number: int, start_ns: int, begin: int, end: int) -> Iterator[Run]:
        """Yield samples of one run, in two pieces where the array begins anew between them."""
        capacity = len(self._values)
        while begin < end:
            at = begin % capacity
            size = min(end - begin, capacity - at)
            yield Run(sample_time(start_ns, begin - number, self.rate_hz), self._values[at : at + size])
            begin += size

    def since(self, time_ns: int) -> int:
        """Return the number of the first sample, in order of arrival, that is not older than *time_ns*."""
        for index, (number, start_ns) in enumerate(self._marks):
            stop = self._marks[index + 1].number if index + 1 < len(self._marks) else self.count
            ahead = -(-(time_ns - start_ns) * round(self.rate_hz * 1000) // (1000 * NS_PER_S))
            if number + ahead < stop:
                return max(self.oldest, number, number + ahead)
        return self.count
