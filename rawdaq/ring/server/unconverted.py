"""Records that cannot be what clients want: the first is logged, then how many there are."""

import logging
import time
from collections.abc import Callable
from typing import Final

from rawdaq.errors import RawdaqError
from rawdaq.outage import Outage
from rawdaq.ring.packets import RingPacket

_INTERVAL_S: Final = 60.0


class Unconverted:
    """The count of them.

    Args:
        log: where they are logged.
        wanted: what clients want.
        clock: seconds that only run forward.
    """

    def __init__(self, log: logging.Logger, wanted: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = wanted
        self._outage = Outage(log, clock=clock)

    def note(self, packet: RingPacket, error: RawdaqError) -> None:
        """Count *packet*; the first in a minute is logged, with the reason."""
        if self._outage.is_on:
            self._outage.counts[packet.name] += 1
        else:
            what = f"cannot be converted to {self._wanted}, and does not go to clients that want that"
            self._outage.log("packet %d of %s %s: %s", packet.position, packet.name, what, error)

    def check(self, *, at_once: bool = False) -> None:
        """Log how many followed the first, a minute after it; call it once a second, and at the end *at_once*."""
        if at_once or self._outage.elapsed_s >= _INTERVAL_S:
            if self._outage.counts:
                self._outage.end(f"could not be converted to {self._wanted} either: %s", "packets")
            else:
                self._outage.clear()
