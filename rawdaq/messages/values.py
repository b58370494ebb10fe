"""Readouts, events and telemetry as values: what their messages say, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

import numpy.typing as npt

from rawdaq.messages.message import Message
from rawdaq.protocols.array import decode as decode_array
from rawdaq.protocols.json_header import text_value, whole_number, wrong_value

_INT64 = 1 << 63
_MAX_SLOT = 1 << 20


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """Something that happened at a time: a trigger, a time stamp, an onset.

    Attributes:
        component: which component published it.
        type: what it is, in that component's words.
        time_ns: when, nanoseconds since 1970 UTC; None where only the device's own time is known.
        ps: picoseconds below the nanosecond.
        device_ns: the device's own time.
        source: who sent it.
        counter: the source's number of it.
        missed: how many a jump of the counter shows to be missing before it.
        backwards: whether the counter went back.
        fields: all else, by name.
        payload: the bytes as they came.
        message: the message.
    """

    component: str
    type: str
    time_ns: int | None
    ps: int = 0
    device_ns: int | None = None
    source: str = ""
    counter: int | None = None
    missed: int = 0
    backwards: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    payload: bytes = field(default=b"", repr=False)
    message: Message | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Return the event that *message* carries.

        Raises:
            MessageMalformed: it carries none; the text says why.
        """
        header = message.header
        return cls(
            component=message.component,
            type=text_value(header, "type"),
            time_ns=_whole_or_none(header, "time_ns"),
            ps=whole_number(header, "ps", end=1000),
            device_ns=_whole_or_none(header, "device_ns"),
            source=text_value(header, "source"),
            counter=_whole_or_none(header, "counter"),
            missed=whole_number(header, "missed"),
            backwards=bool(header.get("backwards")),
            fields=_mapping(header, "fields"),
            payload=bytes(message.payload),
            message=message,
        )


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Values that were asked for at a time.

    Attributes:
        component: which component published them.
        time_ns: when, nanoseconds since 1970 UTC.
        values: by name; None where there was none.
        units: of those that have one, by name.
        message: the message.
    """

    component: str
    time_ns: int
    values: Mapping[str, Any]
    units: Mapping[str, Any] = field(default_factory=dict[str, Any])
    message: Message | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Return the values that *message* carries.

        Raises:
            MessageMalformed: it carries none; the text says why.
        """
        header = message.header
        time_ns = whole_number(header, "time_ns", message.received_ns)
        return cls(message.component, time_ns, _mapping(header, "values"), _mapping(header, "units"), message)


@dataclass(frozen=True, slots=True, eq=False)
class ReadoutArray:
    """What many senders measured at one instant.

    Attributes:
        component: which component published it.
        number: one more than that of the readout before, over epochs too.
        epoch: how often the senders' clocks were reset before it.
        time_ns: the senders' time of its earliest part.
        received_ns: when its first part came, nanoseconds since 1970 UTC.
        slots: the slot of each row of `data`, ascending; where all rows are there, those that hold values.
        expected: how many slots are configured.
        reason: why it was finished: ``complete``, ``active``, ``timer``, ``newer``, ``full``, ``epoch`` or ``stop``.
        is_late: it is a part whose readout has left before.
        unit: of `data` times `scale` plus `offset`.
        scale: see `unit`.
        offset: see `unit`.
        data: [rows, channels] or [rows, channels, samples], read-only.
        message: the message.
    """

    component: str
    number: int
    epoch: int
    time_ns: int
    received_ns: int
    slots: Sequence[int]
    expected: int
    reason: str
    is_late: bool
    unit: str
    scale: float
    offset: float
    data: npt.NDArray[Any] = field(repr=False)
    message: Message = field(repr=False)

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Return the readout that *message* carries.

        Raises:
            MessageMalformed: it carries none; the text says why.
        """
        header = message.header
        data = decode_array([message.head, message.payload]).array
        slots = _slots(header)
        if data.ndim not in (2, 3) or len(data) < len(slots):
            raise wrong_value(header, "shape", f"[rows, channels(, samples)] with rows for {len(slots)} slots")
        return cls(
            component=message.component,
            number=whole_number(header, "number"),
            epoch=whole_number(header, "epoch"),
            time_ns=whole_number(header, "time_ns", message.received_ns, low=-_INT64),
            received_ns=message.received_ns,
            slots=slots,
            expected=whole_number(header, "expected", len(slots)),
            reason=text_value(header, "reason"),
            is_late=bool(header.get("late")),
            unit=text_value(header, "unit"),
            scale=_number(header, "scale", 1.0),
            offset=_number(header, "offset", 0.0),
            data=data,
            message=message,
        )

    def row(self, slot: int) -> npt.NDArray[Any] | None:
        """Return the values of *slot*, None when it has none."""
        if slot not in self.slots:
            return None
        # With all rows there the slot is the row; else the rows are those of the slots.
        return cast("npt.NDArray[Any]", self.data[slot if len(self.data) > len(self.slots) else self.slots.index(slot)])


def _slots(header: Mapping[str, Any]) -> tuple[int, ...]:
    match header.get("slots"):
        case [*slots] if all(type(slot) is int and 0 <= slot < _MAX_SLOT for slot in slots):
            if sorted(set(slots)) == slots:
                return tuple(slots)
        case _:
            pass
    raise wrong_value(header, "slots", "a list of whole numbers, ascending")


def _whole_or_none(header: Mapping[str, Any], key: str) -> int | None:
    return None if header.get(key) is None else whole_number(header, key, low=-_INT64)


def _number(header: Mapping[str, Any], key: str, default: float) -> float:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_value(header, key, "a number")
    return float(value)


def _mapping(header: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = header.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_value(header, key, "an object")
    return cast("dict[str, Any]", value)
