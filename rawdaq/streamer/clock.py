"""The times of samples that a program reads block by block: counted, and held to the computer's clock.

A program that stamps each block with `time.time_ns()` is late by whatever its computer is busy with, by another amount
for each block; one that only counts samples is as wrong as its digitizer's crystal, seconds in a day.
"""

import time
from collections.abc import Callable

from rawdaq.errors import InvalidValue
from rawdaq.times import CONTIGUOUS_SAMPLES, NS_PER_S

_MOST_SLEW = 200e-6  # a crystal is wrong by less; a block that is read late shifts what follows by no more
_MOST_EARLY_SAMPLES = CONTIGUOUS_SAMPLES / 2  # of one correction, so that it makes no gap
_SET_NS = 1_000_000  # the computer's clock was set when it departs so much from the one that only runs forward
_LOST_NS = 100_000_000  # blocks that come later than that ...
_LOST_AFTER_NS = 10 * NS_PER_S  # ... for so long mean that samples are missing, and no busy computer


class SampleClock:
    """The times of samples that are read from a digitizer one block after the other.

    It counts samples and follows the computer's clock, which NTP or GPS should hold: slowly when blocks seem to be
    late, because a busy computer reads them late, faster when they seem to be early, because nothing reads a sample
    before it is there. Where the computer's clock is set, or blocks are missing, it begins anew at the clock's time.

    Channels that are sampled together share one: ask once for each block and give all of them that time.

    Args:
        samprate: the nominal sampling rate in Hz.
        latency_s: how long a sample takes from the sensor to the program, such as the delay of the digitizer's filter.
        clock_ns: the computer's clock.
        running_ns: a clock that only runs forward.

    Attributes:
        restarts: how often it began anew since the first block.

    Raises:
        InvalidValue: *samprate* is not above zero.

    >>> clock = SampleClock(100, clock_ns=iter([1_990_000_000, 2_991_500_000]).__next__, running_ns=lambda: 0)
    >>> clock.start_ns(100)
    1000000000
    """

    def __init__(
        self,
        samprate: float,
        latency_s: float = 0.0,
        clock_ns: Callable[[], int] = time.time_ns,
        running_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not 0 < samprate < float("inf"):
            raise InvalidValue(f"samprate {samprate!r} is not a number in Hz above zero, such as 100")
        self.restarts = 0
        self._interval_ns = NS_PER_S / samprate
        self._latency_ns = round(latency_s * NS_PER_S)
        self._clock_ns, self._running_ns = clock_ns, running_ns
        self._origin_ns: int | None = None  # None: not begun
        self._since_ns = 0.0  # the next block begins so long after the origin
        self._offset_ns = 0  # of the two clocks
        self._late_since_ns: int | None = None

    def start_ns(self, count: int) -> int:
        """Return the time of the first of *count* samples; call it as soon as they have been read, once for each block.

        Raises:
            InvalidValue: *count* is below 1.
        """
        if count < 1:
            raise InvalidValue(f"a block of {count} samples has no time")
        now_ns, running_ns = self._clock_ns(), self._running_ns()
        read_ns = now_ns - self._latency_ns - round((count - 1) * self._interval_ns)
        if self._origin_ns is None:
            self._begin(read_ns, now_ns - running_ns)
        elif abs(now_ns - running_ns - self._offset_ns) > _SET_NS or self._is_lost(read_ns, running_ns):
            self.restarts += 1
            self._begin(read_ns, now_ns - running_ns)
        start_ns = self._next_ns
        early_ns = _MOST_EARLY_SAMPLES * self._interval_ns
        slew_ns = max(-early_ns, min(read_ns - start_ns, _MOST_SLEW * count * self._interval_ns))
        self._since_ns += count * self._interval_ns + slew_ns
        self._offset_ns = now_ns - running_ns
        return start_ns

    def restart(self) -> None:
        """Begin anew with the next block, because the digitizer was stopped or has lost samples."""
        self._origin_ns = None

    @property
    def _next_ns(self) -> int:
        return (self._origin_ns or 0) + round(self._since_ns)

    def _begin(self, start_ns: int, offset_ns: int) -> None:
        self._origin_ns, self._since_ns, self._offset_ns, self._late_since_ns = start_ns, 0.0, offset_ns, None

    def _is_lost(self, read_ns: int, running_ns: int) -> bool:
        """Whether blocks have been late for so long, or one is so early, that the count of samples must be wrong."""
        late_ns = read_ns - self._next_ns
        if late_ns < _LOST_NS:
            self._late_since_ns = None
            return late_ns < -_LOST_NS
        if self._late_since_ns is None:
            self._late_since_ns = running_ns
        return running_ns - self._late_since_ns >= _LOST_AFTER_NS
