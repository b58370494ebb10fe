"""When data of the past are due: a clock that runs at any speed, stands still and jumps, and adds up no rounding."""

import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from rawdaq.times import NS_PER_S, to_iso


class ReplayClock:
    """Says which time of the data it is.

    Every answer is computed from the last change of speed, place or state, so no wait that took too long shifts those
    that follow.

    Args:
        speed: data seconds a second; infinity: everything is due.
        monotonic_ns: the clock of the real world.

    Attributes:
        speed: data seconds a second.
        is_held: whether it stands still.
    """

    def __init__(self, speed: float, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.speed = speed
        self.is_held = False
        self._monotonic_ns = monotonic_ns
        self._data_ns = 0
        self._since_ns = monotonic_ns()

    @property
    def now_ns(self) -> int:
        """The time of the data; with infinite speed where it was last put."""
        if self.is_held or self.speed == inf:
            return self._data_ns
        return self._data_ns + round((self._monotonic_ns() - self._since_ns) * self.speed)

    def put(self, data_ns: int) -> None:
        """Go to *data_ns*, and on from there."""
        self._data_ns, self._since_ns = data_ns, self._monotonic_ns()

    def turn(self, end_ns: int, begin_ns: int) -> None:
        """Let *end_ns* and *begin_ns* be the same moment: the data begin again."""
        if self.speed != inf and not self.is_held:
            self._since_ns += round((end_ns - self._data_ns) / self.speed)
            self._data_ns = begin_ns
        else:
            self.put(begin_ns + self._data_ns - end_ns if self.is_held else begin_ns)

    def hold(self) -> None:
        """Stand still."""
        self.put(self.now_ns)
        self.is_held = True

    def release(self) -> None:
        """Go on from where it stands."""
        self._since_ns = self._monotonic_ns()
        self.is_held = False

    def set_speed(self, speed: float) -> None:
        """Go on at another speed."""
        self.put(self.now_ns)
        self.speed = speed

    def due_s(self, data_ns: int) -> float:
        """Return in how many seconds *data_ns* is due, below zero when it was; infinity when the clock stands still."""
        if self.is_held:
            return inf
        if self.speed == inf:
            return 0.0
        due_ns = self._since_ns + (data_ns - self._data_ns) / self.speed
        return (due_ns - self._monotonic_ns()) / NS_PER_S


class Position(NamedTuple):
    """Where a play is.

    Attributes:
        state: what it does, in words.
        time_ns: time of the last sample that was published, as the files have it; None when there was none.
        published_ns: the same as it was published.
        first_ns: time of the first sample in the files.
        last_ns: time of the last one.
        speed: data seconds a second.
        remaining_s: seconds to the end of the files; None when that cannot be told.
        late_s: how much the play is behind its schedule, because publishers do not take more.
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
        """The part of the time from first to last that is played, 0 to 1."""
        if self.time_ns is None or self.last_ns <= self.first_ns:
            return 0.0 if self.time_ns is None else 1.0
        return min(1.0, max(0.0, (self.time_ns - self.first_ns) / (self.last_ns - self.first_ns)))

    def report(self) -> dict[str, object]:
        """Return it as JSON has it."""
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
    """Return a speed as a station file says it.

    >>> speed_text(2.0), speed_text(float("inf"))
    (2.0, 'max')
    """
    return "max" if speed == inf else speed
