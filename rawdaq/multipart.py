"""`Multipart`: a ZMQ message of several parts that is passed on as it came."""

from collections.abc import Mapping, Sequence
from typing import Any

Part = bytes | memoryview


class Multipart:
    """A frame of a detector, or any message of several parts; its parts stay together and are never copied.

    Args:
        parts: as they came.
        size_bytes: of all parts.
        frame: the number of the frame at its source.
        keys: those of its JSON header; None when that is binary.
        arrived_ns: when it came, by a clock that only runs forward.
        header_part: which part is its header.

    Attributes:
        pieces: what goes to a socket for it, once a publisher has made that; shared by all.
    """

    __slots__ = ("arrived_ns", "frame", "header_part", "keys", "parts", "pieces", "size_bytes")

    #: How many messages this is, see `rawdaq.packet.PacketRun.count`.
    count = 1

    def __init__(
        self,
        parts: Sequence[Part],
        size_bytes: int,
        frame: int = 0,
        keys: Mapping[str, Any] | None = None,
        arrived_ns: int = 0,
        header_part: int = 0,
    ) -> None:
        self.parts = parts
        self.size_bytes = size_bytes
        self.frame = frame
        self.keys = keys
        self.arrived_ns = arrived_ns
        self.header_part = header_part
        self.pieces: list[Part] | None = None

    def owned(self) -> "Multipart":
        """Return this: its parts keep nothing else in memory."""
        return self
