"""As much of Protocol Buffers as the camera needs: the fields of a message, in any order, unknown ones included.

Source: protobuf.dev, "Encoding". Numbers here are never negative.

>>> message = number_field(1, 300) + bytes_field(2, b"ab")
>>> message.hex()
'08ac0212026162'
>>> list(fields(message))
[(1, 300), (2, b'ab')]
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.events import MalformedMessage

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10
_SIZES = {_FIXED64: 8, _FIXED32: 4}


class Incomplete(RemoteProtocolError):
    """The message ends in the middle of a field."""

    def __str__(self) -> str:
        return "the message ends in the middle of a field"


class FieldAt(NamedTuple):
    """A field, and where the next one begins.

    Attributes:
        number: of the field.
        value: a number, or the bytes of a fixed-width or length-delimited field.
        end: where the next one begins.
    """

    number: int
    value: int | bytes
    end: int


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field: numbers, and the bytes of all others.

    Raises:
        Incomplete: the message ends in the middle of a field.
        MalformedMessage: it is no message.
    """
    at = 0
    while at < len(message):
        number, value, at = field_at(message, at)
        yield number, value


def field_at(message: bytes | bytearray, at: int) -> FieldAt:
    """Return the field that begins at *at*.

    Raises:
        Incomplete: its end is not there.
        MalformedMessage: there can be none like it.
    """
    key, at = varint_at(message, at)
    number, kind = key >> 3, key & 7
    if not number:
        raise MalformedMessage("a field has number 0")
    if kind == _VARINT:
        return FieldAt(number, *varint_at(message, at))
    if kind == _BYTES:
        size, at = varint_at(message, at)
    elif kind in _SIZES:
        size = _SIZES[kind]
    else:
        raise MalformedMessage(f"field {number} has wire type {kind}")
    if at + size > len(message):
        raise Incomplete()
    return FieldAt(number, bytes(message[at : at + size]), at + size)


def varint_at(message: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the number that begins at *at*, and where it ends.

    Raises:
        Incomplete: its end is not there.
        MalformedMessage: it has more than 64 bits.
    """
    value = 0
    for index in range(_MOST_VARINT_BYTES):
        if at + index >= len(message):
            raise Incomplete()
        byte = message[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + index + 1
    raise MalformedMessage("a number has more than 64 bits")


def number(value: int | bytes, field: str) -> int:
    """Return *value* where a number should be.

    Raises:
        MalformedMessage: it is something else.
    """
    if not isinstance(value, int):
        raise MalformedMessage(f"{field} is no number")
    return value


def data(value: int | bytes, field: str, size: int | None = None) -> bytes:
    """Return *value* where bytes should be, *size* of them.

    Raises:
        MalformedMessage: it is something else.
    """
    if not isinstance(value, bytes) or (size is not None and len(value) != size):
        raise MalformedMessage(f"{field} is not {'bytes' if size is None else f'{size} bytes'}")
    return value


def text(value: int | bytes, field: str) -> str:
    """Return *value* where text should be; what is no UTF-8 is replaced.

    Raises:
        MalformedMessage: it is a number.
    """
    return data(value, field).decode("utf-8", "replace")


def float32(value: int | bytes, field: str) -> float:
    """Return *value* where a float of 32 bits should be.

    Raises:
        MalformedMessage: it is something else.
    """
    return float(struct.unpack("<f", data(value, field, 4))[0])


def varint(value: int) -> bytes:
    """Return *value* as it is written."""
    written = bytearray()
    while value > 0x7F:
        written.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*written, value])


def number_field(field: int, value: int) -> bytes:
    """Return a field of a number."""
    return varint(field << 3 | _VARINT) + varint(value)


def bytes_field(field: int, value: bytes) -> bytes:
    """Return a field of bytes: text, another message."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def fixed64_field(field: int, value: int) -> bytes:
    """Return a field of 64 bits."""
    return varint(field << 3 | _FIXED64) + struct.pack("<Q", value)


def float32_field(field: int, value: float) -> bytes:
    """Return a field of a float."""
    return varint(field << 3 | _FIXED32) + struct.pack("<f", value)
