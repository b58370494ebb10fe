"""One run of ``rawdaq-dump`` over messages: they go from a subscriber to a view until a limit; losses go to stderr."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from rawdaq.control.dump.messages.values import Shown, value_of
from rawdaq.control.dump.run import Losses, Shows, report, report_unanswered
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.subscriber import MessageLoss, MessageSubscriber
from rawdaq.subscriber.journal_messages import JournalMessages

_TICK_S = 0.2  # how late a signal, the end of --seconds or a refresh may be
_PATIENCE_S = 2.0  # a publisher that runs has answered by then

#: Where the components of the examples publish what they have of each kind.
PORTS = {Kind.LOG: 9001, Kind.EVENT: 9002, Kind.READOUT: 9004, Kind.MONITOR: 9005, Kind.TELEMETRY: 9006}


MessageView = Shows[Shown]


class MessageRun:
    """Reads messages until a limit is reached or *stop* is set.

    Args:
        view: where they go.
        stop: ends the run when it is set.
        names: shell-style patterns of loggers and components; none means all.
        level: the least severe log records that are shown.
        count: end after so many messages that are shown.
        seconds: end after so long.
        clock: this machine's clock, in nanoseconds.
        monotonic: a monotonic clock, in seconds.

    Attributes:
        shown: how many were shown.
    """

    def __init__(
        self,
        view: MessageView,
        stop: threading.Event,
        names: Sequence[str] = (),
        level: int = 0,
        count: int | None = None,
        seconds: float | None = None,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view, self._stop = view, stop
        self._names, self._level = names, level
        self._count, self._seconds = count, seconds
        self._clock, self._monotonic = clock, monotonic
        self._losses = Losses()
        self._missing: Counter[str] = Counter()
        self._began_s = monotonic()
        self.shown = 0

    def note_loss(self, loss: MessageLoss) -> None:
        """Count messages that did not arrive; for `MessageSubscriber`."""
        self._missing[loss.topic] += loss.missing
        self._losses.add(loss.topic, loss.missing, loss.next_message.received_ns, loss.address, self._monotonic())

    def run(self, reader: MessageSubscriber | JournalMessages) -> None:
        """Show what *reader* receives, then report the totals."""
        self._began_s = self._monotonic()
        is_patient = True
        try:
            while (left_s := self._left_s()) > 0 and not reader.has_ended:
                message = reader.receive(min(left_s, _TICK_S))
                now_s = self._monotonic()
                if message is not None:
                    try:
                        value = value_of(message)
                    except MessageMalformed as error:
                        reader.refusals.count(error.reason, message.topic, error)
                    else:
                        self._take(Shown(message, value, self._missing.pop(message.topic, 0), self._clock()))
                if is_patient and now_s - self._began_s > _PATIENCE_S:
                    is_patient = False
                    _report_silence(reader, has_shown=self.shown > 0)
                self._view.tick(now_s)
                self._losses.report_when_over(now_s)
        finally:
            self._view.close()
        if is_patient and not self.shown and isinstance(reader, MessageSubscriber):
            report_unanswered(reader)
        self._losses.report()
        self._report_totals(reader)

    def _left_s(self) -> float:
        """Return how long the run goes on."""
        if self._stop.is_set() or (self._count is not None and self.shown >= self._count):
            return 0.0
        return _TICK_S if self._seconds is None else self._began_s + self._seconds - self._monotonic()

    def _take(self, shown: Shown) -> None:
        if self._wants(shown):
            self.shown += 1
            self._view.show(shown)

    def _wants(self, shown: Shown) -> bool:
        names = [shown.name]
        if isinstance(shown.value, LogRecord):
            if shown.value.level < self._level:
                return False
            names.append(shown.value.component)
        return not self._names or any(fnmatchcase(name, pattern) for name in names for pattern in self._names)

    def _report_totals(self, reader: MessageSubscriber | JournalMessages) -> None:
        lost = reader.lost.total()
        came = reader.received.total()
        text = (
            f"{self.shown} message{'s' * (self.shown != 1)} in {self._monotonic() - self._began_s:.1f} s, {lost} lost"
        )
        if lost:
            text += f" ({', '.join(f'{topic}: {missing}' for topic, missing in reader.lost.most_common(5))})"
        if reader.malformed:
            text += f", {reader.malformed} skipped that are malformed"
        if came - reader.malformed > self.shown and (self._names or self._level):
            text += f", {came} came: --name and --level select"
        report(text)


def _report_silence(reader: MessageSubscriber | JournalMessages, *, has_shown: bool) -> None:
    """Report which publishers do not answer, and that the others send nothing."""
    if isinstance(reader, JournalMessages):
        return
    unanswered = report_unanswered(reader)
    there = [address for address in reader.addresses if address not in unanswered]
    if there and not has_shown:
        kinds = ", ".join(reader.kinds)
        report(f"waiting for messages ({kinds}) at {', '.join(there)}; does that component publish such?")


def addresses_of(kinds: Sequence[Kind]) -> list[str]:
    """Return where components usually publish what there is of *kinds*."""
    return [f"tcp://127.0.0.1:{PORTS[kind]}" for kind in kinds]


def level_of(word: str) -> int:
    """Return the number of a log level.

    >>> level_of("warning"), level_of("17")
    (30, 17)

    Raises:
        ValueError: there is none.
    """
    number = logging.getLevelNamesMapping().get(word.upper())
    if number is None and not word.isdecimal():
        raise ValueError(f"{word!r} is no level: a number, or DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return int(word) if number is None else number
