"""ZMTP 3, the protocol between ZMQ sockets (rfc.zeromq.org/spec/23 and 37), with the NULL mechanism.

Both sides send a greeting, a READY command that names the socket type, then messages of frames. A SUB socket sends its
subscriptions as one-frame messages (byte 1 or 0, then a topic prefix), in later versions as commands. PUSH and
PULL are the same without subscriptions. A connection may end anywhere, so there is no ``receive_eof``.

::

    peer = ZmtpPeer(SocketType.PUB)          # data_to_send() is our greeting
    for event in peer.receive_data(chunk):   # Ready, Subscribed, Cancelled, Received
        ...
    writer.write(b"".join(frame_message([topic, header, samples])))
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rawdaq.errors import LocalProtocolError, RemoteProtocolError, error_text

#: What a subscriber may send us at once: topics have tens of bytes. A peer that receives messages has a higher limit.
MAX_SUBSCRIPTION_BYTES = 1 << 16

#: No program sends messages of more frames: bounds what empty frames can make us hold.
MAX_FRAMES = 64

_MORE, _LONG, _COMMAND = 1, 2, 4  # flag bits of a frame
_GREETING_BYTES = 64
_SIGNATURE = struct.Struct(">B8sB")  # 0xff, eight bytes that older versions use, 0x7f
_VERSION = struct.Struct("BB")  # major, minor
_MECHANISM = struct.Struct("20s")
_LONG_SIZE = struct.Struct(">Q")
_VALUE_SIZE = struct.Struct(">I")
_GREETING = _SIGNATURE.pack(0xFF, bytes(8), 0x7F) + _VERSION.pack(3, 0) + _MECHANISM.pack(b"NULL") + bytes(32)
_SHORT = {flags: [bytes((flags, size)) for size in range(256)] for flags in (0, _MORE, _COMMAND)}
_SHOWN = 75  # characters of a foreign text in an error


class SocketType(StrEnum):
    """The socket types of the publish-subscribe and the pipeline pattern; each value is the wire's word."""

    PUB = "PUB"
    XPUB = "XPUB"
    SUB = "SUB"
    XSUB = "XSUB"
    PUSH = "PUSH"
    PULL = "PULL"


_PUBLISHING = frozenset({SocketType.PUB, SocketType.XPUB})
_SUBSCRIBING = frozenset({SocketType.SUB, SocketType.XSUB})
_PARTNERS: dict[SocketType, frozenset[SocketType]] = {
    **dict.fromkeys(_PUBLISHING, _SUBSCRIBING),
    **dict.fromkeys(_SUBSCRIBING, _PUBLISHING),
    SocketType.PUSH: frozenset({SocketType.PULL}),
    SocketType.PULL: frozenset({SocketType.PUSH}),
}


class Ready(NamedTuple):
    """The handshake is over; messages may flow."""

    socket_type: SocketType


class Subscribed(NamedTuple):
    """The peer subscribed to messages whose first frame begins with *topic*."""

    topic: bytes


class Cancelled(NamedTuple):
    """The peer cancelled one subscription of *topic*."""

    topic: bytes


class Received(NamedTuple):
    """A message of one or more frames."""

    frames: tuple[bytes, ...]


Event = Ready | Subscribed | Cancelled | Received


@dataclass(eq=False, repr=False)
class NotZmtp(RemoteProtocolError):
    """The peer's greeting is not that of a ZMQ socket of version 4 or later."""

    greeting: bytes

    def __str__(self) -> str:
        return f"greeting {self.greeting[:12].hex(' ')} is not that of ZMTP 3 with the NULL mechanism"


@dataclass(eq=False, repr=False)
class WrongSocketType(RemoteProtocolError):
    """The peer is a ZMQ socket that cannot talk with ours."""

    theirs: str
    ours: str

    def __str__(self) -> str:
        return f"peer is a {self.theirs[:_SHOWN]!r} socket, which cannot talk with {self.ours}"


