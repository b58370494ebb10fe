"""IACP, which carries ISI: frames of a tag, a number, a type, a payload and a signature, and the handshake."""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from rawdaq.errors import ProtocolError
from rawdaq.protocols.elided import elided
from rawdaq.protocols.isi.errors import (
    BadTag,
    ConnectionCut,
    HandshakeUnreadable,
    PayloadTooLarge,
    SignatureTooLarge,
)

#: No payload is longer: the limit of all known programs while data come.
MAX_PAYLOAD_BYTES: Final = 32_768
_TAG: Final = b"IACP"
_HEAD = struct.Struct(">4s3I")
_SIGNATURE = struct.Struct(">2I")
_MAX_SIGNATURE_BYTES = 40
_UNSIGNED: Final = bytes(_SIGNATURE.size)
_MASK: Final = 0xFFFF_FFFF

_U32 = struct.Struct(">I")
_ITEM = struct.Struct(">2I")
_MAX_ITEMS = 5


class FrameType(IntEnum):
    """What a frame is: below 1000 of IACP, the others of ISI."""

    NULL = 0
    HANDSHAKE = 1
    ALERT = 100
    HEARTBEAT = 101
    NO_SUCH_TYPE = 102
    REQUEST_HEALTH = 1001
    REQUEST_CONFIGURATION = 1002
    REQUEST_WFDISC = 1003
    FORMAT = 1004
    COMPRESSION = 1005
    POLICY = 1006
    WINDOW = 1007
    HEALTH = 1009
    WFDISC = 1010
    CONFIGURATION = 1011
    PACKET = 1012
    RAW_PACKET = 1013
    SEQUENCE = 1014
    OPTIONS = 1015
    STREAM = 1016
    REQUEST_REPORT = 1017
    REPORT = 1018
    RECORD = 1019


class Cause(IntEnum):
    """Why a peer ends the connection: the code of an alert."""

    NONE = 0
    DISCONNECT = 1
    COMPLETE = 2
    IO_ERROR = 3
    SERVER_FAULT = 4
    TOO_MANY_CONNECTIONS = 5
    BAD_SIGNATURE = 6
    ACCESS_DENIED = 7
    REQUEST_DENIED = 8
    SHUTDOWN = 9
    PROTOCOL_ERROR = 10
    UNEXPECTED_FRAME = 11
    UNSUPPORTED = 12
    OTHER = 99


def cause_text(code: int) -> str:
    """Return the cause of an alert in words.

    >>> cause_text(2), cause_text(77)
    ('request complete', 'alert 77')
    """
    return _CAUSES.get(code, f"alert {code}")


_CAUSES: Final[dict[int, str]] = {
    Cause.NONE: "no cause given (its request matched no stream, or came too slowly)",
    Cause.DISCONNECT: "disconnect",
    Cause.COMPLETE: "request complete",
    Cause.IO_ERROR: "input or output error",
    Cause.SERVER_FAULT: "fault of the server",
    Cause.TOO_MANY_CONNECTIONS: "too many connections",
    Cause.BAD_SIGNATURE: "bad signature",
    Cause.ACCESS_DENIED: "access denied",
    Cause.REQUEST_DENIED: "request denied",
    Cause.SHUTDOWN: "shutdown in progress",
    Cause.PROTOCOL_ERROR: "protocol error",
    Cause.UNEXPECTED_FRAME: "unexpected frame",
    Cause.UNSUPPORTED: "unsupported request",
    Cause.OTHER: "other cause",
}


class Frame(NamedTuple):
    """A frame as it came.

    Attributes:
        type: a `FrameType`, or a number that is none.
        payload: what it holds.
    """

    type: int
    payload: bytes


class FrameWriter:
    """Numbers and writes the frames of one connection in one direction."""

    def __init__(self) -> None:
        self._number = 0

    def frame(self, frame_type: int, payload: bytes = b"") -> bytes:
        """Return the next frame, not signed, as all known programs send it."""
        head = _HEAD.pack(_TAG, self._number & _MASK, frame_type, len(payload))
        self._number += 1
        return b"".join((head, payload, _UNSIGNED))


