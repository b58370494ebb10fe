"""Values of packets that cannot be, counted by channel: reported at once with the value, later with the extent."""

import logging
import time
from collections.abc import Callable

from rawdaq.protocols.raw import PacketProblem
from rawdaq.streams.clock import SUSPICIOUS_NS, clock_problem
from rawdaq.times import NS_PER_S, to_iso

_REPEAT_S = 600.0
_KEPT, _REFUSED = "time far from this machine's clock, kept as sent", "time beyond clock_tolerance_s, packet refused"


class PacketProblems:
    """Counts `PacketProblem`s; the first of a channel and kind is logged at once, the extent every ten minutes.

    Args:
        log: where they are logged.
        clock_tolerance_s: packets whose time departs more from this machine's clock are refused; None: none is, and
            times that look wrong are counted.
        clock: seconds that only run forward.

    Attributes:
        suspicious_ns: `check_time` is to be called for times that depart more from the time of arrival.
    """

    def __init__(
        self,
        log: logging.Logger,
        clock_tolerance_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.suspicious_ns = SUSPICIOUS_NS if clock_tolerance_s is None else round(clock_tolerance_s * NS_PER_S)
        self._refuses = clock_tolerance_s is not None
        self._log = log
        self._clock = clock
        self._counts: dict[tuple[int, str], int] = {}
        self._logged: dict[tuple[int, str], tuple[float, int]] = {}  # when, and the count then

    def add(self, problem: PacketProblem) -> None:
        """Count *problem*."""
        self._count(problem.channel, str(problem.kind), problem.value, problem.packets)

    def check_time(self, channel: int, time_ns: int, arrived_ns: int, packets: int = 1) -> bool:
        """Return whether packets of a time that departs more than `suspicious_ns` from their arrival are kept."""
        key = channel, _REFUSED if self._refuses else _KEPT
        if key in self._logged and self._clock() - self._logged[key][0] < _REPEAT_S:
            self._counts[key] += packets  # a clock that is wrong is so in every packet
            return not self._refuses
        away_s = (time_ns - arrived_ns) / NS_PER_S
        look = clock_problem(time_ns, arrived_ns) or f"{away_s:+.1f} s from this machine's clock"
        self._count(*key, f"{to_iso(time_ns, 0)}, which looks like {look}", packets)
        return not self._refuses

    def _count(self, channel: int, kind: str, value: str, packets: int) -> None:
        key = channel, kind
        count = self._counts[key] = self._counts.get(key, 0) + packets
        now_s = self._clock()
        if key not in self._logged:
            self._logged[key] = now_s, count
            self._log.warning("channel %d sent %s (%s)", channel, value, kind)
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