@error_text("{what}: {number}")
class FrameWrong(RemoteProtocolError):
    """A frame, a command or a message that ZMTP does not allow here."""

    what: str
    number: int


@dataclass(eq=False, repr=False)
class PeerRefused(RemoteProtocolError):
    """The peer sent ERROR instead of READY."""

    reason: str

    def __str__(self) -> str:
        return f"peer refused the connection: {self.reason[:_SHOWN]!r}"


def _frame(flags: int, body: bytes | memoryview) -> bytes:
    """Return the bytes that precede *body*."""
    size = body.nbytes if isinstance(body, memoryview) else len(body)
    return _SHORT[flags][size] if size < 256 else bytes((flags | _LONG,)) + _LONG_SIZE.pack(size)


def frame_message(frames: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return the pieces to send for a message of *frames*, whose bodies are not copied.

    Stateless, so that one message is framed once for any number of peers.

    Raises:
        LocalProtocolError: a message without a frame.
    """
    if not frames:
        raise LocalProtocolError("a ZMQ message has at least one frame")
    pieces: list[bytes | memoryview] = []
    left = len(frames)
    for body in frames:
        left -= 1
        size, flags = body.nbytes if isinstance(body, memoryview) else len(body), _MORE if left else 0
        pieces += (_SHORT[flags][size] if size < 256 else _frame(flags, body), body)
    return pieces


def _command(name: bytes, body: bytes) -> bytes:
    text = bytes((len(name),)) + name + body
    return _frame(_COMMAND, text) + text


def _ready(socket_type: SocketType) -> bytes:
    value = socket_type.encode()
    return _command(b"READY", b"\x0bSocket-Type" + _VALUE_SIZE.pack(len(value)) + value)


def _property(body: bytes, name: bytes) -> str:
    """Return the value of a property of a READY command (its names ignore case), "" when it is not there."""
    at = 0
    while at < len(body):
        name_end = at + 1 + body[at]
        value_at = name_end + _VALUE_SIZE.size
        if value_at > len(body):
            raise FrameWrong("READY ends within a property, bytes of it", len(body))
        value_end = value_at + _VALUE_SIZE.unpack_from(body, name_end)[0]
        if value_end > len(body):
            raise FrameWrong("READY ends within a value, bytes of it", len(body))
        if body[at + 1 : name_end].lower() == name:
            return body[value_at:value_end].decode("ascii", "replace")
        at = value_end
    return ""


class ZmtpPeer:
    """One end of a ZMTP connection; which end connected makes no difference.

    Args:
        socket_type: ours; a publishing socket talks only with a subscribing one, PUSH only with PULL.
        max_message_bytes: a longer message of the peer is an error.
    """

    def __init__(self, socket_type: SocketType, max_message_bytes: int = MAX_SUBSCRIPTION_BYTES) -> None:
        self.socket_type = socket_type
        self._partners = _PARTNERS[socket_type]
        self._max_bytes = max_message_bytes
        self._buffer = bytearray()
        self._frames: list[bytes] = []
        self._message_bytes = 0
        self._outgoing = [_GREETING, _ready(socket_type)]
        self._next: Callable[[], Iterable[Event] | None] = self._take_greeting
        self._error: RemoteProtocolError | None = None
        self.is_ready = False

    @property
    def buffered_bytes(self) -> int:
        """How much of an incomplete message is held."""
        return len(self._buffer) + self._message_bytes

    def receive_data(self, data: bytes) -> Iterator[Event]:
        """Yield what is whole after *data*.

        Raises:
            RemoteProtocolError: what ZMTP does not allow; the subclass carries the numbers.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data
        try:
            while (events := self._next()) is not None:
                yield from events
        except RemoteProtocolError as error:
            self._error = error
            self._buffer.clear()
            raise

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def send_message(self, frames: Sequence[bytes]) -> None:
        """Queue a message.

        Raises:
            LocalProtocolError: before the handshake ended, or a message without a frame.
        """
        if not self.is_ready:
            raise LocalProtocolError("a message can be sent only after the handshake")
        self._outgoing += [bytes(piece) for piece in frame_message(frames)]

    def send_subscribe(self, topic: bytes) -> None:
        """Queue a subscription, in the form that every version 3 understands."""
        self.send_message([b"\x01" + topic])

    def _take_greeting(self) -> Iterable[Event] | None:
        # An older peer waits after its first eleven bytes, so we judge what has come.
        head = bytes(self._buffer[:11])
        if head[:1] not in (b"", b"\xff") or head[9:10] not in (b"", b"\x7f") or (len(head) == 11 and head[10] < 3):
            raise NotZmtp(head)
        if len(self._buffer) < _GREETING_BYTES:
            return None
        greeting = bytes(self._buffer[:_GREETING_BYTES])
        if greeting[12:32].rstrip(b"\0") != b"NULL":
            raise NotZmtp(greeting[:32])
        del self._buffer[:_GREETING_BYTES]
        self._next = self._take_ready
        return ()

    def _take_ready(self) -> Iterable[Event] | None:
        frame = self._take_frame()
        if frame is None:
            return None
        flags, body = frame
        if not flags & _COMMAND:
            raise FrameWrong("message before the handshake ended, bytes of it", len(body))
        if body.startswith(b"\x05ERROR"):
            raise PeerRefused(body[7:].decode("ascii", "replace"))
        if not body.startswith(b"\x05READY"):
            raise FrameWrong("command that is not READY, bytes of it", len(body))
        theirs = _property(body[6:], b"socket-type")
        if theirs not in self._partners:
            raise WrongSocketType(theirs, self.socket_type)
        self.is_ready = True
        self._next = self._take_traffic
        return (Ready(SocketType(theirs)),)

    def _take_frame(self) -> tuple[int, bytes] | None:
        """Return flags and body of the next frame, or None when it is not all here."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        flags, size, at = buffer[0], buffer[1], 2
        if flags > (_MORE | _LONG | _COMMAND) or (flags & _COMMAND and flags & _MORE):
            raise FrameWrong("impossible frame flags", flags)
        if flags & _LONG:
            if len(buffer) < 1 + _LONG_SIZE.size:
                return None
            size, at = _LONG_SIZE.unpack_from(buffer, 1)[0], 1 + _LONG_SIZE.size
        if self._message_bytes + size > self._max_bytes:
            raise FrameWrong(f"message of more than {self._max_bytes} bytes", self._message_bytes + size)
        if len(buffer) < at + size:
            return None
        body = bytes(buffer[at : at + size])
        del buffer[: at + size]
        return flags, body

    def _take_traffic(self) -> Iterable[Event] | None:
        frame = self._take_frame()
        if frame is None:
            return None
        flags, body = frame
        if flags & _COMMAND:
            return self._take_command(body)
        self._frames.append(body)
        self._message_bytes += len(body)
        if len(self._frames) > MAX_FRAMES:
            raise FrameWrong(f"message of more than {MAX_FRAMES} frames", len(self._frames))
        if flags & _MORE:
            return ()
        frames, self._frames, self._message_bytes = tuple(self._frames), [], 0
        return (self._event(frames),)

    def _event(self, frames: tuple[bytes, ...]) -> Event:
        if self.socket_type in _PUBLISHING and len(frames) == 1 and frames[0][:1] in (b"\x01", b"\x00"):
            return Subscribed(frames[0][1:]) if frames[0][0] else Cancelled(frames[0][1:])
        return Received(frames)

    def _take_command(self, body: bytes) -> Iterable[Event]:
        """Answer a PING, return a subscription; other commands are allowed and ignored."""
        if body.startswith(b"\x04PING"):
            self._outgoing.append(_command(b"PONG", body[7:23]))  # after two bytes of time-to-live, 16 of context
        elif body.startswith(b"\x09SUBSCRIBE"):
            return (Subscribed(body[10:]),)
        elif body.startswith(b"\x06CANCEL"):
            return (Cancelled(body[7:]),)
        return ()
