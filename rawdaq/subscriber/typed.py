"""Readers of messages that are no waveforms, one for each kind, in the manner of `Subscriber`.

::

    with EventSubscriber("tcp://127.0.0.1:9002") as events:
        for event in events:
            print(event.time_ns, event.type, event.fields)

    async with LogSubscriber("tcp://127.0.0.1:9001", level=30) as records:
        async for record in records:
            print(record.text())
"""

import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, NamedTuple, TypedDict, TypeVar, Unpack

from rawdaq.errors import InvalidValue
from rawdaq.messages.frames import decode
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.monitor import ComponentReport
from rawdaq.messages.order import FrameOrder
from rawdaq.messages.values import ReadoutArray, ReceivedEvent, Telemetry
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.stream_id import prefixes
from rawdaq.subscriber.connections import LiveReader

Value = TypeVar("Value")


class MessageLoss(NamedTuple):
    """Messages that were published and did not arrive: the publisher or the network dropped them.

    Attributes:
        topic: what they were about.
        missing: how many.
        next_message: the message that came after them.
        address: the publisher they are missing from.
    """

    topic: str
    missing: int
    next_message: Message
    address: str


class Options(TypedDict, total=False):
    """What all of these subscribers may be given by name, see `NamedSubscriber`."""

    timeout_s: float | None
    high_water_mark: int
    on_loss: Callable[[MessageLoss], None] | None
    logger: logging.Logger | None


class _KindSubscriber(LiveReader[Value]):
    """Reads messages of some kinds from one or more publishers.

    Args:
        addresses: one or more addresses of publishers.
        kinds: of messages.
        names: shell-style patterns; what they select is said by the subclass.
        timeout_s: see `NamedSubscriber`, as the following ones.
        high_water_mark: see there.
        on_loss: see there.
        logger: see there.

    Attributes:
        received: messages that were read so far, by topic; also those that no name selects.
        lost: messages that a jump of ``frame`` shows to be missing, by topic.
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        kinds: Iterable[Kind],
        names: str | Iterable[str],
        *,
        timeout_s: float | None = None,
        high_water_mark: int = 10_000,
        on_loss: Callable[[MessageLoss], None] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(addresses, timeout_s, high_water_mark, logger)
        self.kinds = tuple(kinds)
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.received: Counter[str] = Counter()
        self._order = FrameOrder()
        self.lost = self._order.lost
        self._on_loss = on_loss

    def _topics(self) -> Sequence[bytes]:
        return [f"~{kind}".encode() for kind in self.kinds]

    def _read(self, address: str, frames: list[bytes]) -> Value | None:
        try:
            message = decode(frames)
            if message.kind not in self.kinds:
                return None
            self._note(address, message)
            return self._value(message)
        except MessageMalformed as error:
            self.refusals.count(error.reason, address, error)
            return None

    def _note(self, address: str, message: Message) -> None:
        self.received[message.topic] += 1
        missing = self._order.missing(address, message)
        if missing and self._on_loss is not None:
            self._on_loss(MessageLoss(message.topic, missing, message, address))

    def _matches(self, name: str) -> bool:
        return not self.names or any(fnmatchcase(name, pattern) for pattern in self.names)

    @abstractmethod
    def _value(self, message: Message) -> Value | None:
        """Return what *message* carries, None when it is not selected.

        Raises:
            MessageMalformed: it carries nothing of its kind.
        """


class MessageSubscriber(_KindSubscriber[Message]):
    """Reads messages of several kinds as they are, in the order in which they come.

    Args:
        addresses: one or more addresses of publishers, like ``tcp://127.0.0.1:9001``.
        kinds: ``readout``, ``event``, ``telemetry``, ``log``, ``monitor``; none means all.
        options: the other ones of `NamedSubscriber`.

    Raises:
        InvalidValue: no address, one that ZMQ does not understand (on opening), or an unknown kind.
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        kinds: str | Iterable[str] = (),
        **options: Unpack[Options],
    ) -> None:
        wanted = [_kind(kind) for kind in ((kinds,) if isinstance(kinds, str) else kinds)] or list(Kind)
        super().__init__(addresses, wanted, (), **options)

    def _value(self, message: Message) -> Message:
        return message


