import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.miniseed.text import text_record
from rawdaq.protocols.seedlink.errors import PayloadTooLarge, RecordWrong
from rawdaq.protocols.seedlink.records import RecordHead, read_head, record_channel, record_station, record_text
from tests.protocols.seedlink.records import record_2, record_3

HEADS = {
    "usual": (record_2(), RecordHead("2", "D", 512)),
    "little-endian": (record_2(order="<"), RecordHead("2", "D", 512)),
    "long": (record_2(length_bytes=65536), RecordHead("2", "D", 65536)),
    "short": (record_2(length_bytes=128), RecordHead("2", "D", 128)),
    "no blockette": (record_2(blockettes=()), RecordHead("2", "D", 512)),
    "no length": (record_2(blockettes=(100, 1001)), RecordHead("2", "D", 512)),
    "length behind another": (record_2(length_bytes=256, blockettes=(100, 1000)), RecordHead("2", "D", 256)),
    "event": (record_2(blockettes=(1000, 201)), RecordHead("2", "E", 512)),
    "calibration": (record_2(blockettes=(300, 1000)), RecordHead("2", "C", 512)),
    "timing": (record_2(blockettes=(1000, 500)), RecordHead("2", "T", 512)),
    "opaque": (record_2(blockettes=(1000, 2000)), RecordHead("2", "O", 512)),
    "first kind counts": (record_2(blockettes=(1000, 201, 300)), RecordHead("2", "E", 512)),
    "log": (text_record(b"text"), RecordHead("2", "L", 512)),
    "two lengths": (record_2(length_bytes=256, blockettes=(1000, 1000)), RecordHead("2", "D", 256)),
    "chain longer than a header": (record_2(blockettes=(100,) * 100), RecordHead("2", "D", 512)),
    "INFO record without a year": (record_2(year=0, encoding=0), RecordHead("2", "L", 512)),
    "miniSEED 3": (record_3(), RecordHead("3", "D", len(record_3()))),
    "miniSEED 3 without data": (record_3("FDSN:X_A__H_H_Z", 0), RecordHead("3", "D", 57)),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_record_says_how_long_it_is_as_soon_as_that_is_there(name: str) -> None:
    record, head = HEADS[name]
    assert read_head(record) == head
    assert read_head(b"12345678" + record + record_2(blockettes=(201, 1000)), 8) == head
    for size in range(0, min(len(record), 700)):
        found = read_head(record[:size])
        assert found is None or found.length_bytes == head.length_bytes
    assert read_head(record[:600]) is not None


@pytest.mark.parametrize("beginning", [b"XYZ", b"0000", b"000001X", b"MS\x02", b"abcdefD "])
def test_what_is_no_record_is_refused(beginning: bytes) -> None:
    with pytest.raises(RecordWrong, match="no miniSEED record"):
        read_head(beginning.ljust(100, b"x"))


def test_a_length_that_no_record_has_is_refused() -> None:
    with pytest.raises(RecordWrong):
        read_head(record_2(length_bytes=64, says_bytes=32))
    with pytest.raises(PayloadTooLarge, match="limit is 10485760"):
        read_head(record_2(says_bytes=1 << 24))
    with pytest.raises(PayloadTooLarge):
        read_head(record_3()[:36] + b"\xff\xff\xff\xff" + bytes(30))


def test_a_chain_that_runs_back_ends() -> None:
    record = bytearray(record_2(blockettes=(100,)))
    record[50:52] = b"\0\x30"
    assert read_head(record) == RecordHead("2", "D", 512)


def test_a_chain_of_very_many_blockettes_is_not_followed_for_ever() -> None:
    chain = b"".join(struct.pack(">HH", 100, at + 4) for at in range(48, 504, 4))
    assert read_head(record_2(blockettes=(100,))[:48] + chain + bytes(8)) == RecordHead("2", "D", 512)


@pytest.mark.parametrize(
    ("record", "station"),
    [
        (record_2(), "XX_AAA"),
        (record_2("ABCDE", "Y"), "Y_ABCDE"),
        (record_3(), "XX_AAA"),
        (record_3("FDSN:NETWORK1_STATION1_00_H_H_Z"), "NETWORK1_STATION1"),
    ],
)
def test_a_record_says_its_station(record: bytes, station: str) -> None:
    assert record_station(record) == station


def test_a_text_is_where_the_header_says() -> None:
    record = text_record(b"text", "ERR")
    assert (record_text(record), record_channel(record)) == (b"text", "ERR")
    at_56 = record[:44] + b"\0\x38" + record[46:56] + b"text".ljust(456, b"\0")  # as ringserver has it
    assert record_text(at_56) == b"text"


@given(st.binary(max_size=200), st.sampled_from([b"", b"000001D ", b"MS\x03"]))
def test_any_bytes_are_a_head_or_refused(data: bytes, beginning: bytes) -> None:
    try:
        head = read_head(beginning + data)
    except RemoteProtocolError:
        return
    assert head is None or 40 <= head.length_bytes <= 10_485_760
