import pytest

from rawdaq.errors import InvalidValue
from rawdaq.miniseed.header import read_header
from rawdaq.miniseed.reader import read_content, read_info
from rawdaq.miniseed.text import TEXT_BYTES, text_record, text_records
from tests.makers import START_NS


def test_a_text_is_a_record_that_libmseed_reads() -> None:
    codes = {"network": "XX", "station": "DEMO", "location": "00"}
    record = text_record(b"GPS locked", **codes, time_ns=START_NS, sequence=1_000_002)
    info = read_info(record)
    assert (info.name, info.start_ns, info.sample_count, info.length_bytes) == ("XX.DEMO.00.LOG", START_NS, 10, 512)
    assert read_content(record).samples is None
    header = read_header(record)
    assert header is not None
    assert (header.version, header.length_bytes, header.quality) == (2, 512, "D")
    assert record[:6] == b"000002"
    assert record[64:].rstrip(b"\0") == b"GPS locked"


@pytest.mark.parametrize("size", [0, 1, TEXT_BYTES, TEXT_BYTES + 1, 3000])
def test_a_long_text_is_many_records(size: int) -> None:
    text = bytes(range(65, 75)) * (size // 10 + 1)
    text = text[:size]
    records = text_records(text, "INF", network="XX", station="INFO")
    assert len(records) == max(1, -(-size // TEXT_BYTES))
    assert b"".join(record[64 : 64 + int.from_bytes(record[30:32], "big")] for record in records) == text
    assert [record[:6] for record in records] == [b"%06d" % (at + 1) for at in range(len(records))]
    assert {len(record) for record in records} == {512}


def test_what_has_no_room_is_refused() -> None:
    with pytest.raises(InvalidValue, match="room for 448 bytes of text, not for 449"):
        text_record(b"x" * 449)
    with pytest.raises(InvalidValue, match="'STATION' is not ASCII of at most 5"):
        text_record(b"", station="STATION")
    with pytest.raises(InvalidValue, match="is not ASCII"):
        text_record(b"", network="\xc4")
