import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.seedlink import DataPacket, SeedLinkVersion, encode_packet
from tests.protocols.seedlink.records import record_2, record_3

RECORD = record_2()


def test_a_packet_in_both_versions() -> None:
    packet = DataPacket("XX_AAA", 0x1_00BEEF, RECORD)
    assert encode_packet(packet, SeedLinkVersion.V3) == b"SL00BEEF" + RECORD
    header = bytes.fromhex("53453244 00020000 efbe000100000000 06") + b"XX_AAA"
    assert encode_packet(packet, SeedLinkVersion.V4) == header + RECORD


@pytest.mark.parametrize(
    "packet",
    [
        DataPacket("XX_AAA", 1, record_3(), "3"),
        DataPacket("XX_AAA", 1, record_2(length_bytes=256)),
        DataPacket("XX_AAA", 1, record_2(length_bytes=512), "3"),
    ],
)
def test_what_clients_of_version_3_cannot_read_is_refused(packet: DataPacket) -> None:
    assert encode_packet(packet, SeedLinkVersion.V4).endswith(packet.payload)
    with pytest.raises(LocalProtocolError, match="read miniSEED 2 of 512 bytes"):
        encode_packet(packet, SeedLinkVersion.V3)
