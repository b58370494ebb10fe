"""The last minute of each stream, as its smallest and largest samples, and as a line of braille dots."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rawdaq.control.machine.columns import ColumnRing
from rawdaq.packet import Packet
from rawdaq.times import NS_PER_S

#: How much of the past is shown.
WINDOW_S: Final = 60
#: More streams have no traces.
MAX_TRACES: Final = 1000

_COLUMN_MS = 250
_COLUMNS = WINDOW_S * 1000 // _COLUMN_MS
_BLANK = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # rows from above, columns from the left

Values = npt.NDArray[np.float32]


@dataclass(slots=True)
class Trace:
    """A stream whose packets are seen.

    Attributes:
        rate_hz: of the newest packet.
        end_ns: the time of its last sample.
        arrived_s: when it came, in seconds that only run forward.
        latency_s: from its last sample to its arrival, where that is known.
    """

    rate_hz: float
    end_ns: int
    arrived_s: float
    latency_s: float | None
    ring: ColumnRing

    def window(self, now_s: float) -> Values:
        """Return the smallest and the largest sample of each column of the last minute, NaN where there is none.

        The window goes on with the clock that *now_s* is of, also when no packets come.
        """
        found = np.full((_COLUMNS, 2), np.nan, np.float32)
        newest = self.ring.newest
        if newest is None:
            return found
        end = newest + 1 + int(max(0.0, now_s - self.arrived_s - 1.0) * 1000 / _COLUMN_MS)
        made = self.ring.read(end - _COLUMNS, end)
        if made is not None:
            at = made.first - (end - _COLUMNS)
            found[at : at + len(made.values)] = made.values
        return found


class Traces:
    """The traces of all streams.

    Attributes:
        left_out: packets of further streams than `MAX_TRACES`.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._traces: dict[str, Trace] = {}

    def __len__(self) -> int:
        return len(self._traces)

    def add(self, packet: Packet, now_s: float) -> None:
        """Draw *packet*, which came at *now_s*."""
        if not packet.size:
            return
        name = str(packet.stream)
        trace = self._traces.get(name)
        if trace is None:
            if len(self._traces) >= MAX_TRACES:
                self.left_out += 1
                return
            trace = self._traces[name] = Trace(packet.rate_hz, 0, now_s, None, _ring())
        newest, first = trace.ring.newest, packet.start_ns // (_COLUMN_MS * 1_000_000)
        if newest is not None and abs(first - newest) > _COLUMNS:  # its clock was set
            trace.ring = _ring()
        trace.ring.add(packet.start_ns, packet.rate_hz, packet.samples)
        trace.rate_hz, trace.end_ns, trace.arrived_s = packet.rate_hz, packet.end_ns, now_s
        received_ns = packet.received_ns
        trace.latency_s = (received_ns - packet.end_ns) / NS_PER_S if received_ns else None

    def get(self, name: str) -> Trace | None:
        """Return the trace of the stream *name*; None: no packet of it has come."""
        return self._traces.get(name)

    def names(self) -> list[str]:
        """Return the streams that have a trace."""
        return list(self._traces)


def _ring() -> ColumnRing:
    return ColumnRing(_COLUMN_MS, _COLUMNS + 4)


def braille(window: Values, width: int, height: int = 1) -> list[str]:
    """Return lines that show a window: of each column all dots from its smallest to its largest sample.

    >>> braille(np.array([[0, 0], [0, 9], [0, 9], [np.nan, np.nan]], np.float32), 2)
    ['⣸⡇']

    Args:
        window: the smallest and largest sample of each column, shape (n, 2), NaN where there is none.
        width: of the lines, in characters of two dots.
        height: how many lines, of four dots.
    """
    low, high = _resampled(window, 2 * width)
    dots = np.zeros((4 * height, 2 * width), bool)
    is_there = np.isfinite(low) & np.isfinite(high)
    if is_there.any():
        top, bottom = _rows(low, high, is_there, 4 * height)
        rows = np.arange(4 * height)[:, None]
        dots = is_there & (rows >= top) & (rows <= bottom)
    cells = dots.reshape(height, 4, width, 2)
    codes = _BLANK + (cells * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(map(chr, line)) for line in codes]


def _resampled(window: Values, columns: int) -> tuple[Values, Values]:
    """Return the smallest and largest samples of *columns* columns, fewer or more than *window* has."""
    edges = np.arange(columns) * len(window) // columns
    ends = np.maximum(edges + 1, np.append(edges[1:], len(window)))
    low, high = np.fmin.reduceat(window[:, 0], edges), np.fmax.reduceat(window[:, 1], edges)
    if (ends - edges > 1).any() or columns == len(window):
        return low, high
    return window[edges, 0], window[edges, 1]


def _rows(low: Values, high: Values, is_there: npt.NDArray[np.bool_], rows: int) -> tuple[Values, Values]:
    """Return for each column the uppermost and the lowest row of its dots."""
    least, most = float(low[is_there].min()), float(high[is_there].max())
    span = most - least
    if not span > 0:
        middle = np.full(len(low), rows // 2, np.float32)
        return middle, middle
    with np.errstate(invalid="ignore"):
        top = np.rint((most - high.astype(float)) / span * (rows - 1))
        bottom = np.rint((most - low.astype(float)) / span * (rows - 1))
    return top.astype(np.float32), bottom.astype(np.float32)
