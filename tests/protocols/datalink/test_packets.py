"""Packets as values, and many of them taken from the wire at once."""

import pickle

import pytest

from rawdaq.protocols.datalink import DataPacket
from rawdaq.protocols.datalink.packets import PacketReader, shape_of
from tests.protocols.datalink_wire import packed

PACKET = DataPacket("FDSN:XX_A__H_H_Z/MSEED", 4711, 1_750_000_000_000_001_999, -5000, 0, b"data")


def test_a_packet_is_a_value() -> None:
    same = DataPacket(PACKET.stream_id, 4711, 1_750_000_000_000_001_000, -5000, 0, b"data")
    assert PACKET == same
    assert len({PACKET, same}) == 1
    assert PACKET != DataPacket(*PACKET.fields()[:5], b"other")
    assert PACKET != "PACKET"
    assert pickle.loads(pickle.dumps(PACKET)) == PACKET
    assert (PACKET.packet_time_ns, PACKET.start_ns, PACKET.end_ns) == (1_750_000_000_000_001_000, -5000, 0)
    assert repr(PACKET) == (
        "DataPacket(stream_id='FDSN:XX_A__H_H_Z/MSEED', packet_id=4711, packet_time_ns=1750000000000001000, "
        "start_ns=-5000, end_ns=0, 4 bytes)"
    )


@pytest.mark.parametrize(("name", "packet_id"), [("a b", 1), ("", 1), ("a", -1), ("a", 10**20)])
def test_what_no_header_can_say_is_no_packet(name: str, packet_id: int) -> None:
    with pytest.raises(ValueError, match="no packet can have the header"):
        DataPacket(name, packet_id, 0, 0, 0, b"")


def test_many_are_taken_at_once_up_to_what_is_another_reply_or_cut() -> None:
    packets = [DataPacket("a", number, 0, number * 1000, 0, bytes(number)) for number in range(200)]
    wire = b"".join(packet.wire for packet in packets)
    reader = PacketReader()
    for rest in (b"", b"DL", packed(b"OK 1 0"), PACKET.wire[:20], PACKET.wire[:-1], packed(b"PACKET a 1 2 3 4 x")):
        taken, end = reader.take(b"xy" + wire + rest, 2)
        assert taken == packets
        assert end == 2 + len(wire)
    assert reader.take(wire, len(wire)) == ([], len(wire))


def test_only_so_many_shapes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.protocols.datalink.packets._MAX_SHAPES", 1)
    reader = PacketReader()
    for name in ("a", "bb", "a", "bb"):
        packet = DataPacket(name, 1, 2000, 3000, 4000, b"x")
        assert reader.take(packet.wire, 0) == ([packet], len(packet.wire))
    assert len(reader._shapes) == 1


def test_a_header_that_is_none_has_no_shape() -> None:
    assert shape_of(packed(b"OK 1 0")) is None
