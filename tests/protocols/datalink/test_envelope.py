"""Packets without samples, passed on as JSON."""

import base64
import bz2
import json

import pytest

from rawdaq.protocols.datalink import DataPacket, read_envelope, unpacked, write_envelope
from rawdaq.protocols.datalink.errors import EnvelopeUnreadable

TEXT = '{"ü": 1}'.encode()


def made(name: str = "XX_A_00_LOG/JSON", data: bytes = TEXT) -> DataPacket:
    return DataPacket(name, 7, 1_000_001_000, -5000, 10**18, data)


PACKET = made()


def test_a_text_is_the_same_after_the_way() -> None:
    assert read_envelope(write_envelope(PACKET)) == PACKET
    assert json.loads(write_envelope(PACKET))["text"] == '{"ü": 1}'


def test_bytes_are_the_same_after_the_way() -> None:
    other = made("a/RAW", b"\xff\x00")
    assert read_envelope(write_envelope(other)) == other
    assert json.loads(write_envelope(other))["base64"] == base64.b64encode(b"\xff\x00").decode()


def test_packed_json_is_unpacked() -> None:
    packed = made("a/BZJSON", bz2.compress(TEXT))
    assert read_envelope(write_envelope(packed)).data == PACKET.data
    broken = made("a/BZJSON", b"\xffno bzip2")
    assert read_envelope(write_envelope(broken)) == broken


def test_what_is_cut_or_too_large_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bz2.compress(bytes(1000))
    with pytest.raises(ValueError, match="it is cut, or holds more than"):
        unpacked(data[:-4])
    monkeypatch.setattr("rawdaq.protocols.datalink.envelope._MAX_TEXT_BYTES", 999)
    with pytest.raises(ValueError, match="more than 999 bytes"):
        unpacked(data)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (b"garbage", "it is not JSON"),
        (b"[1]", "it is no JSON object"),
        (b"[" * 100_000, "it is not JSON"),
        ({"stream_id": 5}, "stream_id is missing, or is not text"),
        ({"packet_id": None}, "packet_id is missing, or is not an integer"),
        ({"start_ns": 1.5}, "start_ns is missing"),
        ({"end_ns": True}, "end_ns is missing"),
        ({"stream_id": "a b"}, "no packet can have the header"),
        ({"stream_id": "a" * 300}, "bytes, the limit is 255"),
        ({"text": None}, "it has no payload"),
        ({"text": "\ud800"}, "it has no payload"),
        ({"text": None, "base64": "%"}, "it has no payload"),
    ],
)
def test_what_is_no_envelope_is_an_error(change: bytes | dict[str, object], reason: str) -> None:
    data = change if isinstance(change, bytes) else json.dumps(json.loads(write_envelope(PACKET)) | change).encode()
    with pytest.raises(EnvelopeUnreadable, match=reason):
        read_envelope(data)
