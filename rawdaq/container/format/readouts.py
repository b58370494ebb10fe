"""Readouts as their messages have them: what is checked before it goes into a file."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Kind, Message

#: Why a readout was finished, by its number in `reason`; any other word is the last one.
REASONS: Final = ("complete", "active", "timer", "newer", "full", "epoch", "stop", "other")
#: Is added to `reason` for a part that came when its readout had left.
LATE: Final = 0x80

_TYPES: Final = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NUMBERS: Final = struct.Struct("<QIqqB")
_MAX_SLOTS: Final = 1 << 16
_MAX_ROW_BYTES: Final = 1 << 28


class ReadoutLayout(NamedTuple):
    """What all readouts of a file have in common.

    Attributes:
        topic: of their messages: who has made them.
        type: of the values, numpy's word.
        row: shape of a slot: [channels] or [channels, samples].
        slots: how many rows a readout has at most.
        unit: of the values.
        scale: what makes them scaled, with `offset`.
        offset: see there.
    """

    topic: str
    type: str
    row: tuple[int, ...]
    slots: int
    unit: str
    scale: float
    offset: float

    @property
    def readout_bytes(self) -> int:
        """Size of the values of a readout in which no slot is missing."""
        return self.slots * int(np.prod(self.row, dtype=np.int64)) * np.dtype(self.type).itemsize


class Readout(NamedTuple):
    """A readout as a message has it.

    Attributes:
        layout: its own, with as many slots as it needs.
        slots: the slot of each row of `values`.
        values: of those that are there.
        numbers: number, epoch, time_ns, received_ns, reason.
        names: of the slots where the message has them.
    """

    layout: ReadoutLayout
    slots: list[int]
    values: npt.NDArray[Any]
    numbers: tuple[int, int, int, int, int]
    names: Sequence[str]


def readout_identity(
    topic: str, numbers: Sequence[int], slots: Sequence[int] | npt.NDArray[Any], values: npt.NDArray[Any]
) -> bytes:
    """Return bytes that two readouts share only where a file holds the same of both.

    Args:
        topic: of the message.
        numbers: as `Readout.numbers`.
        slots: those that are there.
        values: of these.
    """
    words = np.asarray(slots, "<u4").tobytes()
    little = np.asarray(values, values.dtype.newbyteorder("<"))
    return b"".join((topic.encode(), b"\0", _NUMBERS.pack(*numbers), words, little.tobytes()))


def read_readout(message: Message) -> Readout:
    """Return the readout that *message* carries.

    Raises:
        InvalidValue: it carries none; the text says why.
    """
    head = message.header
    if message.kind is not Kind.READOUT:
        raise InvalidValue(f"{message.topic} is no readout")
    kind, shape = head.get("type"), _integers(head, "shape", 1 << 31)
    if kind not in _TYPES:
        raise InvalidValue(f"values of type {str(kind)[:75]!r} are none of {', '.join(_TYPES)}")
    slots, expected = _integers(head, "slots", _MAX_SLOTS), _integer(head, "expected", 0, _MAX_SLOTS)
    if len(shape) not in (2, 3) or slots != sorted(set(slots)):
        raise InvalidValue(f"shape {shape} and slots {slots[:9]} are not [rows, channels] and rising numbers")
    needed = int(np.prod(shape, dtype=np.float64)) * np.dtype(kind).itemsize
    if needed > _MAX_ROW_BYTES or len(message.payload) != needed:
        raise InvalidValue(f"{len(message.payload)} bytes of values, {needed} are needed, at most {_MAX_ROW_BYTES}")
    values = np.frombuffer(message.payload, np.dtype(kind).newbyteorder("<")).reshape(shape)
    if shape[0] != len(slots):  # rows of absent slots are there too
        if slots and slots[-1] >= shape[0]:
            raise InvalidValue(f"{shape[0]} rows have no slot {slots[-1]}")
        values = values[slots]
    count = max(expected, shape[0], slots[-1] + 1 if slots else 0)
    unit, scale, offset = str(head.get("unit", "")), _float(head, "scale", 1), _float(head, "offset", 0)
    layout = ReadoutLayout(message.topic, kind, tuple(shape[1:]), count, unit, scale, offset)
    names = head.get("streams")
    return Readout(layout, slots, values, _numbers(head), names if isinstance(names, list) else [])


def _numbers(head: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    reason = head.get("reason")
    code = REASONS.index(reason) if reason in REASONS else len(REASONS) - 1
    return (
        _integer(head, "number", 0, 1 << 64),
        _integer(head, "epoch", 0, 1 << 32),
        _integer(head, "time_ns", -(1 << 63), 1 << 63),
        _integer(head, "received_ns", -(1 << 63), 1 << 63),
        code | (LATE if head.get("late") is True else 0),
    )


def _integer(head: Mapping[str, Any], key: str, low: int, end: int) -> int:
    value = head.get(key)
    if type(value) is not int or not low <= value < end:
        raise InvalidValue(f"{key} {str(value)[:75]!r} is no whole number from {low} on")
    return value


def _integers(head: Mapping[str, Any], key: str, end: int) -> list[int]:
    value = head.get(key)
    if not isinstance(value, list):
        raise InvalidValue(f"{key} {str(value)[:75]!r} is no list")
    return [_integer({key: each}, key, 0, end) for each in value]  # pyright: ignore[reportUnknownVariableType]


def _float(head: Mapping[str, Any], key: str, usual: float) -> float:
    value = head.get(key, usual)
    return float(value) if isinstance(value, int | float) else float(usual)
