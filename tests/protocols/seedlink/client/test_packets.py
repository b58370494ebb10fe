"""The client's side: packets, cut anywhere."""

from collections.abc import Sequence

import pytest

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.seedlink import (
    ClientEvent,
    DataPacket,
    InfoReceived,
    InfoRefused,
    SeedLinkClient,
    SeedLinkVersion,
    TransferEnded,
)
from rawdaq.protocols.seedlink.errors import (
    PacketWrong,
    PayloadTooLarge,
    RecordWrong,
    ReplyWrong,
    SeedLinkCut,
)
from tests.protocols.seedlink.client.playing import EVENT, RECORD, V3, V4, Play, ready, streaming, v4_packet
from tests.protocols.seedlink.records import record_2, record_3

V3_PACKETS: list[tuple[bytes, ClientEvent]] = [
    (b"SL00BEEF" + RECORD, DataPacket("XX_AAA", 0xBEEF, RECORD)),
    (b"SLffffff" + record_2(length_bytes=4096), DataPacket("XX_AAA", 0xFFFFFF, record_2(length_bytes=4096))),
    (b"SL000001" + record_3(), DataPacket("XX_AAA", 1, record_3(), "3")),
    (b"SL000002" + record_2(blockettes=()), DataPacket("XX_AAA", 2, record_2(blockettes=()))),
    (b"SL000003" + EVENT, DataPacket("XX_AAA", 3, EVENT, "2", "E")),
    (b"ERROR\r\n", InfoRefused(None, "ERROR")),
    (b"END", TransferEnded()),
]

V4_PACKETS: list[tuple[bytes, ClientEvent]] = [
    (v4_packet(1000, "XX_ABC", RECORD), DataPacket("XX_ABC", 1000, RECORD)),
    (v4_packet(2**63, "XX_ABC", record_3(), "3D"), DataPacket("XX_ABC", 2**63, record_3(), "3")),
    (v4_packet(7, "XX_ABC", b"", "ZZ"), DataPacket("XX_ABC", 7, b"", "Z", "Z")),
    (v4_packet(7, "XX_ABC", b"{}", "JX"), DataPacket("XX_ABC", 7, b"{}", "J", "X")),
    (v4_packet(0, "", b"{}", "JI"), InfoReceived(None, b"{}")),
    (v4_packet(0, "", b"{}", "JE"), InfoReceived(None, b"{}", is_error=True)),
    (v4_packet(1, "XX_ABC", bytes(4096)), DataPacket("XX_ABC", 1, bytes(4096))),
    (b"END", TransferEnded()),
    (b"ERROR UNEXPECTED no\r\n", InfoRefused(None, "ERROR UNEXPECTED no")),
]


@pytest.mark.parametrize("size", [1, 3, 511, 1 << 20])
@pytest.mark.parametrize(("version", "cases"), [(V3, V3_PACKETS), (V4, V4_PACKETS)])
def test_packets_are_the_same_however_they_are_cut(
    version: SeedLinkVersion, cases: Sequence[tuple[bytes, ClientEvent]], size: int
) -> None:
    play = streaming(version, size)
    play.say(b"\r\n".join(wire for wire, _ in cases))
    assert play.taken() == [event for _, event in cases]
    assert play.client.buffered_bytes == 0
    play.client.receive_eof()


@pytest.mark.parametrize("size", [511, 1 << 20])
def test_a_large_packet_is_the_same_however_it_is_cut(size: int) -> None:
    play = streaming(V4, size)
    play.say(v4_packet(1, "XX_ABC", bytes(range(256)) * 257))
    assert play.taken() == [DataPacket("XX_ABC", 1, bytes(range(256)) * 257)]


WRONG: list[tuple[SeedLinkVersion, bytes, type[RemoteProtocolError]]] = [
    (V3, b"XX", PacketWrong),
    (V3, b"SE", PacketWrong),
    (V4, b"SL", PacketWrong),
    (V3, b"ENX", PacketWrong),
    (V3, b"SLXYZ123" + RECORD, PacketWrong),
    (V3, b"SL000001" + b"x" * 100, RecordWrong),
    (V3, b"SL000001" + record_2(says_bytes=1 << 25), PayloadTooLarge),
    (V4, b"SE2D\xff\xff\xff\xff" + bytes(9), PayloadTooLarge),
    (V4, b"SE2D\0\0\0\0" + b"\xff" * 9, PacketWrong),
    (V3, b"ERROR" + b"x" * 5000, ReplyWrong),
]


@pytest.mark.parametrize(("version", "wire", "error"), WRONG)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_wrong_ends_the_conversation_after_what_was_whole(
    version: SeedLinkVersion, wire: bytes, error: type[RemoteProtocolError], size: int
) -> None:
    play = streaming(version, size)
    whole, event = (V3_PACKETS if version is V3 else V4_PACKETS)[0]
    with pytest.raises(error):
        play.say(whole + wire)
    assert play.taken() == [event]
    with pytest.raises(error):
        list(play.client.receive_data(whole))
    with pytest.raises(error):
        play.client.receive_eof()


def test_events_that_were_not_taken_come_at_the_next_call() -> None:
    play = streaming(V3)
    for event in play.client.receive_data(b"SL000001" + RECORD + b"SL000002" + RECORD + b"SL0000"):
        assert event == DataPacket("XX_AAA", 1, RECORD)
        break
    assert list(play.client.receive_data(b"03" + RECORD)) == [
        DataPacket("XX_AAA", 2, RECORD),
        DataPacket("XX_AAA", 3, RECORD),
    ]


def test_a_close_is_a_cut_only_in_the_middle_of_something() -> None:
    with pytest.raises(SeedLinkCut, match="without answering HELLO"):
        SeedLinkClient().receive_eof()
    with pytest.raises(SeedLinkCut, match="before it sent packets"):
        ready(V3).client.receive_eof()
    play = streaming(V3)
    play.say(b"SL000001" + RECORD[:100])
    with pytest.raises(SeedLinkCut, match="in the middle of something, 108 bytes"):
        play.client.receive_eof()
    play = Play(SeedLinkClient())
    play.say(b"SeedLink v3")
    with pytest.raises(SeedLinkCut, match="11 bytes"):
        play.client.receive_eof()
