"""Changes of senders in the log: each is a line, unless one changes all the time."""

import logging
from collections.abc import Callable, Iterable

from rawdaq.outage import Outage
from rawdaq.streams.assembly.values import Change

_INTERVAL_S = 10.0
_LINES = 6  # of a sender in that time


class ChangeLog:
    """Writes changes; of a sender that changes all the time only some, with how many there were.

    Args:
        log: where they go.
        name: names a slot.
    """

    def __init__(self, log: logging.Logger, name: Callable[[int], str]) -> None:
        self._log, self._name = log, name
        self._outages: dict[int | None, Outage] = {}
        self._lines: dict[int | None, int] = {}

    def write(self, changes: Iterable[Change]) -> None:
        """Log *changes*."""
        for slot, text in changes:
            outage = self._outages.get(slot)
            if outage is None:
                outage = self._outages[slot] = Outage(self._log, _INTERVAL_S)
            if outage.is_due:
                self._lines[slot] = 0
            self._lines[slot] += 1
            if self._lines[slot] == 1:
                more = outage.counts.total()
                outage.counts.clear()
                outage.log("%s%s", self._line(slot, text), f" (and {more} changes before)" if more else "")
            elif self._lines[slot] <= _LINES:
                self._log.warning("%s", self._line(slot, text))
            else:
                outage.counts["changes"] += 1

    def _line(self, slot: int | None, text: str) -> str:
        return text if slot is None else f"{self._name(slot)}: {text}"