def _kind(word: str) -> Kind:
    try:
        return Kind(word)
    except ValueError:
        raise InvalidValue(f"{word!r} is no kind of messages; there are {', '.join(Kind)}") from None


class _OneKindSubscriber(_KindSubscriber[Value]):
    """Reads messages of one kind; its arguments are those of the subclasses."""

    _KIND: ClassVar[Kind]

    def __init__(
        self,
        addresses: str | Iterable[str],
        names: str | Iterable[str] = (),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(addresses, [self._KIND], names, **options)


class NamedSubscriber(_OneKindSubscriber[Value]):
    """Reads messages of one kind, which components of stations publish.

    Args:
        addresses: one or more addresses of publishers.
        names: shell-style patterns of ``NET.STA.NAME``, the component; none means all.
        timeout_s: an iteration ends when nothing came for so long; None waits until `close`.
        high_water_mark: messages that may wait here before the publisher keeps (and later drops) them.
        on_loss: called for every jump of ``frame``, before the message that came after it.
        logger: where malformed messages are logged.

    Raises:
        InvalidValue: no address, or one that ZMQ does not understand (on opening).
    """

    def _topics(self) -> Sequence[bytes]:
        if not self.names:
            return super()._topics()
        return [f"~{self._KIND}.".encode() + start for start in prefixes(self.names)]

    def _value(self, message: Message) -> Value | None:
        return self._made(message) if self._matches(message.topic.partition(".")[2]) else None

    @abstractmethod
    def _made(self, message: Message) -> Value:
        """Return what *message* carries."""


class EventSubscriber(NamedSubscriber[ReceivedEvent]):
    """Reads `ReceivedEvent`s: triggers, time stamps, onsets; its arguments are those of `NamedSubscriber`."""

    _KIND = Kind.EVENT

    def _made(self, message: Message) -> ReceivedEvent:
        return ReceivedEvent.from_message(message)


class TelemetrySubscriber(NamedSubscriber[Telemetry]):
    """Reads `Telemetry`: values that were asked for now and then; its arguments are those of `NamedSubscriber`."""

    _KIND = Kind.TELEMETRY

    def _made(self, message: Message) -> Telemetry:
        return Telemetry.from_message(message)


class ReadoutSubscriber(NamedSubscriber[ReadoutArray]):
    """Reads `ReadoutArray`s, of many senders at one instant; its arguments are those of `NamedSubscriber`."""

    _KIND = Kind.READOUT

    def _made(self, message: Message) -> ReadoutArray:
        return ReadoutArray.from_message(message)


class LogSubscriber(_KindSubscriber[LogRecord]):
    """Reads `LogRecord`s, which a `LogReceiver` publishes.

    Args:
        addresses: one or more addresses of publishers.
        names: shell-style patterns of the logger's name, or of the component's; none means all.
        level: the least severe ones that are read.
        options: the other ones of `NamedSubscriber`.

    Raises:
        InvalidValue: no address, or one that ZMQ does not understand (on opening).
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        names: str | Iterable[str] = (),
        *,
        level: int = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(addresses, [Kind.LOG], names, **options)
        self.level = level

    def _value(self, message: Message) -> LogRecord | None:
        record = LogRecord.from_message(message)
        is_wanted = record.level >= self.level and (self._matches(record.name) or self._matches(record.component))
        return record if is_wanted else None


class MonitorSubscriber(_OneKindSubscriber[ComponentReport]):
    """Reads `ComponentReport`s, which a `MonitorReceiver` publishes.

    Args:
        addresses: one or more addresses of publishers.
        names: shell-style patterns of the component's name; none means all.
        options: the other ones of `NamedSubscriber`.

    Raises:
        InvalidValue: no address, or one that ZMQ does not understand (on opening).
    """

    _KIND = Kind.MONITOR

    def _value(self, message: Message) -> ComponentReport | None:
        report = ComponentReport.from_message(message)
        return report if self._matches(report.name) else None