class FrameReader:
    """Splits what a peer sends, cut anywhere, into frames; keeps at most one incomplete frame.

    Their numbers and signatures are not looked at, as by all known programs.

    Attributes:
        error: what ended it; from then on it gives nothing.
    """

    def __init__(self) -> None:
        self.error: ProtocolError | None = None
        self._buffer = b""
        self._begin = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the frame that is not whole yet."""
        return len(self._buffer) - self._begin

    def feed(self, data: bytes | memoryview) -> None:
        """Add what came.

        Raises:
            ProtocolError: the peer broke the protocol before.
        """
        if self.error is not None:
            raise self.error
        self._buffer = self._buffer[self._begin :] + data if self.held_bytes else bytes(data)
        self._begin = 0

    def take(self) -> Frame | None:
        """Return the next frame, None when it is not all here yet.

        Raises:
            ProtocolError: this is no frame, now and at every further call.
        """
        if self.error is not None:
            raise self.error
        buffer, begin = self._buffer, self._begin
        if not _TAG.startswith(buffer[begin : begin + len(_TAG)]):
            raise self.fail(BadTag(elided(buffer[begin : begin + 16])))
        if len(buffer) < begin + _HEAD.size:
            return None
        _, _, frame_type, size = _HEAD.unpack_from(buffer, begin)
        if size > MAX_PAYLOAD_BYTES:
            raise self.fail(PayloadTooLarge(frame_type, size, MAX_PAYLOAD_BYTES))
        payload_begin = begin + _HEAD.size
        payload_end = payload_begin + size
        if len(buffer) < payload_end + _SIGNATURE.size:
            return None
        _, signature_bytes = _SIGNATURE.unpack_from(buffer, payload_end)
        if signature_bytes > _MAX_SIGNATURE_BYTES:
            raise self.fail(SignatureTooLarge(frame_type, signature_bytes))
        end = payload_end + _SIGNATURE.size + signature_bytes
        if len(buffer) < end:
            return None
        self._begin = end
        return Frame(frame_type, buffer[payload_begin:payload_end])

    def fail(self, error: ProtocolError) -> ProtocolError:
        """Take note of what ends this reader; return it."""
        self.error = error
        return error

    def receive_eof(self) -> None:
        """Take note that the peer closed the connection.

        Raises:
            ConnectionCut: it did so in the middle of a frame.
        """
        if self.error is None and self.held_bytes:
            self.error = ConnectionCut(self.held_bytes)
        if self.error is not None:
            raise self.error


class Handshake(NamedTuple):
    """The first frame in each direction.

    Attributes:
        pid: the process.
        timeout_ms: how long one side waits for the other.
        send_bytes: its buffer for sending, 0 as the system has it.
        receive_bytes: its buffer for receiving, 0 as the system has it.
    """

    pid: int = 0
    timeout_ms: int = 30_000
    send_bytes: int = 0
    receive_bytes: int = 0

    def encode(self) -> bytes:
        """Return the payload."""
        items = (_ITEM.pack(2 + place, 4) + _U32.pack(value & _MASK) for place, value in enumerate(self))
        return _U32.pack(len(self)) + b"".join(items)

    @classmethod
    def decode(cls, payload: bytes) -> "Handshake":
        """Return what *payload* says; items that it lacks are as usual, unknown ones are passed over.

        Raises:
            HandshakeUnreadable: it is cut, or has too many items.
        """
        if len(payload) < _U32.size:
            raise HandshakeUnreadable("is cut")
        (count,) = _U32.unpack_from(payload)
        if count > _MAX_ITEMS:
            raise HandshakeUnreadable(f"has {count} items, the limit is {_MAX_ITEMS}")
        values = list(cls())
        at = _U32.size
        for _ in range(count):
            if len(payload) < at + _ITEM.size:
                raise HandshakeUnreadable("is cut")
            item, size = _ITEM.unpack_from(payload, at)
            at += _ITEM.size
            if len(payload) < at + size:
                raise HandshakeUnreadable("is cut")
            if 0 <= item - 2 < len(values) and size == _U32.size:
                (values[item - 2],) = _U32.unpack_from(payload, at)
            at += size
        return cls(*values)


def encode_alert(code: int) -> bytes:
    """Return the payload of an alert."""
    return _U32.pack(code)


def decode_alert(payload: bytes) -> int:
    """Return the cause of an alert; one that says nothing is `Cause.NONE`."""
    return int(_U32.unpack_from(payload)[0]) if len(payload) >= _U32.size else int(Cause.NONE)
