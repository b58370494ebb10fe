"""The streams as a table: live on a terminal, printed now and then elsewhere, or as JSON."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rawdaq.control.dump.run import Arrival, View, seconds
from rawdaq.control.dump.views import LiveDisplay, print_line, print_table
from rawdaq.control.status.columns import fitting
from rawdaq.packet import rate_text
from rawdaq.stream_id import StreamId
from rawdaq.times import is_contiguous

if TYPE_CHECKING:
    from rich.table import Table

_REFRESH_S = 0.25
_PRINT_S = 10.0  # how often a table is printed where it cannot be redrawn
_GAP = 2  # between columns
#: What is shown first where there is no room for all.
_IMPORTANT = ("stream", "latency s", "gaps", "lost", "packets", "rate Hz", "overlaps", "max", "mean", "bytes/s")
_PLAIN_WIDTH = 200  # no terminal, no width: wide enough for every column


@dataclass(slots=True)
class Figures:
    """Counters of one stream; gaps and overlaps of up to half a sample do not count.

    Latencies are None for packets from files.
    """

    packets: int = 0
    rate_hz: float = 0.0
    latency_ns: int | None = None
    latency_sum_ns: int = 0
    latency_max_ns: int | None = None
    gaps: int = 0
    overlaps: int = 0
    lost: int = 0
    sample_bytes: int = 0

    def add(self, arrival: Arrival) -> None:
        """Count one packet."""
        self.packets += 1
        self.rate_hz = arrival.packet.rate_hz
        self.latency_ns = arrival.latency_ns
        if self.latency_ns is not None:
            highest_ns = self.latency_ns if self.latency_max_ns is None else self.latency_max_ns
            self.latency_max_ns = max(highest_ns, self.latency_ns)
            self.latency_sum_ns += self.latency_ns
        self.lost += arrival.lost
        self.sample_bytes += arrival.packet.samples.nbytes
        gap_ns = arrival.gap_ns or 0
        if not is_contiguous(gap_ns, 0, self.rate_hz):
            self.gaps += gap_ns > 0
            self.overlaps += gap_ns < 0

    @property
    def latency_mean_ns(self) -> int | None:
        """The mean of all latencies."""
        return None if self.latency_ns is None else self.latency_sum_ns // self.packets


def _latency_text(latency_ns: int | None) -> str:
    return "-" if latency_ns is None else f"{latency_ns / 1e9:.3f}"


def _latency_s(latency_ns: int | None) -> float | None:
    return None if latency_ns is None else seconds(latency_ns)


class _Tables(View):
    """Counts, and shows the figures every *interval_s* and at the end."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._began_s = self._shown_s = time.monotonic()
        self.streams: dict[StreamId, Figures] = {}

    def show(self, arrival: Arrival) -> None:
        """Count the packet."""
        self.streams.setdefault(arrival.packet.stream, Figures()).add(arrival)

    def tick(self, now_s: float) -> None:
        """Show the figures when it is time."""
        if now_s - self._shown_s >= self._interval_s:
            self._shown_s = now_s
            self.draw()

    def close(self) -> None:
        """Show the figures for the last time."""
        self.draw()

    def draw(self) -> None:
        raise NotImplementedError

    def _bytes_per_s(self, figures: Figures) -> float:
        return figures.sample_bytes / max(time.monotonic() - self._began_s, 1e-3)

    def _table(self, width: int) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        cells = self._cells()
        shown = fitting({name: cells[name] for name in _IMPORTANT}, width, _GAP)
        for name in cells:
            if name in shown:
                table.add_column(name, justify="left" if name == "stream" else "right", no_wrap=True)
        for row in zip(*(values for name, values in cells.items() if name in shown), strict=True):
            table.add_row(*row)
        return table

    def _cells(self) -> dict[str, list[str]]:
        """Return what is in each column."""
        streams = sorted(self.streams.items())
        return {
            "stream": [str(stream) for stream, _ in streams],
            "packets": [str(figures.packets) for _, figures in streams],
            "rate Hz": [rate_text(figures.rate_hz) for _, figures in streams],
            "latency s": [_latency_text(figures.latency_ns) for _, figures in streams],
            "mean": [_latency_text(figures.latency_mean_ns) for _, figures in streams],
            "max": [_latency_text(figures.latency_max_ns) for _, figures in streams],
            "gaps": [str(figures.gaps) for _, figures in streams],
            "overlaps": [str(figures.overlaps) for _, figures in streams],
            "lost": [str(figures.lost) for _, figures in streams],
            "bytes/s": [f"{self._bytes_per_s(figures):.0f}" for _, figures in streams],
        }


class LiveTable(_Tables):
    """A table that is redrawn in place, on a terminal."""

    def __init__(self) -> None:
        super().__init__(_REFRESH_S)
        self._display = LiveDisplay()

    def draw(self) -> None:
        """Redraw the table."""
        self._display.draw(self._table)

    def close(self) -> None:
        """Leave the table as it is."""
        super().close()
        self._display.stop()


class PlainTable(_Tables):
    """A table that is printed now and then, in a file or a pipe."""

    def __init__(self) -> None:
        super().__init__(_PRINT_S)

    def draw(self) -> None:
        """Print the table."""
        print_table(self._table(_PLAIN_WIDTH), _PLAIN_WIDTH)


class JsonTable(_Tables):
    """One JSON object for each stream and time that the table would be printed."""

    def __init__(self) -> None:
        super().__init__(_PRINT_S)

    def draw(self) -> None:
        """Print the objects."""
        for stream, figures in sorted(self.streams.items()):
            fields = {
                "stream": str(stream),
                "packets": figures.packets,
                "rate_hz": figures.rate_hz,
                "latency_s": _latency_s(figures.latency_ns),
                "latency_mean_s": _latency_s(figures.latency_mean_ns),
                "latency_max_s": _latency_s(figures.latency_max_ns),
                "gaps": figures.gaps,
                "overlaps": figures.overlaps,
                "lost": figures.lost,
                "bytes_per_s": round(self._bytes_per_s(figures), 1),
            }
            print_line(json.dumps(fields))
