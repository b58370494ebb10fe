"""Streams that have fallen silent, or whose clock is ahead of ours: logged once when it begins and once at its end."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from math import inf

from rawdaq.stream_id import StreamId
from rawdaq.streams.stats import Stats, StreamStats
from rawdaq.times import duration_text

_LEAST_S = 10.0
_INTERVALS = 5  # observed packet intervals without a packet are silence
_SHOWN = 5  # streams in a log line


class Silence:
    """Watches the streams of a component; one timer for all, which runs only while packets are expected.

    Args:
        stats: the streams.
        log: where the beginning and the end of a silence are logged.
        after_s: seconds without a packet that are silence; None: `_INTERVALS` observed packet intervals of the stream,
            at least 10 s.
        clock: seconds that only run forward, those of `StreamStats.arrived_s`.
    """

    def __init__(
        self,
        stats: Stats,
        log: logging.Logger,
        after_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_watching = False
        self.after_s = after_s
        self._stats, self._log, self._clock = stats, log, clock
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look again when the first stream can have fallen silent; call it when packets have come."""
        if self._timer is None:
            self._look_in(min((self.limit_s(each) for each in self._stats.streams.values()), default=_LEAST_S))

    def limit_s(self, stats: StreamStats) -> float:
        """Return after how many seconds without a packet the stream is silent."""
        return max(_LEAST_S, _INTERVALS * stats.interval_s) if self.after_s is None else self.after_s

    def _look_in(self, delay_s: float) -> None:
        self.is_watching = True
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.look)

    def look(self) -> None:
        """Log the streams that have fallen silent, and those whose clock is wrong or right again; go on watching."""
        self._timer, self.is_watching = None, False
        self._look_at_clocks()
        now_s = self._clock()
        fallen: list[StreamStats] = []
        left_s: list[float] = []
        for stats in self._stats.streams.values():
            if stats.arrived_s and not stats.is_silent:
                left = stats.arrived_s + self.limit_s(stats) - now_s
                if left <= 0:
                    stats.is_silent = True
                    fallen.append(stats)
                else:
                    left_s.append(left)
        if fallen:
            longest_s = max(now_s - stats.arrived_s for stats in fallen)
            names = _listed([stats.stream for stats in fallen])
            self._log.warning("silent: no packets of %s for %s", names, duration_text(longest_s))
        if left_s:
            self._look_in(min(left_s))

    def _look_at_clocks(self) -> None:
        """Log changes; times that are days away are logged by the receivers that read devices, with their looks."""
        changed = [
            stats for stats in self._stats.streams.values() if stats.is_ahead(self._stats.ahead_s) != stats.was_ahead
        ]
        for stats in changed:
            stats.was_ahead = not stats.was_ahead
        if ahead := [stats for stats in changed if stats.was_ahead]:
            problem = ahead[0].clock_problem(self._stats.ahead_s, inf)
            self._log.warning("%s %s", _listed([stats.stream for stats in ahead]), problem)
        if right := [stats.stream for stats in changed if not stats.was_ahead]:
            self._log.warning("the time of %s is right again", _listed(right))

    def expect(self, streams: Iterable[StreamId]) -> None:
        """Expect packets of *streams* from now on."""
        self._stats.expect(streams)
        if not self.is_watching:
            self.watch()

    def end(self) -> None:
        """Log that packets of streams that were silent come again."""
        came_back, self._stats.came_back = self._stats.came_back, []
        longest_s = max(silent_s for _, silent_s in came_back)
        names = _listed([stream for stream, _ in came_back])
        self._log.warning("packets of %s come again after %s", names, duration_text(longest_s))

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.is_watching = True  # nothing starts the timer again


def _listed(streams: Sequence[StreamId]) -> str:
    more = f" and {len(streams) - _SHOWN} more" if len(streams) > _SHOWN else ""
    return ", ".join(map(str, streams[:_SHOWN])) + more
