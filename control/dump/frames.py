"""Frames of a detector or a repeater, counted and shown: what is missing, what came twice, how late they are."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rawdaq.protocols.array import FrameHeader, HeaderForm, read_frame_header
from rawdaq.protocols.json_header import Frame
from rawdaq.times import NS_PER_S

_TIME_KEYS = ("time_ns", "received_ns")  # of our own detector, and of rawdaq's messages
_NUMBERS = 10_000_000  # that are remembered, to see which came twice: some hundred megabytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that came.

    Attributes:
        frame: its number.
        keys: of its header, None when that is binary.
        parts: how many parts the message has.
        size_bytes: of all parts.
        data: its second part, empty without one.
        latency_ns: from the time in its header to its arrival, None without one.
    """

    frame: int
    keys: Mapping[str, Any] | None
    parts: int
    size_bytes: int
    data: Frame
    latency_ns: int | None

    def line(self) -> str:
        """Return one line."""
        keys = self.keys or {}
        shape = "x".join(map(str, keys["shape"])) if isinstance(keys.get("shape"), list) else ""
        kind = " ".join(filter(None, (str(keys.get("type", "")), shape)))
        late = "" if self.latency_ns is None else f" lat={self.latency_ns / NS_PER_S:.6f}s"
        return f"frame {self.frame} {kind}{' ' if kind else ''}{self.size_bytes} bytes in {self.parts} parts{late}"

    def json(self) -> str:
        """Return one JSON object."""
        shown: dict[str, Any] = {"frame": self.frame, "bytes": self.size_bytes, "parts": self.parts}
        if self.latency_ns is not None:
            shown["latency_s"] = self.latency_ns / NS_PER_S
        return json.dumps(shown | {"header": self.keys})

    def header(self) -> str:
        """Return the header, indented."""
        return json.dumps(self.keys, indent=4)


@dataclass(slots=True)
class FrameStats:
    """Counters of what came.

    Attributes:
        frames: how many.
        size_bytes: of all.
        doubled: frames whose number came before.
        out_of_order: frames whose number is lower than the one before, and that did not come before.
        malformed: messages that are no frames, by reason.
        timed: those with a time.
        latency_sum_ns: how late these were.
        latency_min_ns: how late the least late one was.
        latency_max_ns: how late the latest one was.
        numbers: those that came.
        order: the same, in the order in which they came.
        began_ns: when the first one came.
        ended_ns: when the last one came.
    """

    frames: int = 0
    size_bytes: int = 0
    doubled: int = 0
    out_of_order: int = 0
    malformed: Counter[str] = field(default_factory=Counter[str])
    timed: int = 0
    latency_sum_ns: int = 0
    latency_min_ns: int = 0
    latency_max_ns: int = 0
    numbers: set[int] = field(default_factory=set[int])
    order: list[int] = field(default_factory=list[int])
    began_ns: int | None = None
    ended_ns: int = 0
    _last: int | None = None

    def add(self, arrival: Arrival, now_ns: int) -> None:
        """Count a frame that came at *now_ns*, by a clock that only runs forward."""
        self.began_ns = now_ns if self.began_ns is None else self.began_ns
        self.ended_ns = now_ns
        self.frames += 1
        self.size_bytes += arrival.size_bytes
        if arrival.frame in self.numbers:
            self.doubled += 1
        elif self._last is not None and arrival.frame < self._last:
            self.out_of_order += 1
        if len(self.order) < _NUMBERS:
            self.numbers.add(arrival.frame)
            self.order.append(arrival.frame)
        self._last = arrival.frame
        if (latency_ns := arrival.latency_ns) is not None:
            self.latency_min_ns = min(self.latency_min_ns, latency_ns) if self.timed else latency_ns
            self.latency_max_ns = max(self.latency_max_ns, latency_ns) if self.timed else latency_ns
            self.latency_sum_ns += latency_ns
            self.timed += 1

    @property
    def missing(self) -> int:
        """Numbers between the smallest and the largest that did not come."""
        return max(self.numbers) - min(self.numbers) + 1 - len(self.numbers) if self.numbers else 0

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        elapsed_ns = 0 if self.began_ns is None else self.ended_ns - self.began_ns
        return (self.frames - 1) * NS_PER_S / elapsed_ns if elapsed_ns else 0.0

    def summary(self) -> str:
        """Return one line."""
        text = (
            f"{self.frames} frames, {self.size_bytes / 1e6:.3f} MB, {self.rate_hz:.1f} frames/s; {self.missing} missing"
        )
        text += f", {self.doubled} doubled, {self.out_of_order} out of order"
        if self.malformed:
            text += f", {self.malformed.total()} malformed ({', '.join(self.malformed)})"
        if self.timed:
            mean_ns = self.latency_sum_ns / self.timed
            low, mean, high = (each / 1e6 for each in (self.latency_min_ns, mean_ns, self.latency_max_ns))
            text += f"; latency {low:.3f} / {mean:.3f} / {high:.3f} ms (least, mean, most)"
        return text


def arrival(parts: Sequence[Frame], form: HeaderForm, header_part: int) -> Arrival:
    """Return the frame that *parts* are.

    Raises:
        MessageMalformed: they are not a frame.
    """
    header: FrameHeader = read_frame_header(parts, form, header_part)
    data = parts[header_part + 1] if len(parts) > header_part + 1 else b""
    size_bytes = sum(len(part) for part in parts)
    return Arrival(header.frame, header.keys, len(parts), size_bytes, data, _latency_ns(header.keys))


def _latency_ns(keys: Mapping[str, Any] | None) -> int | None:
    for key in _TIME_KEYS if keys else ():
        value = (keys or {}).get(key)
        if type(value) is int and value > 0:
            return time.time_ns() - value
    return None


def parse_numbers(text: str) -> list[int]:
    """Return the numbers that *text* lists, with ranges.

    >>> parse_numbers("0-2,5")
    [0, 1, 2, 5]

    Raises:
        ValueError: it is no such list.
    """
    numbers: list[int] = []
    for word in text.split(","):
        first, _, last = word.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
