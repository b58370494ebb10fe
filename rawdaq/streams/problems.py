"""Values of packets that cannot be, counted by channel: reported at once with the value, later with the extent."""

import logging
import time
from collections.abc import Callable

from rawdaq.protocols.raw import PacketProblem

_REPEAT_S = 600.0


class PacketProblems:
    """Counts `PacketProblem`s; the first of a channel and kind is logged at once, the extent every ten minutes.

    Args:
        log: where they are logged.
        clock: seconds that only run forward.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._counts: dict[tuple[int, str], int] = {}
        self._logged: dict[tuple[int, str], tuple[float, int]] = {}  # when, and the count then

    def add(self, problem: PacketProblem) -> None:
        """Count *problem*."""
        key = problem.channel, str(problem.kind)
        count = self._counts[key] = self._counts.get(key, 0) + problem.packets
        now_s = self._clock()
        if key not in self._logged:
            self._logged[key] = now_s, count
            self._log.warning("channel %d sent %s (%s)", problem.channel, problem.value, problem.kind)
        elif now_s - self._logged[key][0] >= _REPEAT_S:
            self._report(key, now_s)

    def _report(self, key: tuple[int, str], now_s: float) -> None:
        channel, kind = key
        since_s, before = self._logged[key]
        count = self._counts[key]
        self._logged[key] = now_s, count
        if count > before:
            seconds = now_s - since_s
            self._log.warning("channel %d: %d more packets in %.0f s: %s", channel, count - before, seconds, kind)

    def report(self) -> None:
        """Log the extent of what is not logged yet; call it when the connection ends."""
        for key in self._counts:
            self._report(key, self._clock())

    def status(self) -> dict[str, dict[str, int]]:
        """Return the counts by channel and kind."""
        shown: dict[str, dict[str, int]] = {}
        for (channel, kind), count in sorted(self._counts.items()):
            shown.setdefault(str(channel), {})[kind] = count
        return shown
