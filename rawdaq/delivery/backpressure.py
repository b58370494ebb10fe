"""Reading is held while a queue is full: the receiver reads no faster than its publishers deliver."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from rawdaq.delivery.fanout import Fanout
from rawdaq.sockets.endpoint import Endpoint

_LOG_AFTER_S = 1.0  # shorter waits are how back-pressure works under load


class Held:
    """Endpoints that are held from now on, until all queues have room.

    Args:
        fanout: the queues.
        endpoints: what is not read meanwhile.
        log: where a wait is logged that an operator would notice.
        note: called with True when a wait has become so long, and with False at its end.
    """

    def __init__(
        self, fanout: Fanout, endpoints: Sequence[Endpoint], log: logging.Logger, note: Callable[[bool], None]
    ) -> None:
        self._fanout, self._endpoints, self._log, self._note = fanout, endpoints, log, note
        self._names = ", ".join(fanout.full)
        self._reason = f"a publisher is full: {self._names}"
        for endpoint in endpoints:
            endpoint.hold(self._reason)

    async def release(self) -> None:
        """Return when all queues have room and the endpoints are read again."""
        began_s = time.monotonic()
        noting = asyncio.get_running_loop().call_later(_LOG_AFTER_S, self._note_long_wait)
        try:
            await self._fanout.room()
        finally:
            noting.cancel()
            for endpoint in self._endpoints:
                endpoint.release(self._reason)
        held_s = time.monotonic() - began_s
        if held_s > _LOG_AFTER_S:
            self._log.warning("reading again after %.1f s", held_s)
            self._note(False)

    def _note_long_wait(self) -> None:
        self._log.warning("reading is held: %s cannot take more; nothing is lost on our side", self._names)
        self._note(True)
