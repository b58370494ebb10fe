"""Packets of a ring: as values, as bytes, and many of them read at once."""

import re
from typing import Final

from rawdaq.protocols.datalink.commands import NS_PER_US
from rawdaq.protocols.datalink.framing import PREHEADER_BYTES, frame

#: An INFO answer of a server with a hundred thousand streams has 30 MB; bounds what a peer can make us hold.
MAX_DATA_BYTES: Final = 64 << 20

_FRAME = re.compile(
    rb"DL.PACKET (\S+) (\d{1,20}) (-?\d{1,19}) (-?\d{1,19}) (-?\d{1,19}) (\d{1,10})", re.DOTALL | re.ASCII
)
_ANY_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
_MAX_SHAPES = 100_000
_STREAM_ID, _PACKET_ID, _PACKET_TIME, _START, _END = range(5)

#: Where the fields of a packet's header are.
Shape = tuple[slice, ...]


def encode_packet(
    stream_id: str, packet_id: int, packet_time_ns: int, start_ns: int, end_ns: int, data: bytes
) -> bytes:
    """Return a packet of a ring as its readers get it; `DataPacket` says what the arguments are.

    Raises:
        HeaderTooLong: they do not fit into a header.
    """
    times = f"{packet_time_ns // NS_PER_US} {start_ns // NS_PER_US} {end_ns // NS_PER_US}"
    header = f"PACKET {stream_id} {packet_id} {times} {len(data)}"
    return frame(header.encode("utf-8", "surrogateescape"), data)


class DataPacket:
    """A packet of the ring; a value.

    It keeps its header as it came, because reading a number costs as much as taking the whole packet from the wire.

    Args:
        stream_id: the stream's name, such as ``FDSN:XX_TOWR_00_H_H_Z/MSEED``.
        packet_id: its number; with `packet_time_ns` it names a packet, alone it may name another one later.
        packet_time_ns: when the server took it; as all times of DataLink whole microseconds.
        start_ns: time of the first sample.
        end_ns: time of the last one.
        data: the packet.
    """

    __slots__ = ("_header", "_shape", "data")

    _header: bytes
    _shape: Shape
    data: bytes

    def __init__(
        self, stream_id: str, packet_id: int, packet_time_ns: int, start_ns: int, end_ns: int, data: bytes
    ) -> None:
        whole = encode_packet(stream_id, packet_id, packet_time_ns, start_ns, end_ns, data)
        self._header = whole[: len(whole) - len(data)]
        shape = shape_of(self._header)
        if shape is None:
            raise ValueError(f"no packet can have the header {self._header!r}")
        self._shape = shape
        self.data = data

    @property
    def stream_id(self) -> str:
        """The stream's name."""
        return self._header[self._shape[_STREAM_ID]].decode("utf-8", "surrogateescape")

    @property
    def packet_id(self) -> int:
        """Its number."""
        return int(self._header[self._shape[_PACKET_ID]])

    @property
    def packet_time_ns(self) -> int:
        """When the server took it."""
        return int(self._header[self._shape[_PACKET_TIME]]) * NS_PER_US

    @property
    def start_ns(self) -> int:
        """Time of the first sample."""
        return int(self._header[self._shape[_START]]) * NS_PER_US

    @property
    def end_ns(self) -> int:
        """Time of the last one."""
        return int(self._header[self._shape[_END]]) * NS_PER_US

    @property
    def wire(self) -> bytes:
        """It as it is sent."""
        return self._header + self.data

    def fields(self) -> tuple[str, int, int, int, int, bytes]:
        """Return the arguments that make it."""
        return self.stream_id, self.packet_id, self.packet_time_ns, self.start_ns, self.end_ns, self.data

    def __eq__(self, other: object) -> bool:
        """Whether all fields are the same."""
        return isinstance(other, DataPacket) and self.fields() == other.fields()

    def __hash__(self) -> int:
        """Hash of all fields."""
        return hash(self.fields())

    def __repr__(self) -> str:
        """Return the fields, of the data their size."""
        names = ("stream_id", "packet_id", "packet_time_ns", "start_ns", "end_ns")
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(names, self.fields(), strict=False))
        return f"DataPacket({shown}, {len(self.data)} bytes)"

    def __reduce__(self) -> tuple[type["DataPacket"], tuple[str, int, int, int, int, bytes]]:
        """Return how it is made again, for pickle."""
        return DataPacket, self.fields()


def shape_of(header: bytes) -> Shape | None:
    """Return where the fields of *header*, the preheader included, are; None when it is not that of a packet."""
    match = _FRAME.fullmatch(header)
    return match and tuple(slice(*match.span(group)) for group in range(1, 7))


_new = object.__new__


class PacketReader:
    """Takes packets that follow each other from a buffer, many with one call.

    Headers of one stream differ in digits only. One that has the shape of an earlier one is therefore right as that
    was, and its fields are in the same places: both together is found by one look into a table.
    """

    def __init__(self) -> None:
        self._shapes: dict[bytes, Shape] = {}

    def take(self, buffer: bytes, begin: int) -> tuple[list[DataPacket], int]:
        """Return the packets that are whole in *buffer* from *begin* on, and where they end.

        They end at the first that is not whole, is another reply, or is malformed.
        """
        packets: list[DataPacket] = []
        find, any_digit, new, kind, end_of_buffer = self._shapes.get, _ANY_DIGIT, _new, DataPacket, len(buffer)
        while begin + PREHEADER_BYTES <= end_of_buffer:
            header_end = begin + PREHEADER_BYTES + buffer[begin + 2]
            header = buffer[begin:header_end]
            shape = find(header.translate(any_digit)) or self._shape(header)
            if shape is None:
                break
            end = header_end + int(header[shape[5]])  # the size
            if end > end_of_buffer:
                break
            packet = new(kind)
            packet._header = header  # noqa: SLF001 - it is made here
            packet._shape = shape  # noqa: SLF001
            packet.data = buffer[header_end:end]
            packets.append(packet)
            begin = end
        return packets, begin

    def _shape(self, header: bytes) -> Shape | None:
        if header[2:3] != bytes([len(header) - PREHEADER_BYTES]):
            return None  # it is cut
        shape = shape_of(header)
        if shape is not None and len(self._shapes) < _MAX_SHAPES:
            self._shapes[header.translate(_ANY_DIGIT)] = shape
        return shape
