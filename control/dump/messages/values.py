"""What a message says, for all that shows it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.monitor import ComponentReport
from rawdaq.messages.values import ReadoutArray, ReceivedEvent, Telemetry

Value = LogRecord | ComponentReport | ReceivedEvent | ReadoutArray | Telemetry


class Shown(NamedTuple):
    """A message, and what came with it.

    Attributes:
        message: the message.
        value: what it says.
        lost: how many of its topic are missing before it.
        now_ns: this machine's clock when it arrived.
    """

    message: Message
    value: Value
    lost: int
    now_ns: int

    @property
    def time_ns(self) -> int:
        """When it happened; where only a device knows that, when it was received."""
        if isinstance(self.value, ReceivedEvent):
            return self.message.received_ns if self.value.time_ns is None else self.value.time_ns
        return self.value.received_ns if isinstance(self.value, ReadoutArray) else self.value.time_ns

    @property
    def name(self) -> str:
        """Who says it: the component, of a log record the logger."""
        match self.value:
            case LogRecord() | ComponentReport():
                return self.value.name
            case _:
                return self.message.topic.partition(".")[2] or self.message.component

    @property
    def sort(self) -> str:
        """What sort of its kind it is: the level, the state, the type, the reason."""
        match self.value:
            case LogRecord():
                return self.value.level_name
            case ComponentReport():
                return self.value.state
            case ReceivedEvent():
                return self.value.type
            case ReadoutArray():
                return self.value.reason
            case _:
                return ""


def value_of(message: Message) -> Value:
    """Return what *message* says.

    Raises:
        MessageMalformed: it says nothing of its kind.
    """
    return _READ[message.kind](message)


_READ: Mapping[Kind, Callable[[Message], Value]] = {
    Kind.LOG: LogRecord.from_message,
    Kind.MONITOR: ComponentReport.from_message,
    Kind.EVENT: ReceivedEvent.from_message,
    Kind.READOUT: ReadoutArray.from_message,
    Kind.TELEMETRY: Telemetry.from_message,
}
