"""Data quality and flags of records survive the way through packets into new records."""

import logging

import numpy as np
import pytest

from rawdaq.miniseed.format import Encoding, Record, RecordFormat
from rawdaq.miniseed.reader import read_record, to_packet
from rawdaq.packet import Marks, Packet
from tests.makers import START_NS
from tests.record_makers import NOISE, make, packets, values

pytestmark = pytest.mark.usefixtures("each_encoder")

#: activity, I/O and data quality flags of a miniSEED 2 header
FLAGS = [
    (0x01, 0x00, 0x00),
    (0x44, 0x20, 0x00),
    (0x08, 0x01, 0x81),
    (0x10, 0x00, 0x02),
    (0x20, 0x06, 0x7C),
    (0x00, 0x18, 0x80),
]


def marked(quality: bytes = b"D", flags: tuple[int, int, int] = (0, 0, 0), encoding: str = "auto") -> Record:
    """Return a record with these in its header."""
    samples = NOISE[:200].astype(np.float32) if encoding.startswith("float") else NOISE[:200]
    record = make(packets(samples), RecordFormat(2, 4096, encoding))[0]
    data = record.data[:6] + quality + record.data[7:36] + bytes(flags) + record.data[39:]
    return record._replace(data=data)


def played(record: Record) -> Packet:
    packet = to_packet(*read_record(record.data))
    assert packet is not None
    return packet


@pytest.mark.parametrize("encoding", [Encoding.STEIM2, Encoding.STEIM1, Encoding.INT16, Encoding.FLOAT32])
@pytest.mark.parametrize("quality", [b"D", b"R", b"Q", b"M"])
@pytest.mark.parametrize("flags", FLAGS)
def test_quality_and_flags_are_kept(quality: bytes, flags: tuple[int, int, int], encoding: str) -> None:
    before = marked(quality, flags, encoding)
    for length in (512, 4096):
        for record in make([played(before)], RecordFormat(2, length, encoding)):
            assert (record.data[6:7], tuple(record.data[36:39])) == (quality, flags)
            assert read_record(record.data)[1].timing_quality == 100


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_survive_miniseed_3(flags: tuple[int, int, int]) -> None:
    third = make([played(marked(b"Q", flags))], RecordFormat(3, 4096))[0]
    assert read_record(third.data)[1].marks == read_record(marked(b"Q", flags).data)[1].marks
    again = make([played(third)], RecordFormat(2, 4096))[0]
    assert (again.data[6:7], tuple(again.data[36:39])) == (b"Q", flags)


def test_usual_records_have_no_marks_and_stay_usual_in_the_other_version() -> None:
    for version in (2, 3):
        record = make(packets(NOISE[:200]), RecordFormat(version))[0]
        assert played(record).marks is None
        other = make([played(record)], RecordFormat(5 - version))[0]
        assert played(other).marks is None


@pytest.mark.parametrize("publication", [3, 4, 7, 255])
def test_a_publication_version_is_kept(publication: int) -> None:
    packet = packets(NOISE[:100])[0].replace(marks=Marks(publication))
    record = make([packet], RecordFormat(3))[0]
    assert played(record).marks == Marks(publication)


def test_other_marks_begin_another_record_and_lose_no_sample() -> None:
    given = packets(NOISE[:1000])
    locked = [packet.replace(marks=Marks(flags=4)) if 3 <= index < 6 else packet for index, packet in enumerate(given)]
    records = make(locked)
    assert np.array_equal(values(records), NOISE[:1000])
    counts: dict[Marks | None, int] = {}
    for record in records:
        marks = read_record(record.data)[1].marks
        counts[marks] = counts.get(marks, 0) + record.sample_count
    assert counts == {None: 700, Marks(flags=4): 300}
    starts = [record.start_ns for record in records]
    assert START_NS + 3_000_000_000 in starts
    assert START_NS + 6_000_000_000 in starts


def test_flags_for_which_a_short_record_has_no_room_are_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    packet = played(marked(b"Q", (0x08, 0x1F, 0x7F)))
    with caplog.at_level(logging.WARNING):
        records = make([packet, packet.replace(start_ns=packet.next_ns)], RecordFormat(3, 256))
    assert np.array_equal(values(records), np.tile(NOISE[:200], 2))
    assert {each.marks for each in (played(record) for record in records)} == {Marks(3)}
    assert caplog.text.count("no room for all its flags") == 1


def test_marks_stay_with_a_packet() -> None:
    packet = packets(NOISE[:100])[0].replace(marks=Marks(3, 4))
    for same in (packet.numbered(5), packet.owned(), packet.shifted(1), packet.replace(sequence=2)):
        assert same.marks == Marks(3, 4)
        assert same != packet.replace(marks=None)
    assert packet != packet.replace(marks=None)
