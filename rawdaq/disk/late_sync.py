"""Files are made safe on the disk some time after they were written, and again while the disk refuses that."""

import asyncio
import logging
from collections.abc import Callable

_RETRY_S = 5.0


class LateSync:
    """Calls *sync* some time after the first write that it has not covered, and again as long as it fails.

    A disk may forget what it has refused: that it takes the rest later does not mean that all is on it.

    Args:
        delay_s: how long after that write.
        sync: begins to make safe what was written; its future raises the reason when the disk refuses.
        log: where the first refusal and its end are logged.

    Attributes:
        error: why what was written may not be on the disk; None when the disk refuses nothing.
    """

    def __init__(self, delay_s: float, sync: "Callable[[], asyncio.Future[None]]", log: logging.Logger) -> None:
        self.error: str | None = None
        self._delay_s = delay_s
        self._sync = sync
        self._log = log
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def problem(self) -> str | None:
        """`error` in a sentence."""
        return f"what was written last may not be on the disk: {self.error}" if self.error else None

    def schedule(self) -> None:
        """Let *sync* be called in time for what was just written."""
        self._schedule_in(self._delay_s)

    def _schedule_in(self, delay_s: float) -> None:
        if self._timer is None and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._sync().add_done_callback(self._end)

    def _end(self, done: "asyncio.Future[None]") -> None:
        error = done.exception()
        if error is not None:
            self._schedule_in(_RETRY_S)
            if self.error is None:
                self.error = str(error)
                self._log.error("%s; trying again", self.problem)
        elif self.error is not None:
            self._log.warning("the disk takes what is written again; some of what was written meanwhile may be missing")
        self.error = None if error is None else str(error)

    def close(self) -> None:
        """Call *sync* no more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
