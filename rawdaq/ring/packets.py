"""What is in a ring: a packet, how the store keeps it, and its bytes on the way to clients, made once for all."""

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rawdaq.errors import RawdaqError
from rawdaq.miniseed.convert import to_version_3
from rawdaq.protocols.datalink import encode_packet as encode_datalink
from rawdaq.protocols.seedlink import v3, v4
from rawdaq.protocols.seedlink.records import RecordHead, read_head
from rawdaq.ring.isi import to_payloads
from rawdaq.ring.names import SeedName, isi_name, seed_name
from rawdaq.store.values import Entry, Stored

#: Of a body in the store: when it was taken, how long the data are with their trailing zeros, which are left out.
_HEAD = struct.Struct("<qI")
_IN_ORDER, _REVERSED = 0, 1  # formats of entries: whether start and end are those of the packet, or exchanged
#: What a packet costs in the store besides its data.
OVERHEAD_BYTES: Final = 44 + _HEAD.size

_NOT_SENT: Final = b""


class NewPacket(NamedTuple):
    """A packet that is to be put into a ring.

    Attributes:
        name: of its stream.
        start_ns: time of its first sample.
        end_ns: time of its last one.
        data: what it holds.
        number: the number that it must get; None: the next one.
    """

    name: str
    start_ns: int
    end_ns: int
    data: bytes
    number: int | None = None


def to_entry(packet: NewPacket, time_ns: int) -> Entry:
    """Return *packet*, taken at *time_ns*, as the store keeps it."""
    body = _HEAD.pack(time_ns, len(packet.data)) + packet.data.rstrip(b"\0")
    if packet.end_ns < packet.start_ns:
        return Entry(packet.name, packet.end_ns, packet.start_ns, body, _REVERSED)
    return Entry(packet.name, packet.start_ns, packet.end_ns, body, _IN_ORDER)


class RingPacket:
    """A packet of the ring.

    Args:
        position: its number.
        name: of its stream.
        time_ns: when the ring took it.
        start_ns: time of its first sample.
        end_ns: time of its last one.
        data: what it holds.
    """

    __slots__ = (
        "_as_v3",
        "_as_v4",
        "_converted",
        "_datalink",
        "_head",
        "_isi",
        "data",
        "end_ns",
        "name",
        "position",
        "start_ns",
        "time_ns",
    )

    def __init__(self, position: int, name: str, time_ns: int, start_ns: int, end_ns: int, data: bytes) -> None:
        self.position, self.name, self.time_ns = position, name, time_ns
        self.start_ns, self.end_ns, self.data = start_ns, end_ns, data
        self._head: RecordHead | bool | None = False
        self._as_v3: bytes | None = None
        self._as_v4: bytes | None = None
        self._converted: bytes | None = None
        self._datalink: bytes | None = None
        self._isi: dict[bool, Sequence[bytes]] | None = None

    @classmethod
    def of(cls, stored: Stored) -> "RingPacket":
        """Return what the store gives back."""
        time_ns, size = _HEAD.unpack_from(stored.body)
        start_ns, end_ns = stored.start_ns, stored.end_ns
        if stored.format == _REVERSED:
            start_ns, end_ns = end_ns, start_ns
        data = stored.body[_HEAD.size :].ljust(size, b"\0")
        return cls(stored.position, stored.stream, time_ns, start_ns, end_ns, data)

    @property
    def seed(self) -> SeedName | None:
        """How SeedLink calls its stream; None when it is nothing for SeedLink."""
        return seed_name(self.name)

    @property
    def head(self) -> RecordHead | None:
        """What the record says of itself; None when SeedLink cannot send it: it is no record, or not whole."""
        if self._head is False:
            self._head = self._read_head()
        return self._head  # type: ignore[return-value]  # it was read

    def _read_head(self) -> RecordHead | None:
        seed = self.seed
        try:
            head = read_head(self.data) if seed is not None else None
        except RawdaqError:
            return None
        is_whole = head is not None and seed is not None and head.length_bytes == len(self.data)
        return head if is_whole and head.format == seed.format else None  # type: ignore[union-attr]  # it is there

    def seedlink_3(self) -> bytes:
        """Return it as clients of SeedLink 3 get it; empty when they could not read it."""
        if self._as_v3 is None:
            head = self.head
            fits = head is not None and head.format == v4.Format.MINISEED_2 and len(self.data) == v3.RECORD_BYTES
            self._as_v3 = v3.packet_header(self.position) + self.data if fits else _NOT_SENT
        return self._as_v3

    def seedlink_4(self) -> bytes:
        """Return it as clients of SeedLink 4 get it; empty when it is no record."""
        if self._as_v4 is None:
            head = self.head
            self._as_v4 = self._v4_frame(head.format, head.subformat, self.data) if head is not None else _NOT_SENT
        return self._as_v4

    def seedlink_4_as_3(self, failed: "Callable[[RingPacket, RawdaqError], None]") -> bytes:
        """Return it as miniSEED 3 for clients of SeedLink 4; empty when it cannot be that.

        Args:
            failed: called with the reason when the record cannot be converted, once.
        """
        if self._converted is None:
            self._converted = self._convert(failed)
        return self._converted

    def _convert(self, failed: "Callable[[RingPacket, RawdaqError], None]") -> bytes:
        head = self.head
        if head is None or head.format == v4.Format.MINISEED_3:
            return self.seedlink_4()
        try:
            record = to_version_3(self.data)
        except RawdaqError as error:
            failed(self, error)
            return _NOT_SENT
        return self._v4_frame(v4.Format.MINISEED_3, head.subformat, record)

    def _v4_frame(self, packet_format: str, subformat: str, record: bytes) -> bytes:
        seed = self.seed
        station = seed.station_id if seed is not None else ""
        return v4.packet_header(self.position, station, packet_format, subformat, len(record)) + record

    def isi(self, is_compressed: bool, failed: "Callable[[RingPacket, RawdaqError], None]") -> Sequence[bytes]:
        """Return it as payloads of frames for clients of ISI; none when it holds no samples, or cannot be read.

        Args:
            is_compressed: whether the samples are compressed where that makes them shorter.
            failed: called with the reason when the record cannot be converted, once.
        """
        made = self._isi = {} if self._isi is None else self._isi
        if is_compressed not in made:
            name = isi_name(self.name)
            try:
                made[is_compressed] = to_payloads(self.data, name, is_compressed) if name is not None else ()
            except RawdaqError as error:
                failed(self, error)
                made[is_compressed] = ()
        return made[is_compressed]

    def datalink(self) -> bytes:
        """Return it as readers of DataLink get it."""
        if self._datalink is None:
            times = self.time_ns, self.start_ns, self.end_ns
            self._datalink = encode_datalink(self.name, self.position, *times, self.data)
        return self._datalink
