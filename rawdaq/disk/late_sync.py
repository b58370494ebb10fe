"""What was written is made safe some time later, and once more when the disk has refused that."""

import asyncio
import logging
from collections.abc import Callable

_AGAIN_S = 5.0


class LateSync:
    """Has the disk asked, some time after something was written, to make it safe; again as long as that fails.

    A disk may forget what it has refused: that it takes the rest later does not mean that all is on it.

    Args:
        delay_s: how long after something was written.
        sync: begins to make safe what was written; its future fails with the reason why it is not.
        log: where it is told that the disk refuses, and that it does so no more.

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

    def written(self) -> None:
        """Tell that something was written."""
        self._ask_in(self._delay_s)

    def _ask_in(self, delay_s: float) -> None:
        if self._timer is None and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ask)

    def _ask(self) -> None:
        self._timer = None
        self._sync().add_done_callback(self._end)

    def _end(self, done: "asyncio.Future[None]") -> None:
        error = done.exception()
        if error is not None:
            self._ask_in(_AGAIN_S)
        was_refused, self.error = self.error is not None, None if error is None else str(error)
        if error is not None and not was_refused:
            self._log.error("what was written last may not be on the disk: %s; it is tried again", error)
        elif error is None and was_refused:
            self._log.warning("the disk takes what is written again; some of what was written meanwhile may be missing")

    def close(self) -> None:
        """Ask for nothing any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
