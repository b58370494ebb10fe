"""One way to log what goes on for a while: a line at once, one every interval while it lasts, and one at its end."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable

_NAMED = 10  # streams that a line lists


class Outage:
    """An outage and its lines in the log. It begins with its first line, and may begin again after its end.

    >>> outage = Outage(logging.getLogger("rawdaq.example"))
    >>> if not outage.is_on:
    ...     outage.log("%s does not keep up", "live")
    >>> outage.counts["XX.DEMO.00.HHZ"] += 3
    >>> outage.end("live keeps up again: dropped %s", "messages")
    >>> outage.is_on
    False

    Args:
        log: where the lines go.
        interval_s: the shortest time between two lines; by default the first line is the only one before the end.
        clock: seconds that only run forward.

    Attributes:
        interval_s: as the argument.
        counts: what was lost since the last line, by stream or by reason.
    """

    def __init__(
        self, log: logging.Logger, interval_s: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self.interval_s = interval_s
        self._clock = clock
        self._began_s: float | None = None
        self._logged_s = -math.inf

    @property
    def is_on(self) -> bool:
        """Whether the outage has begun and not ended."""
        return self._began_s is not None

    @property
    def is_due(self) -> bool:
        """Whether the last line, if there was one, is older than the interval."""
        return self._clock() - self._logged_s >= self.interval_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the outage began; 0 while there is none."""
        return 0.0 if self._began_s is None else self._clock() - self._began_s

    def begin(self) -> None:
        """Begin the outage, if there is none, without a line."""
        if self._began_s is None:
            self._began_s = self._clock()

    def log(self, text: str, *args: object) -> None:
        """Log a line, which begins the outage if there is none; counting starts anew."""
        self.begin()
        self._logged_s = self._clock()
        self._log.warning(text, *args)
        self.counts.clear()

    def extent(self, unit: str) -> str:
        """Return what was lost since the last line, such as ``5 messages in 2.5 s (XX.DEMO.00.HHZ: 5)``."""
        named = ", ".join(f"{name}: {count}" for name, count in self.counts.most_common(_NAMED))
        return f"{self.counts.total()} {unit} in {self.elapsed_s:.1f} s ({named})"

    def end(self, text: str, unit: str) -> None:
        """End the outage; where there was one, log *text* with its extent in place of ``%s``."""
        if self.is_on:
            self._log.warning(text, self.extent(unit))
        self.clear()

    def clear(self) -> None:
        """End the outage without a line."""
        self._began_s = None
        self.counts.clear()
