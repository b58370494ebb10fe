"""Who tries tokens waits: wrong ones are counted, logged once a minute, and answered late after a few."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from rawdaq.control.rest.routes import Refused
from rawdaq.sockets.refusals import Refusals

_PERIOD_S = 60.0
_FREE = 5  # wrong tokens in that time that are answered at once: a person who mistypes
_DELAY_S = 2.0
_MOST_WAITING = 16  # or answers that wait would take all connections


class WrongTokens:
    """The count of wrong tokens.

    Args:
        log: where they are logged.
        clock: seconds that only run forward.
        sleep: waits.

    Attributes:
        count: how many there were.
    """

    def __init__(
        self,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.count = 0
        self._refusals = Refusals(log, clock, "wrong token", _PERIOD_S)
        self._clock, self._sleep = clock, sleep
        self._recent: deque[float] = deque(maxlen=_FREE)
        self._waiting = 0

    async def note(self, sender: str) -> None:
        """Count a wrong token of *sender*; return when that may be answered.

        Raises:
            Refused: so many answers wait already that this one cannot.
        """
        self.count += 1
        now_s = self._clock()
        self._refusals.count("it is not that of this server", sender)
        is_late = len(self._recent) == _FREE and now_s - self._recent[0] < _PERIOD_S
        self._recent.append(now_s)
        if not is_late:
            return
        if self._waiting >= _MOST_WAITING:
            raise Refused(429, "too many wrong tokens; try again in a minute")
        self._waiting += 1
        try:
            await self._sleep(_DELAY_S)
        finally:
            self._waiting -= 1

    def log(self) -> None:
        """Log what was counted since the last line."""
        self._refusals.log(at_once=True)
