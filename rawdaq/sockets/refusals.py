"""Counts what is refused by sender and reason, and tells it at a bounded rate, whoever sends however much of it."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MAX_SENDERS = 1000  # each costs some hundred bytes; senders can be forged, so the table has an end
OTHERS = "others"
INTERVAL_S = 10.0

_TELL_S = 1.0
_SHOWN_SENDERS = 20


@dataclass(slots=True)
class _Untold:
    """What came of one reason since its last line."""

    count: int = 0
    sender: str = ""
    detail: object = ""
    told_s: float | None = None


class Refusals:
    """The table, and its lines in the log: for each reason the first one at once, then one in an interval at most.

    Args:
        log: where it is told.
        clock: seconds that only run forward.
        what: the word for one of what is refused.
        interval_s: between two lines of a reason; by default `INTERVAL_S`.
    """

    def __init__(
        self,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        what: str = "datagram",
        interval_s: float | None = None,
    ) -> None:
        self.by_reason: Counter[str] = Counter()
        self._by_sender: dict[str, Counter[str]] = {}
        self._untold: dict[str, _Untold] = {}
        self._log = log
        self._clock = clock
        self._what = what
        self._interval_s = INTERVAL_S if interval_s is None else interval_s

    def count(self, reason: str, sender: str, detail: object = "") -> None:
        """Count one.

        Args:
            reason: one of a few words.
            sender: the address that it came from; beyond `MAX_SENDERS` of them all are `OTHERS`.
            detail: what is told with the newest one; its text is asked for only then.
        """
        self.by_reason[reason] += 1
        counts = self._by_sender.get(sender)
        if counts is None:
            counts = self._by_sender.setdefault(sender if len(self._by_sender) < MAX_SENDERS else OTHERS, Counter())
        counts[reason] += 1
        untold = self._untold.get(reason)
        if untold is None:
            untold = self._untold[reason] = _Untold()
        untold.count += 1
        untold.sender, untold.detail = sender, detail
        self._tell(reason, untold)

    def tell(self, *, at_once: bool = False) -> None:
        """Tell what is due by now; call it once a second, and at the end with *at_once*."""
        for reason, untold in self._untold.items():
            if untold.count:
                self._tell(reason, untold, at_once=at_once)

    async def tell_regularly(self) -> None:
        """Tell what is due, until cancelled; then the rest."""
        try:
            while True:
                await asyncio.sleep(_TELL_S)
                self.tell()
        finally:
            self.tell(at_once=True)

    def _tell(self, reason: str, untold: _Untold, *, at_once: bool = False) -> None:
        now_s = self._clock()
        if not at_once and untold.told_s is not None and now_s - untold.told_s < self._interval_s:
            return
        many = f"a {self._what}" if untold.count == 1 else f"{untold.count} {self._what}s, the last one"
        detail = f": {untold.detail}" if untold.detail else ""
        self._log.warning("refused %s from %s: %s%s", many, untold.sender, reason, detail)
        untold.count, untold.told_s = 0, now_s

    def table(self) -> dict[str, dict[str, int]]:
        """Return the counts of every sender, those with most first."""
        senders = sorted(self._by_sender.items(), key=lambda item: -item[1].total())
        return {sender: dict(counts) for sender, counts in senders}

    def report(self) -> dict[str, object]:
        """Return what `status` shows: the counts, and the senders with most."""
        return {
            "refused": self.by_reason.total(),
            "refused_by_reason": dict(self.by_reason),
            "refused_by_sender": dict(list(self.table().items())[:_SHOWN_SENDERS]),
        }
