"""The ``array-1.0`` message of detector streams: a JSON header and the array, in two frames (or a topic before them).

What such headers have in common is ``htype``, ``type``, ``shape`` and mostly ``frame``, which counts messages. They
name neither a stream nor a rate, and each facility has its own key for the time. A message is complete or malformed,
so this codec has no state. `read_frame_header` reads only the number, for programs that pass frames on.

>>> message = decode([b'{"htype": "array-1.0", "type": "uint16", "shape": [2], "frame": 7}', bytes([1, 0, 2, 0])])
>>> message.array, message.frame
(array([1, 2], dtype=int32), 7)
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue, error_text
from rawdaq.protocols.json_header import Frame, read_header, wrong_value
from rawdaq.protocols.message_errors import HeaderUnreadable, HeaderValueWrong, MessageMalformed, SampleBytesWrong
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_calendar, from_iso

#: The types that arrays have, and the sample type that holds each without loss.
_TYPES = {
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "float32": "float32",
    "float64": "float64",
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "float64",
}
_HTYPE = "array-1.0"
_MAX_HEADER_BYTES = 1 << 20  # those of cameras have some hundred bytes
_BYTE_ORDERS = {"little": "<", "big": ">"}
_BYTE_ORDER_KEYS = ("encoding", "endianess", "endianness")  # that of the convention, and how others write it
_MAX_DIMENSIONS = 32  # what numpy can have
_MAX_ELEMENTS = 1 << 40  # far above what a message can have, and numpy can still multiply it
_FIRST_NS, _LAST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 0, 0, 0)


class TimeUnit(IntEnum):
    """What a number that is a time counts, in nanoseconds."""

    NS = 1
    US = 1_000
    MS = 1_000_000
    S = 1_000_000_000


@error_text("message of {count} frames, not 2 (header, array) or 3 (topic, header, array)")
class ArrayFramesWrong(MessageMalformed):
    """A message has another number of frames than two, or three."""

    reason = "wrong number of frames"

    count: int


@error_text("message of {count} parts, the header is part {header_part}")
class HeaderMissing(MessageMalformed):
    """A message has fewer parts than the header's place in it."""

    reason = "no header"

    count: int
    header_part: int


class NumberMissing(HeaderValueWrong):
    """A header has no frame number."""

    reason = "no frame number"


class HeaderForm(StrEnum):
    """How the header of a frame is written; each value is the word of detector configurations for it."""

    FILE = "file"  # JSON: the older word
    GF = "gf"  # JSON: the later word
    BINARY = "TestMetadata"


class BinaryHeader(NamedTuple):
    """The header form ``TestMetadata``: seven unsigned whole numbers.

    Attributes:
        frame: number of the frame.
        htype: kind of message.
        tag: free.
        source: who sends; 0 is the camera.
        shape: bytes of data.
        type: element type.
        endianess: byte order.
    """

    frame: int
    htype: int = 1
    tag: int = 0
    source: int = 0
    shape: int = 0
    type: int = 2
    endianess: int = 0

    def encode(self) -> bytes:
        """Return the 56 bytes."""
        return _BINARY.pack(*self)

    @classmethod
    def decode(cls, data: Frame) -> "BinaryHeader":
        """Return the header in *data*.

        Raises:
            HeaderUnreadable: it has another size.
        """
        if len(data) != _BINARY.size:
            raise HeaderUnreadable(len(data), f"TestMetadata has {_BINARY.size}")
        return cls(*_BINARY.unpack(data))


_BINARY = struct.Struct("<7Q")  # frame htype tag source shape type endianess


class FrameHeader(NamedTuple):
    """What the header of a frame says to those who pass the frame on.

    Attributes:
        frame: the number of the frame at its source.
        keys: those of a JSON header; None of a binary one.
    """

    frame: int
    keys: Mapping[str, Any] | None


def read_frame_header(parts: Sequence[Frame], form: HeaderForm = HeaderForm.FILE, header_part: int = 0) -> FrameHeader:
    """Return the header of the frame that *parts* are; the array is not looked at.

    >>> read_frame_header([b'{"frame": 41}']).frame
    41

    Args:
        parts: of one message.
        form: how the header is written.
        header_part: which part the header is; rawdaq's own messages have a topic before it.

    Raises:
        MessageMalformed: there is no header, it cannot be read, or it has no number.
    """
    if len(parts) <= header_part:
        raise HeaderMissing(len(parts), header_part)
    if form is _BINARY_FORM:
        return FrameHeader(BinaryHeader.decode(parts[header_part]).frame, None)
    keys = read_header(parts[header_part], _MAX_HEADER_BYTES)
    frame = keys.get("frame")
    if type(frame) is float and frame.is_integer():
        frame = int(frame)
    if type(frame) is not int or frame < 0:
        raise NumberMissing(*wrong_value(keys, "frame", "a whole number of at least 0").args)
    return FrameHeader(frame, keys)


