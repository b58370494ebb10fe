"""Packets become records that ObsPy and libmseed read back sample for sample."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet, PacketRun, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time
from tests.makers import START_NS, STREAM
from tests.record_makers import NOISE, RecordMaker, after, make, packets, parsed, values

pytestmark = pytest.mark.usefixtures("each_encoder")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_any_cut_into_packets_gives_the_same_samples_and_times(version: int, size: int) -> None:
    records = make(packets(NOISE, size=size), RecordFormat(version))
    assert np.array_equal(values(records), NOISE)
    first = 0
    for record in records:
        theirs = parsed(record)
        assert record.start_ns == theirs.starttime == sample_time(START_NS, first, 100.0)
        assert record.end_ns == theirs.endtime == sample_time(START_NS, first + record.sample_count - 1, 100.0)
        assert theirs.samplecnt == record.sample_count
        assert theirs.sourceid == "FDSN:XX_DEMO_00_H_H_Z"
        first += record.sample_count


@pytest.mark.parametrize("version", [2, 3])
def test_contiguous_packets_fill_records(version: int) -> None:
    records = make(packets(NOISE, size=10), RecordFormat(version))
    whole = make(packets(NOISE, size=5000), RecordFormat(version))
    assert abs(len(records) - len(whole)) <= 1
    assert all(len(record.data) > 512 - 64 for record in records[:-1])


def test_records_that_are_held_are_those_that_would_have_been_made() -> None:
    some = packets(NOISE, size=500)
    at_once, later = RecordMaker(RecordFormat()), RecordMaker(RecordFormat())
    expected = at_once.add(some, 0) + at_once.flush()
    made = [record for one in some for record in later.add([one], 0, at_once=1000)]
    assert made == []
    assert later.is_holding
    made = later.take()
    assert not later.is_holding
    assert later.take() == []
    assert made + later.flush() == expected


def test_what_is_held_leaves_as_soon_as_enough_is_full() -> None:
    several, single = [
        [len(maker.add([one], 0, at_once)) for one in packets(NOISE, size=100)]
        for maker, at_once in ((RecordMaker(RecordFormat()), 3), (RecordMaker(RecordFormat()), 1))
    ]
    assert 0 < sum(map(bool, several)) < sum(map(bool, single))
    assert sum(several) > sum(single) / 2


def test_what_is_held_leaves_when_it_is_due() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=1))
    assert maker.add(packets(NOISE, size=1000)[:1], 0, at_once=1000) == []
    assert sum(record.sample_count for record in maker.flush_due(NS_PER_S)) == 1000
    assert maker.take() == []


def _run(rows: int, stream: StreamId = STREAM) -> PacketRun:
    """Return so many packets of 100 samples at once."""
    samples = np.resize(NOISE, (rows, 100))
    samples.flags.writeable = False
    return PacketRun(stream, [START_NS + row * NS_PER_S for row in range(rows)], 100.0, samples)


def test_a_backlog_that_comes_at_once_has_the_samples_and_times_of_its_packets() -> None:
    maker, backlog = RecordMaker(RecordFormat()), _run(rows=4000)
    records = maker.add([backlog], 0) + maker.flush()
    assert np.array_equal(values(records), backlog.samples.reshape(-1))
    firsts = np.cumsum([0, *(record.sample_count for record in records[:-1])])
    assert [record.start_ns for record in records] == [sample_time(START_NS, int(first), 100.0) for first in firsts]


def test_memory_of_a_backlog_is_given_back() -> None:
    maker = RecordMaker(RecordFormat())
    backlogs = [_run(rows=200, stream=StreamId("XX", f"S{number}", "", "HHZ")) for number in range(20)]
    maker.add([backlog[:1] for backlog in backlogs], 0)
    tracemalloc.start()
    try:
        maker.add([backlog[1:] for backlog in backlogs], 0)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < len(backlogs) * 20_000  # a backlog is 80 000


def test_an_empty_packet_changes_nothing() -> None:
    empty = Packet(STREAM, START_NS + NS_PER_S, 1.0, np.zeros(0, np.float64))
    first, second = after()
    assert [record.sample_count for record in make([first, empty, second])] == [100]


def test_streams_do_not_mix() -> None:
    other = StreamId.parse("XX.DEMO.00.HHN")
    mixed = [
        packet
        for pair in zip(packets(NOISE), packets(-NOISE, stream=other), strict=True)
        for packet in pair
    ]  # fmt: skip
    maker = RecordMaker(RecordFormat())
    records = maker.add(mixed, 0) + maker.flush()
    assert np.array_equal(values([record for record in records if record.stream == STREAM]), NOISE)
    assert np.array_equal(values([record for record in records if record.stream == other]), -NOISE)
    assert {stream: counts.samples for stream, counts in maker.counts.items()} == {STREAM: 5000, other: 5000}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("quality", [0, 57, 100, None])
def test_records_carry_timing_quality(version: int, quality: int | None) -> None:
    for record in make(packets(NOISE[:1000], quality=quality), RecordFormat(version)):
        assert parsed(record).get_extra_header("/FDSN/Time/Quality") == quality


@pytest.mark.parametrize("version", [2, 3])
def test_the_timing_quality_of_a_record_is_the_lowest_of_its_packets(version: int) -> None:
    qualities: list[int | None] = [90, 100, None, 7, 100, 80] + [60] * 54
    mixed = [each.replace(timing_quality=quality) for each, quality in zip(packets(NOISE), qualities, strict=False)]
    records, begin = make(mixed, RecordFormat(version)), 0
    assert len(records) > 10
    for record in records:
        inside = qualities[begin // 100 : (begin + record.sample_count - 1) // 100 + 1]
        lowest = min(quality for quality in inside if quality is not None)
        assert parsed(record).get_extra_header("/FDSN/Time/Quality") == lowest
        begin += record.sample_count
    assert np.array_equal(values(records), NOISE)


def test_a_record_of_packets_without_a_timing_quality_has_none() -> None:
    (record,) = make([each.replace(timing_quality=None) for each in after()])
    assert parsed(record).get_extra_header("/FDSN/Time/Quality") is None


def test_an_encoding_that_is_not_used_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    maker = RecordMaker(RecordFormat(encoding="steim2"))
    for packet in packets(NOISE.astype("f4")):
        maker.add([packet], 0)
    assert caplog.messages == [
        "XX.DEMO.00.HHZ: records are FLOAT32, not STEIM2 as asked for: it cannot hold float32 samples"
    ]


def test_the_first_record_that_falls_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    maker = RecordMaker(RecordFormat(encoding="int16"))
    maker.add(packets(np.full(5000, 1 << 20, "i4")), 0)
    assert caplog.messages == [
        "XX.DEMO.00.HHZ: a record is INT32: some samples do not fit INT16; such records are counted as fallbacks"
    ]


@pytest.mark.parametrize("version", [2, 3])
def test_sequence_numbers_count_per_stream(version: int) -> None:
    other = StreamId.parse("XX.DEMO.00.HHN")
    maker = RecordMaker(RecordFormat(version))
    records = maker.add([*packets(NOISE), *packets(NOISE, stream=other)], 0)
    for stream in (STREAM, other):
        mine = [record for record in records if record.stream == stream]
        wanted = list(range(1, len(mine) + 1))
        if version == 2:
            assert [record.data[:7] for record in mine] == [b"%06dD" % number for number in wanted]
        else:
            assert [parsed(record).get_extra_header("/FDSN/Sequence") for record in mine] == wanted


def test_sequence_numbers_start_again_after_six_digits() -> None:
    maker = RecordMaker(RecordFormat())
    maker.add(packets(NOISE[:10]), 0)
    maker.counts[STREAM].records = 999_998
    made = maker.flush()
    for index in range(2):
        maker.add(packets(NOISE[:10], start_ns=START_NS + (index + 1) * NS_PER_S), 0)
        made += maker.flush()
    assert [record.data[:6] for record in made] == [b"999999", b"000001", b"000002"]


def test_samples_wait_no_longer_than_they_may() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=10.0))
    other = StreamId.parse("XX.DEMO.00.HHN")
    assert maker.due_ns is None
    assert maker.flush_due(0) == []
    maker.add(packets(NOISE[:10]), 5 * NS_PER_S)
    maker.add(packets(NOISE[:10], stream=other), 7 * NS_PER_S)
    assert maker.due_ns == 15 * NS_PER_S
    assert maker.flush_due(15 * NS_PER_S - 1) == []
    assert [record.stream for record in maker.flush_due(15 * NS_PER_S)] == [STREAM]
    assert maker.due_ns == 17 * NS_PER_S
    assert [record.stream for record in maker.flush_due(17 * NS_PER_S)] == [other]
    assert maker.due_ns is None


def test_what_waits_is_as_old_as_its_first_sample() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=10.0))
    for index, packet in enumerate(packets(NOISE[:1000])):
        maker.add([packet], index * NS_PER_S)
    maker.flush_due(10 * NS_PER_S)
    assert maker.due_ns is not None
    assert maker.due_ns > 12 * NS_PER_S


def test_a_clock_that_is_set_back_does_not_keep_samples_waiting() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=10.0))
    maker.add(packets(NOISE[:10]), 1000 * NS_PER_S)
    maker.add(packets(NOISE[:10], stream=StreamId.parse("XX.DEMO.00.HHN")), 0)
    assert maker.due_ns == 10 * NS_PER_S


def test_more_samples_than_a_miniseed_2_header_counts_make_two_records() -> None:
    quiet = np.zeros(200_000, np.int32)
    records = make(packets(quiet, size=200_000), RecordFormat(2, 131_072))
    assert [record.sample_count for record in records][:3] == [65_535] * 3
    assert values(records).size == 200_000


def test_samples_that_were_given_may_be_reused() -> None:
    samples: Samples = NOISE[:100].copy()
    maker = RecordMaker(RecordFormat())
    maker.add([Packet(STREAM, START_NS, 100.0, samples)], 0)
    samples[:] = 0
    assert np.array_equal(values(maker.flush()), NOISE[:100])


@pytest.mark.parametrize(("length_bytes", "size"), [(512, 1), (4096, 8)])
def test_a_record_leaves_soon_after_it_is_full_also_when_the_signal_has_become_lively(
    length_bytes: int, size: int
) -> None:
    random = np.random.default_rng(1)
    # Some three records of the one, and some of the other.
    quiet, lively = random.integers(-2, 3, 5 * length_bytes), random.integers(-(1 << 20), 1 << 20, length_bytes)
    samples = np.concatenate([quiet, lively]).astype("i4")
    maker, end, last = RecordMaker(RecordFormat(length_bytes=length_bytes, flush_after_s=1e6)), 0, 0
    for index, packet in enumerate(packets(samples, size=size)):
        made, before = maker.add([packet], 0), last
        for record in made:
            # The first attempt is made at 7/8 of what the last record held, and each further one an eighth later.
            assert (index + 1) * size - end <= max(record.sample_count * 9 / 8, before * 7 / 8) + 2 * size
            end += record.sample_count
            last = record.sample_count


def test_a_timing_quality_may_be_any_number() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=0))
    quality: Any = 99.5  # as somebody's receiver may have computed it
    (record,) = maker.add([Packet(STREAM, START_NS, 100.0, NOISE[:9], quality)], 0)
    assert record.data[60] == 99


@pytest.mark.parametrize(("rate_hz", "waits_s"), [(100.0, 10), (1.0, 200), (0.1, 2000)])
def test_slow_streams_wait_longer_for_their_records_to_fill(rate_hz: float, waits_s: int) -> None:
    maker = RecordMaker(RecordFormat())
    assert maker.add([Packet(STREAM, START_NS, rate_hz, NOISE[:3])], 0) == []
    assert maker.due_ns == waits_s * NS_PER_S
    assert maker.flush_due(waits_s * NS_PER_S - 1) == []
    assert [record.sample_count for record in maker.flush_due(waits_s * NS_PER_S)] == [3]
    assert maker.due_ns is None
