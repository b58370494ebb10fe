"""The clock of a replay: at which moment a packet is due, at any speed, with pauses and jumps; and `Position`."""

import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from rawdaq.times import NS_PER_S, to_iso


class ReplayClock:
    """Converts between the time of the data and the time of the real world.

    Everything is computed from the last change of speed, position or state, so rounding and late waits never add up.

    Args:
        speed: data seconds a second; infinity: everything is due.
        monotonic_ns: the clock of the real world.

    Attributes:
        speed: data seconds a second.
        is_held: whether it is stopped.
    """

    def __init__(self, speed: float, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.speed = speed
        self.is_held = False
        self._monotonic_ns = monotonic_ns
        self._data_ns = 0
        self._since_ns = monotonic_ns()

    @property
    def now_ns(self) -> int:
        """The time of the data; at infinite speed the one of the last `go_to`."""
        if self.is_held or self.speed == inf:
            return self._data_ns
        return self._data_ns + round((self._monotonic_ns() - self._since_ns) * self.speed)

    def go_to(self, data_ns: int) -> None:
        """Set the time of the data to *data_ns*; it runs on from there."""
        self._data_ns, self._since_ns = data_ns, self._monotonic_ns()

    def begin_again(self, end_ns: int, begin_ns: int) -> None:
        """Let *begin_ns* follow *end_ns* without a pause: the data are played once more."""
        if self.speed != inf and not self.is_held:
            self._since_ns += round((end_ns - self._data_ns) / self.speed)
            self._data_ns = begin_ns
        else:
            self.go_to(begin_ns + self._data_ns - end_ns if self.is_held else begin_ns)

    def hold(self) -> None:
        """Stop the time of the data."""
        self.go_to(self.now_ns)
        self.is_held = True

    def release(self) -> None:
        """Let the time of the data run on from where it was stopped."""
        self._since_ns = self._monotonic_ns()
        self.is_held = False

    def set_speed(self, speed: float) -> None:
        """Let the time of the data run on at another speed."""
        self.go_to(self.now_ns)
        self.speed = speed

    def due_s(self, data_ns: int) -> float:
        """Return in how many seconds *data_ns* is due: less than 0 when it is late, infinity when the clock is held."""
        if self.is_held:
            return inf
        if self.speed == inf:
            return 0.0
        due_ns = self._since_ns + (data_ns - self._data_ns) / self.speed
        return (due_ns - self._monotonic_ns()) / NS_PER_S


class Position(NamedTuple):
    """How far a replay is.

    Attributes:
        state: what it does, in one or a few words.
        time_ns: time of the last sample that was published, as the files have it; None when there was none.
        published_ns: the same, as it was published.
        first_ns: time of the first sample in the files.
        last_ns: time of the last one.
        speed: data seconds a second.
        remaining_s: seconds to the end of the files; None when that is not known.
        late_s: how far it is behind its schedule, because publishers do not take more.
        turn: how often the files were played before.
    """

    state: str
    time_ns: int | None
    published_ns: int | None
    first_ns: int
    last_ns: int
    speed: float
    remaining_s: float | None
    late_s: float
    turn: int

    @property
    def fraction(self) -> float:
        """The part of the time from first to last that was played, 0 to 1."""
        if self.time_ns is None or self.last_ns <= self.first_ns:
            return 0.0 if self.time_ns is None else 1.0
        return min(1.0, max(0.0, (self.time_ns - self.first_ns) / (self.last_ns - self.first_ns)))

    def report(self) -> dict[str, object]:
        """Return it as `status` shows it."""
        is_known = self.last_ns > self.first_ns
        return {
            "state": self.state,
            "time": _iso(self.time_ns),
            "published_time": _iso(self.published_ns),
            "first": _iso(self.first_ns) if is_known else None,
            "last": _iso(self.last_ns) if is_known else None,
            "percent": round(100 * self.fraction, 2),
            "speed": speed_text(self.speed),
            "remaining_s": None if self.remaining_s is None else round(self.remaining_s, 1),
            "late_s": round(self.late_s, 3),
            "turn": self.turn,
        }


def _iso(time_ns: int | None) -> str | None:
    return None if time_ns is None else to_iso(time_ns)


def speed_text(speed: float) -> str | float:
    """Return *speed* as it is written in a station file.

    >>> speed_text(2.0), speed_text(float("inf"))
    (2.0, 'max')
    """
    return "max" if speed == inf else speed