_BINARY_FORM = HeaderForm.BINARY  # Python 3.11 finds the members of an enum slowly


def encode_header(frame: int, array: npt.NDArray[Any], **more: Any) -> bytes:
    """Return the JSON header of *array* as frame number *frame*, with *more* keys at its end.

    >>> encode_header(0, np.zeros((2, 3), "<u2"), source="bench")
    b'{"frame":0,"htype":["array-1.0"],"type":"uint16","shape":[2,3],"endianess":"little","source":"bench"}'
    """
    order = "big" if array.dtype.newbyteorder(">") == array.dtype and array.dtype.itemsize > 1 else "little"
    keys = {"frame": frame, "htype": [_HTYPE], "type": array.dtype.name, "shape": list(array.shape), "endianess": order}
    return json.dumps(keys | more, separators=(",", ":")).encode()


class ArrayMessage(NamedTuple):
    """An array and what came with it.

    Attributes:
        array: as the header shapes it, read-only, of a type that samples can have.
        frame: the number of the message in its stream; None when the header does not count.
        header: all of its keys.
    """

    array: npt.NDArray[Any]
    frame: int | None
    header: Mapping[str, Any]


def decode(frames: Sequence[Frame]) -> ArrayMessage:
    """Return the array that *frames* carry; it is a view of the last frame where its type allows.

    Raises:
        MessageMalformed: it is no such message; the subclass carries the numbers.
    """
    if len(frames) not in (2, 3):
        raise ArrayFramesWrong(len(frames))
    header = read_header(frames[-2])
    htype = header.get("htype")
    if htype != _HTYPE and htype != [_HTYPE]:
        raise wrong_value(header, "htype", _HTYPE)
    return ArrayMessage(_array(header, frames[-1]), _frame(header), header)


def _array(header: Mapping[str, Any], data: Frame) -> npt.NDArray[Any]:
    name = header.get("type")
    if not isinstance(name, str) or name not in _TYPES:
        raise wrong_value(header, "type", " or ".join(_TYPES))
    dtype = np.dtype(name).newbyteorder(_byte_order(header))
    shape = _shape(header)
    size_bytes, expected_bytes = memoryview(data).nbytes, math.prod(shape) * dtype.itemsize
    if size_bytes != expected_bytes:
        raise SampleBytesWrong(size_bytes, expected_bytes)
    array = np.frombuffer(data, dtype) if size_bytes else np.empty(0, dtype)
    if _TYPES[name] != name:
        array = array.astype(_TYPES[name])
    array.flags.writeable = False
    return array.reshape(shape)


def _byte_order(header: Mapping[str, Any]) -> Any:
    """Return numpy's sign for the byte order; a header without it means little-endian, as all machines now are."""
    for key in _BYTE_ORDER_KEYS:
        value = header.get(key)
        if value is not None:
            if not isinstance(value, str) or value not in _BYTE_ORDERS:
                raise wrong_value(header, key, "little or big: compressed arrays are not read")
            return _BYTE_ORDERS[value]
    return "<"


def _shape(header: Mapping[str, Any]) -> list[int]:
    match header.get("shape"):
        case [*sizes] if len(sizes) <= _MAX_DIMENSIONS and all(type(size) is int and size >= 0 for size in sizes):
            if math.prod(max(1, size) for size in sizes) <= _MAX_ELEMENTS:
                return sizes
            raise wrong_value(header, "shape", f"at most {_MAX_ELEMENTS} elements")
        case _:
            raise wrong_value(header, "shape", "a list of sizes")


def _frame(header: Mapping[str, Any]) -> int | None:
    value = header.get("frame")
    if value is None:
        return None
    if type(value) is not int:
        raise wrong_value(header, "frame", "a whole number")
    return value


def time_in(header: Mapping[str, Any], key: str, unit: TimeUnit) -> int:
    """Return the time at *key* of *header*, in nanoseconds.

    It may be a number since 1970 in *unit*, ISO 8601 text, or seconds and nanoseconds as ``{"sec": ..., "ns": ...}``.

    Raises:
        HeaderValueWrong: it is not one of these, or outside the years that there are.
    """
    time_ns = _time(header.get(key), unit)
    if time_ns is None or not _FIRST_NS <= time_ns < _LAST_NS:
        raise wrong_value(header, key, f"a time (a number of {unit.name.lower()}, ISO 8601 text, or sec and ns)")
    return time_ns


def _time(value: Any, unit: TimeUnit) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value * unit
        case float() if math.isfinite(value):
            # The whole part first: a float of seconds times 1e9 would lose more than the float already has.
            return int(value) * unit + round((value - int(value)) * unit)
        case str():
            try:
                return from_iso(value)
            except InvalidValue:
                return None
        case {"sec": int(seconds), "ns": int(nanoseconds)}:
            return seconds * TimeUnit.S + nanoseconds
        case _:
            return None
