"""How often something has happened in the last hour, in a few bytes."""

from collections import deque

_HOUR_S = 3600.0
_BIN_S = 300.0


class Recent:
    """Counts what happens, and forgets it after an hour; a count is exact to five minutes at the far end.

    >>> gaps = Recent()
    >>> gaps.add(0.0), gaps.add(10.0)
    (None, None)
    >>> gaps.count(20.0), gaps.ago_s(20.0), gaps.count(4000.0), gaps.ago_s(4000.0)
    (2, 10.0, 0, None)
    """

    __slots__ = ("_bins", "_last_s")

    def __init__(self) -> None:
        self._bins: deque[tuple[float, int]] = deque(maxlen=int(_HOUR_S / _BIN_S) + 1)  # its begin, and how many
        self._last_s = 0.0

    def add(self, now_s: float) -> None:
        """Count one; *now_s* only runs forward."""
        self._last_s = now_s
        begin_s = now_s // _BIN_S * _BIN_S
        if self._bins and self._bins[-1][0] == begin_s:
            self._bins[-1] = begin_s, self._bins[-1][1] + 1
        else:
            self._bins.append((begin_s, 1))

    def count(self, now_s: float) -> int:
        """Return how many there were in the last hour."""
        return sum(count for begin_s, count in self._bins if begin_s + _BIN_S > now_s - _HOUR_S) if self._bins else 0

    def ago_s(self, now_s: float) -> float | None:
        """Return how many seconds ago the last of them was; None when there was none in the last hour."""
        return now_s - self._last_s if self.count(now_s) else None
