"""The smallest and the largest sample of each column of time: what a page draws where samples are many."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.times import NS_PER_S

#: The narrowest column; the others are this times a power of two.
LEAST_COLUMN_MS = 10

Columns = npt.NDArray[np.float32]

_MOST_DOUBLINGS = 18  # 10 ms * 2**18 are 44 min
_NONE = np.float32(np.nan)


def column_ms(asked_ms: float) -> int:
    """Return the width of columns for who asks for *asked_ms*: at most that, so that viewers share them.

    >>> column_ms(160), column_ms(319.9), column_ms(3), column_ms(1000)
    (160, 160, 10, 640)
    """
    doublings = math.floor(math.log2(max(1.0, asked_ms / LEAST_COLUMN_MS)))
    return LEAST_COLUMN_MS << min(doublings, _MOST_DOUBLINGS)


class Extremes(NamedTuple):
    """Columns that follow each other.

    Attributes:
        first: the number of the first one: its time since 1970 by the width.
        values: of each the smallest and the largest, shape (n, 2).
    """

    first: int
    values: Columns


def extremes(start_ns: int, rate_hz: float, samples: npt.NDArray[Any], width_ns: int) -> Extremes:
    """Return the columns of *samples*, which follow each other without a gap.

    Args:
        start_ns: time of the first sample.
        rate_hz: samples per second; of the columns between the first and the last, those without a sample are NaN.
        samples: at least one, of any type.
        width_ns: of a column.
    """
    first = start_ns // width_ns
    count = (start_ns + _times(len(samples) - 1, rate_hz)) // width_ns - first + 1
    # The first sample of each further column: how far its edge is from the first sample, in sampling intervals.
    edges_ns = (first + 1) * width_ns - start_ns + np.arange(count - 1, dtype=np.int64) * width_ns
    starts = np.ceil(edges_ns * (rate_hz / NS_PER_S)).astype(np.int64)
    starts -= _times(starts - 1, rate_hz) >= edges_ns  # times are whole nanoseconds, and those of samples are rounded
    starts += _times(starts, rate_hz) < edges_ns
    begins = np.concatenate([[0], np.minimum(starts, len(samples) - 1)])
    with np.errstate(over="ignore"):  # a float64 may be too large: infinite is drawn at the edge
        drawn = samples.astype(np.float32)
    values = np.empty((count, 2), np.float32)
    values[:, 0] = np.fmin.reduceat(drawn, begins)
    values[:, 1] = np.fmax.reduceat(drawn, begins)
    empty = np.flatnonzero(begins[1:] == begins[:-1])  # narrower than the sampling interval
    values[empty] = _NONE
    return Extremes(first, values)


def _times(indices: Any, rate_hz: float) -> Any:
    """Return the times of samples, in nanoseconds after the first one."""
    return np.rint(np.asarray(indices) * float(NS_PER_S) / rate_hz).astype(np.int64)


class ColumnRing:
    """The last columns of a stream: one array that is written round and round.

    Args:
        width_ms: of a column.
        capacity: how many are kept.

    Attributes:
        width_ms: as the argument.
        newest: the number of the newest column; None before the first.
    """

    def __init__(self, width_ms: int, capacity: int) -> None:
        self.width_ms = width_ms
        self.newest: int | None = None
        self._values = np.full((capacity, 2), _NONE, np.float32)
        self._changed: tuple[int, int] | None = None

    @property
    def width_ns(self) -> int:
        """The width of a column in nanoseconds."""
        return self.width_ms * 1_000_000

    @property
    def oldest(self) -> int:
        """The number of the oldest column that can be there."""
        return 0 if self.newest is None else self.newest - len(self._values) + 1

    def add(self, start_ns: int, rate_hz: float, samples: npt.NDArray[Any]) -> Extremes:
        """Add the columns of *samples*; return them."""
        made = extremes(start_ns, rate_hz, samples, self.width_ns)
        self.merge(made)
        return made

    def merge(self, made: Extremes) -> None:
        """Add columns: of two for the same time, the smaller of the smallest and the larger of the largest."""
        end = made.first + len(made.values)
        self._advance(end - 1)
        begin = max(made.first, self.oldest)
        for first, old in self._views(begin, end):
            new = made.values[first - made.first : first - made.first + len(old)]
            np.fmin(old[:, 0], new[:, 0], out=old[:, 0])
            np.fmax(old[:, 1], new[:, 1], out=old[:, 1])
        if begin < end:
            low, high = self._changed or (begin, end)
            self._changed = min(low, begin), max(high, end)

    def _advance(self, newest: int) -> None:
        """Make room up to the column *newest*: what was there a round before is forgotten."""
        if self.newest is None:
            self.newest = newest
        if newest <= self.newest:
            return
        begin = max(self.newest + 1, newest - len(self._values) + 1)
        self.newest = newest
        for _, view in self._views(begin, newest + 1):
            view[:] = _NONE

    def _views(self, begin: int, end: int) -> Iterator[tuple[int, Columns]]:
        capacity = len(self._values)
        while begin < end:
            at = begin % capacity
            size = min(end - begin, capacity - at)
            yield begin, self._values[at : at + size]
            begin += size

    def read(self, begin: int, end: int) -> Extremes | None:
        """Return the columns from *begin* up to *end*, as far as they are there; None where there is none."""
        if self.newest is None:
            return None
        begin, end = max(begin, self.oldest), min(end, self.newest + 1)
        if begin >= end:
            return None
        return Extremes(begin, np.concatenate([view for _, view in self._views(begin, end)]))

    def take_changed(self) -> Extremes | None:
        """Return the columns from the first to the last that have changed since the last call."""
        changed, self._changed = self._changed, None
        return None if changed is None else self.read(*changed)


def coarser(fine: Extremes, factor: int) -> Extremes:
    """Return columns that are *factor* times as wide."""
    before = fine.first % factor
    after = -(before + len(fine.values)) % factor
    padded = np.pad(fine.values, ((before, after), (0, 0)), constant_values=np.nan).reshape(-1, factor, 2)
    low = np.fmin.reduce(padded[:, :, 0], axis=1)
    high = np.fmax.reduce(padded[:, :, 1], axis=1)
    return Extremes(fine.first // factor, np.stack([low, high], axis=1))
