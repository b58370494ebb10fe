"""A data packet, which is an event at a client and what a server sends, and its bytes in both versions."""

from typing import NamedTuple

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.seedlink import v3, v4
from rawdaq.protocols.seedlink.words import SeedLinkVersion


class DataPacket(NamedTuple):
    """A record with its place among those of its station.

    Attributes:
        station: ``NET_STA``; version 3 has it only in the record.
        sequence: its number; version 3 says the low 24 bits.
        payload: the record.
        format: what it is; ``2`` and ``3`` are miniSEED.
        subformat: what kind of it.
    """

    station: str
    sequence: int
    payload: bytes
    format: str = "2"
    subformat: str = "D"


def encode_packet(packet: DataPacket, version: SeedLinkVersion) -> bytes:
    """Return *packet* as it is sent; it has no state, so that a server encodes once for many clients.

    Raises:
        LocalProtocolError: *version* cannot say it, or its clients could not read it.
    """
    if version is SeedLinkVersion.V4:
        size_bytes = len(packet.payload)
        header = v4.packet_header(packet.sequence, packet.station, packet.format, packet.subformat, size_bytes)
        return header + packet.payload
    if packet.format != v4.Format.MINISEED_2 or len(packet.payload) != v3.RECORD_BYTES:
        raise LocalProtocolError(
            f"format {packet.format}, {len(packet.payload)} bytes: clients of SeedLink 3 read miniSEED 2 of "
            f"{v3.RECORD_BYTES} bytes"
        )
    return v3.packet_header(packet.sequence) + packet.payload
