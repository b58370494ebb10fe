"""An object of a container: a packet, a message, one of several parts, or plain bytes; as bytes and back.

The bytes are kind (u8), length of a JSON header (u32), that header, payload.

>>> item = decode(encode(b"hello", 1).data)
>>> item
b'hello'
"""

import json
import struct
from enum import IntEnum
from typing import Any, Final, NamedTuple, cast

from rawdaq.container.errors import BlockDamaged
from rawdaq.container.format.layout import MAX_OBJECT_BYTES
from rawdaq.errors import InvalidValue, ProtocolError
from rawdaq.messages.message import Message
from rawdaq.multipart import Multipart
from rawdaq.packet import Marks, Packet
from rawdaq.protocols import message as waveforms
from rawdaq.protocols.json_header import read_header

#: What a container can hold.
Item = Packet | Message | Multipart | bytes

_HEAD: Final = struct.Struct("<BI")  # kind, length of the header
_MAX_HEADER_BYTES: Final = 1 << 20
_INT64: Final = 1 << 63


class ObjectKind(IntEnum):
    """What an object is."""

    BYTES = 0
    PACKET = 1
    MESSAGE = 2
    MULTIPART = 3


class Encoded(NamedTuple):
    """An object as it stands in a block.

    Attributes:
        time_ns: its time, by which it can be found.
        data: its bytes.
    """

    time_ns: int
    data: bytes


def encode(item: Item, now_ns: int) -> Encoded:
    """Return the bytes of *item* with its time.

    That is the time of a packet's first sample, the ``time_ns`` of a message or else its ``received_ns``, and *now_ns*
    where there is none.

    Raises:
        InvalidValue: it is too large, or nothing that a container can hold.
    """
    if isinstance(item, bytes):
        encoded = Encoded(now_ns, _HEAD.pack(ObjectKind.BYTES, 0) + item)
    elif isinstance(item, Packet):
        _, head, samples = waveforms.encode(item)
        encoded = Encoded(item.start_ns, _joined(ObjectKind.PACKET, _with_marks(bytes(head), item.marks), samples))
    elif isinstance(item, Message):
        topic = json.dumps(item.topic).encode()
        encoded = Encoded(
            _time_of(item, now_ns), _joined(ObjectKind.MESSAGE, b"[%b,%b]" % (topic, item.head), item.payload)
        )
    elif isinstance(item, Multipart):  # pyright: ignore[reportUnnecessaryIsInstance] - users have anything
        encoded = Encoded(now_ns, _joined(ObjectKind.MULTIPART, _multipart_head(item), *item.parts))
    else:
        raise InvalidValue(f"a container holds packets, messages and bytes, no {type(item).__name__}")
    if len(encoded.data) > MAX_OBJECT_BYTES:
        raise InvalidValue(f"object of {len(encoded.data)} bytes, limit is {MAX_OBJECT_BYTES}")
    return encoded


def _time_of(message: Message, now_ns: int) -> int:
    for key in ("time_ns", "received_ns"):
        value = message.header.get(key)
        if type(value) is int and -_INT64 <= value < _INT64:
            return value
    return now_ns


def _joined(kind: ObjectKind, head: bytes, *payload: bytes | memoryview) -> bytes:
    return b"".join((_HEAD.pack(kind, len(head)), head, *payload))


def _with_marks(head: bytes, marks: Marks | None) -> bytes:
    """Return *head*, which a message on ZMQ has, with what only files and servers say."""
    if marks is None:
        return head
    return head[:-1] + b',"marks":' + json.dumps(marks, separators=(",", ":")).encode() + b"}"


def _multipart_head(item: Multipart) -> bytes:
    fields = {
        "lengths": [memoryview(part).nbytes for part in item.parts],
        "frame": item.frame,
        "header_part": item.header_part,
        "json": item.keys is not None,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def decode(data: bytes | memoryview) -> Item:
    """Return the item of which `encode` has made *data*; it keeps nothing else in memory.

    Raises:
        BlockDamaged: no item has such bytes.
    """
    view = memoryview(data)
    kind, head, payload = split(view)
    try:
        if kind is ObjectKind.PACKET:
            return _packet(head, bytes(payload))
        if kind is ObjectKind.MULTIPART:
            return _multipart(head, payload)
        if kind is ObjectKind.MESSAGE:
            return _message(head, bytes(payload))
        return bytes(payload)
    except (ProtocolError, InvalidValue) as error:
        raise BlockDamaged(f"object of kind {kind.name.lower()}: {error}") from None


def split(data: memoryview) -> tuple[ObjectKind, memoryview, memoryview]:
    """Return kind, header and payload of an object.

    Raises:
        BlockDamaged: it has no such parts.
    """
    if len(data) < _HEAD.size:
        raise BlockDamaged(f"object of {len(data)} bytes")
    kind, length = _HEAD.unpack_from(data)
    if length > _MAX_HEADER_BYTES or _HEAD.size + length > len(data):
        raise BlockDamaged(f"object whose header has {length} bytes")
    if kind > max(ObjectKind):
        raise BlockDamaged(f"object of kind {kind}, which this rawdaq does not know: install a newer one")
    return ObjectKind(kind), data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]


def _packet(head: memoryview, samples: bytes) -> Packet:
    keys = read_header(head, _MAX_HEADER_BYTES)
    packet = waveforms.decode([str(keys.get("stream")).encode(), head, samples])
    marks = keys.get("marks")
    if marks is None:
        return packet
    match marks:
        case [int() as publication, int() as flags, str() as headers]:
            return packet.replace(marks=Marks(publication, flags, headers))
        case _:
            raise InvalidValue(f"marks {str(marks)[:75]!r} are not [number, number, text]")


def _message(head: memoryview, payload: bytes) -> Message:
    try:
        found: object = json.loads(bytes(head))
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"its header is not JSON ({error})") from None
    match found:
        case [str() as topic, dict()]:
            return Message(topic, cast("tuple[str, dict[str, Any]]", found)[1], payload)
        case _:
            raise InvalidValue("its header is not [topic, object]")


def _multipart(head: memoryview, payload: memoryview) -> Multipart:
    keys = read_header(head, _MAX_HEADER_BYTES)
    lengths, parts, begin = _lengths(keys, len(payload)), list[bytes](), 0
    for length in lengths:
        parts.append(bytes(payload[begin : begin + length]))
        begin += length
    header_part = keys.get("header_part")
    if type(header_part) is not int or not 0 <= header_part < max(1, len(parts)):
        raise InvalidValue(f"there is no part {header_part!r}")
    frame = keys.get("frame")
    if type(frame) is not int or not -_INT64 <= frame < _INT64:
        raise InvalidValue(f"frame {str(frame)[:75]!r} is no number")
    header = read_header(parts[header_part], MAX_OBJECT_BYTES) if keys.get("json") and parts else None
    return Multipart(parts, len(payload), frame, header, 0, header_part)


def _lengths(keys: dict[str, Any], total: int) -> list[int]:
    found: object = keys.get("lengths")
    if not isinstance(found, list):
        raise InvalidValue("the lengths of its parts are no numbers")
    lengths = cast("list[int]", found)
    if any(type(each) is not int or each < 0 for each in lengths):
        raise InvalidValue("the lengths of its parts are no numbers")
    if sum(lengths) != total:
        raise InvalidValue(f"its parts have {total} bytes, not {sum(lengths)}")
    return lengths
