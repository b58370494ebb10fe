"""How DataLink packets are framed: ``DL``, the size of the header, the header, and the data that it announces."""

from collections.abc import Callable
from typing import Generic, TypeVar

from rawdaq.errors import ProtocolError
from rawdaq.protocols.datalink.errors import BadMagic, ConnectionCut, HeaderTooLong, HeaderTooShort, MessageCut
from rawdaq.protocols.elided import elided

MAGIC = b"DL"
PREHEADER_BYTES = 3
MAX_HEADER_BYTES = 255
_MIN_HEADER_BYTES = 2

#: Made once: what stands before a header of so many bytes.
_PREHEADERS = [MAGIC + bytes([size]) for size in range(MAX_HEADER_BYTES + 1)]

Words = TypeVar("Words")


def frame(header: bytes, data: bytes = b"") -> bytes:
    """Return one packet.

    Raises:
        HeaderTooLong: its header would have more than 255 bytes.
    """
    size = len(header)
    if size > MAX_HEADER_BYTES:
        raise HeaderTooLong(elided(header), size)
    return b"".join((_PREHEADERS[size], header, data))


class FrameReader(Generic[Words]):
    """Splits what a peer sends, cut anywhere, into headers and their data; keeps at most one incomplete packet.

    Args:
        read_header: gives what a header says and the size of the data that follow it; raises what the protocol does
            not allow.

    Attributes:
        buffer: what has come, whole from `begin` on.
        begin: where in it the next packet begins.
        error: what ended it; from then on it gives nothing.
    """

    def __init__(self, read_header: Callable[[bytes], tuple[Words, int]]) -> None:
        self.buffer = b""
        self.begin = 0
        self.error: ProtocolError | None = None
        self._read_header = read_header
        self._chunks: list[bytes] = []
        self._missing = 0  # bytes without which nothing more can be read

    @property
    def held_bytes(self) -> int:
        """Bytes of the packet that is not whole yet."""
        return len(self.buffer) - self.begin + sum(map(len, self._chunks))

    def feed(self, data: bytes | memoryview) -> None:
        """Add what came.

        Raises:
            ProtocolError: the peer broke the protocol before.
        """
        if self.error is not None:
            raise self.error
        chunk = bytes(data)
        if len(chunk) < self._missing:
            # Joined when they suffice: an answer of megabytes would else be copied again with every chunk.
            self._chunks.append(chunk)
            self._missing -= len(chunk)
            return
        rest = self.buffer[self.begin :]
        self.buffer = b"".join((rest, *self._chunks, chunk)) if rest or self._chunks else chunk
        self.begin = self._missing = 0
        self._chunks.clear()

    def take(self) -> tuple[Words, bytes] | None:
        """Return what the next packet's header says and its data, None when it is not all here yet.

        Raises:
            ProtocolError: this is no packet, now and at every further call.
        """
        buffer, begin = self.buffer, self.begin
        header_begin = begin + PREHEADER_BYTES
        if self._missing or self._lacks(header_begin):
            return None
        if buffer[begin : begin + 2] != MAGIC:
            raise self.fail(BadMagic(elided(buffer[begin : begin + 16])))
        size = buffer[begin + 2]
        if size < _MIN_HEADER_BYTES:
            raise self.fail(HeaderTooShort(size))
        header_end = header_begin + size
        if self._lacks(header_end):
            return None
        try:
            words, data_bytes = self._read_header(buffer[header_begin:header_end])
        except ProtocolError as error:
            raise self.fail(error) from None
        end = header_end + data_bytes
        if self._lacks(end):
            return None
        self.begin = end
        return words, buffer[header_end:end]

    def _lacks(self, end: int) -> bool:
        """Whether the buffer ends before *end*."""
        missing = end - len(self.buffer)
        self._missing = max(0, missing)
        return missing > 0

    def fail(self, error: ProtocolError) -> ProtocolError:
        """Take note of what ends this reader; return it."""
        self.error = error
        return error

    def end_message(self) -> None:
        """Take note that a WebSocket message ended, which holds whole packets only.

        Raises:
            MessageCut: it ended in the middle of one.
        """
        if self.error is None and self.held_bytes:
            self.error = MessageCut(self.held_bytes)
        if self.error is not None:
            raise self.error

    def receive_eof(self) -> None:
        """Take note that the peer closed the connection.

        Raises:
            ConnectionCut: it did so in the middle of a packet.
        """
        if self.error is None and self.held_bytes:
            self.error = ConnectionCut(self.held_bytes)
        if self.error is not None:
            raise self.error


class Codec(Generic[Words]):
    """What the codecs of both sides have: what has come is read by frames, what is to be sent waits.

    Args:
        read_header: as that of `FrameReader`.
    """

    def __init__(self, read_header: Callable[[bytes], tuple[Words, int]]) -> None:
        self._frames = FrameReader(read_header)
        self._out: list[bytes] = []

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the packet that is not whole yet."""
        return self._frames.held_bytes

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now; taken only once."""
        return b"".join(self.messages_to_send())

    def messages_to_send(self) -> list[bytes]:
        """Return the same as packets one by one, for WebSocket, which carries each in a message of its own."""
        out, self._out = self._out, []
        return out
