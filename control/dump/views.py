"""Packets as lines: text for people, JSON for programs."""

import json
import math
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rawdaq.control.dump.run import Arrival, View, seconds
from rawdaq.packet import Packet, rate_text
from rawdaq.protocols.message import header
from rawdaq.times import to_iso

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


class TextLines(View):
    """One packet a line, sample values (when wanted) at its end."""

    def __init__(self, with_samples: bool = False) -> None:
        self._with_samples = with_samples

    def show(self, arrival: Arrival) -> None:
        """Print the packet."""
        line = text_line(arrival)
        # numpy prints a float32 with the digits that it has.
        print_line(" ".join([line, *map(str, arrival.packet.samples)]) if self._with_samples else line)


class JsonLines(View):
    """One JSON object a line: the header of the message, and the facts of its arrival."""

    def __init__(self, with_samples: bool = False) -> None:
        self._with_samples = with_samples

    def show(self, arrival: Arrival) -> None:
        """Print the packet."""
        fields: dict[str, object] = {
            **header(arrival.packet),
            "end_ns": arrival.packet.end_ns,
            "latency_s": None if arrival.latency_ns is None else seconds(arrival.latency_ns),
            "gap_s": None if arrival.gap_ns is None else seconds(arrival.gap_ns),
        }
        if self._with_samples:
            fields["samples"] = list(json_values(arrival.packet))
        print_line(json.dumps(fields, allow_nan=False))


def text_line(arrival: Arrival) -> str:
    """Return the line of a packet without its samples."""
    packet = arrival.packet
    quality = "?" if packet.timing_quality is None else packet.timing_quality
    latency = "-" if arrival.latency_ns is None else f"{arrival.latency_ns / 1e9:.3f}s"
    return (
        f"{packet.stream} {to_iso(packet.start_ns)} {to_iso(packet.end_ns)} {rate_text(packet.rate_hz)} Hz "
        f"{packet.samples.size} {packet.sample_type} q={quality} seq={packet.sequence} "
        f"lat={latency}"
    )


def json_values(packet: Packet) -> Iterable[int | float | None]:
    """Return the samples as JSON has them: exact, and null for NaN and the infinities."""
    values: list[int | float] = packet.samples.tolist()
    if packet.sample_type.startswith("float"):
        return (value if math.isfinite(value) else None for value in values)
    return values


def print_line(line: str) -> None:
    """Print *line* so that the next program in a pipe gets it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_table(table: "Table", width: int) -> None:
    """Print *table* where it cannot be redrawn: without colours, in lines of up to *width*."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print_line(line.rstrip())


class LiveDisplay:
    """A table that is redrawn in place, on a terminal."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def draw(self, make: Callable[[int], "Table"]) -> None:
        """Draw what *make* returns for the width of the terminal."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(auto_refresh=False)
            self._live.start()
        self._live.update(make(self._live.console.width), refresh=True)

    def stop(self) -> None:
        """Leave the table as it is."""
        if self._live is not None:  # a terminal that went away may have kept it from starting
            self._live.stop()
