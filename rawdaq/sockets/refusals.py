"""Counts what is refused by sender and reason, and logs it at a bounded rate, however much is sent."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from rawdaq.outage import Outage

MAX_SENDERS = 1000  # each costs some hundred bytes; senders can be forged, so the table has an end
OTHERS = "others"
INTERVAL_S = 10.0

_CHECK_S = 1.0
_SHOWN_SENDERS = 20


class Refusals:
    """The table, and its lines in the log: for each reason the first one at once, then one in an interval at most.

    Args:
        log: where the lines go.
        clock: seconds that only run forward.
        what: the word for one of what is refused.
        interval_s: between two lines of a reason.
    """

    def __init__(
        self,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        what: str = "datagram",
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.by_reason: Counter[str] = Counter()
        self._by_sender: dict[str, Counter[str]] = {}
        self._newest: dict[str, tuple[Outage, str, object]] = {}
        self._log = log
        self._clock = clock
        self._what = what
        self._interval_s = interval_s
        self._is_due = asyncio.Event()  # something was counted that may have to be logged later

    def count(self, reason: str, sender: str, detail: object = "") -> None:
        """Count one.

        Args:
            reason: one of a few words.
            sender: the address that it came from; beyond `MAX_SENDERS` of them all are `OTHERS`.
            detail: what is logged with the newest one; its text is asked for only then.
        """
        self.by_reason[reason] += 1
        counts = self._by_sender.get(sender)
        if counts is None:
            counts = self._by_sender.setdefault(sender if len(self._by_sender) < MAX_SENDERS else OTHERS, Counter())
        counts[reason] += 1
        newest = self._newest.get(reason)
        outage = Outage(self._log, self._interval_s, self._clock) if newest is None else newest[0]
        outage.counts[reason] += 1
        self._newest[reason] = (outage, sender, detail)
        if outage.is_due:
            self._log_newest(reason)
        else:
            self._is_due.set()

    def _log_newest(self, reason: str) -> None:
        outage, sender, detail = self._newest[reason]
        count = outage.counts[reason]
        many = f"a {self._what}" if count == 1 else f"{count} {self._what}s, the last one"
        outage.log("refused %s from %s: %s%s", many, sender, reason, f": {detail}" if detail else "")

    def log(self, *, at_once: bool = False) -> None:
        """Log what is due by now; call it once a second, and at the end with *at_once*."""
        for reason, (outage, _, _) in self._newest.items():
            if outage.counts and (at_once or outage.is_due):
                self._log_newest(reason)

    async def log_regularly(self, check_s: float | None = None) -> None:
        """Log what is due, until cancelled; then the rest. It wakes up only while something is to be logged."""
        try:
            while True:
                await self._is_due.wait()
                await asyncio.sleep(_CHECK_S if check_s is None else check_s)
                self.log()
                if not any(outage.counts for outage, _, _ in self._newest.values()):
                    self._is_due.clear()
        finally:
            self.log(at_once=True)

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
