"""What was of a stream minute by minute, for a day: its largest latency, and how often samples were missing."""

import numpy as np

MINUTES = 1440
_MINUTE_NS = 60_000_000_000


class StreamHistory:
    """A day of one stream."""

    def __init__(self) -> None:
        self._latency_s = np.full(MINUTES, np.nan, np.float32)
        self._gaps = np.zeros(MINUTES, np.uint32)
        self._newest = 0  # minutes since 1970
        self._first = 0
        self._gaps_before: int | None = None

    def add(self, now_ns: int, latency_s: float | None, gaps: int) -> None:
        """Take note of what a component has answered.

        Args:
            now_ns: when.
            latency_s: of the newest packet.
            gaps: since the component started.
        """
        minute = now_ns // _MINUTE_NS
        if not self._first:
            self._first = self._newest = minute
        for index in range(max(self._newest + 1, minute - MINUTES + 1), minute + 1):
            self._latency_s[index % MINUTES], self._gaps[index % MINUTES] = np.nan, 0
        self._newest = max(minute, self._newest)
        at = self._newest % MINUTES
        if latency_s is not None:
            self._latency_s[at] = np.fmax(self._latency_s[at], np.float32(latency_s))
        before = self._gaps_before
        if before is not None:  # fewer than before: the component has started again
            self._gaps[at] += max(0, gaps - (before if gaps >= before else 0))
        self._gaps_before = gaps

    def gaps_of(self, minutes: int) -> int:
        """Return how many gaps the last *minutes* had."""
        return int(self._gaps[self._indices(minutes)].sum())

    def latencies(self) -> tuple[int, list[float | None]]:
        """Return the time of the first minute, and the largest latency of each minute."""
        indices = self._indices(MINUTES)
        values = [None if np.isnan(value) else round(float(value), 3) for value in self._latency_s[indices]]
        return (self._newest - len(values) + 1) * _MINUTE_NS, values

    def _indices(self, minutes: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        count = min(minutes, MINUTES, self._newest - self._first + 1)
        return np.arange(self._newest - count + 1, self._newest + 1) % MINUTES
