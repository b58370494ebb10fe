"""Messages of a declared layout in a byte stream: a field says how long each is, or all are of the layout's size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rawdaq.errors import InvalidValue, RemoteProtocolError
from rawdaq.protocols.layout.errors import LengthImpossible, MessageCut
from rawdaq.protocols.layout.fields import ByteOrder, Kind
from rawdaq.protocols.layout.layout import Layout

#: As much as a UDP datagram has: bounds what one peer can make us hold.
MAX_MESSAGE_BYTES = 65_535


@dataclass(frozen=True, slots=True)
class LengthField:
    """The field that says how long a message is: *times* its value, *plus_bytes* more, is the size in all.

    >>> LengthField("samples8", times=512, plus_bytes=93).size_bytes(1)
    605
    """

    name: str
    times: int = 1
    plus_bytes: int = 0

    def size_bytes(self, value: int) -> int:
        """Return the size of a message in which the field has *value*."""
        return self.times * value + self.plus_bytes


class LayoutFrames:
    """Cuts a byte stream into messages; what they mean is for `Layout`.

    Args:
        layout: of every message.
        length: the field that says how long one is; None: all have the layout's size.

    Raises:
        InvalidValue: such messages cannot be told apart.
    """

    def __init__(self, layout: Layout, length: LengthField | None) -> None:
        if length is None and layout.has_rest:
            raise InvalidValue(
                "in a TCP stream a layout with a rest needs length: the field that says how long a message is"
            )
        self._length = length
        self._layout_bytes = layout.size_bytes
        self._begin = self._end = 0
        self._byte_order: Literal["little", "big"] = "little" if layout.byte_order is ByteOrder.LITTLE else "big"
        if length is not None:
            if layout.field(length.name).kind is not Kind.INTEGER or layout.field(length.name).type.startswith("i"):
                raise InvalidValue(f"length {length.name!r} is not an unsigned integer")
            self._begin = layout.offset_bytes(length.name)
            self._end = self._begin + layout.field(length.name).bits // 8
        self._buffer = bytearray()
        self._failure: RemoteProtocolError | None = None

    def receive_data(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """Yield each message as it becomes whole.

        Raises:
            LengthImpossible: a message announces a size that it cannot have; the stream cannot be read on.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += chunk
        at = 0
        try:
            while (size_bytes := self._size(at)) is not None and len(self._buffer) >= at + size_bytes:
                yield bytes(self._buffer[at : at + size_bytes])
                at += size_bytes
        except LengthImpossible as error:
            self._failure = error
            raise
        finally:
            del self._buffer[:at]

    def receive_eof(self) -> None:
        """Note that the peer closed.

        Raises:
            MessageCut: that was in the middle of a message.
        """
        if self._failure is None and self._buffer:
            raise MessageCut(len(self._buffer), self._size(0))

    def _size(self, at: int) -> int | None:
        """Return the size of the message that begins at *at*, None when that is not known yet."""
        if self._length is None:
            return self._layout_bytes
        if len(self._buffer) < at + self._end:
            return None
        value = int.from_bytes(self._buffer[at + self._begin : at + self._end], self._byte_order)
        size_bytes = self._length.size_bytes(value)
        if not self._layout_bytes <= size_bytes <= MAX_MESSAGE_BYTES:
            raise LengthImpossible(size_bytes, self._layout_bytes, MAX_MESSAGE_BYTES)
        return size_bytes
