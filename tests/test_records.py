"""Packets become records that ObsPy and libmseed read back sample for sample, time for time."""

import io
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pymseed
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import read
from pymseed import DataEncoding, MS3Record

from rawdaq.packet import Packet, PacketRun, Samples, SampleType, StreamId
from rawdaq.record_series import is_compiled
from rawdaq.records import Encoding, Record, RecordFormat
from rawdaq.times import NS_PER_S, from_calendar, sample_time, span_ns
from tests.record_makers import RecordMaker

STREAM = StreamId.parse("XX.DEMO.00.HHZ")
START_NS = 1_795_219_200_000_000_000  # 2026-11-21
NOISE: npt.NDArray[np.int32] = np.random.default_rng(7).normal(0, 300, 5000).cumsum().astype(np.int32)


@pytest.fixture(autouse=True, params=["compiled", "libmseed"])
def _encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs with the compiled encoder and without it."""
    assert is_compiled(), "there is no compiled encoder: install a C compiler, then rawdaq again"
    if request.param == "libmseed":
        monkeypatch.setattr("rawdaq.record_series.steim2", None)


def packets(
    samples: npt.NDArray[Any],
    rate_hz: float = 100.0,
    size: int = 100,
    quality: int | None = 100,
    start_ns: int = START_NS,
    stream: StreamId = STREAM,
) -> list[Packet]:
    """Return *samples* as packets of *size*."""
    return [
        Packet(stream, sample_time(start_ns, first, rate_hz), rate_hz, samples[first : first + size], quality)
        for first in range(0, samples.size, size)
    ]


def make(given_packets: Iterable[Packet], record_format: RecordFormat | None = None) -> list[Record]:
    """Return the records of *given_packets*, one `add` for each."""
    maker = RecordMaker(record_format or RecordFormat())
    made = [record for packet in given_packets for record in maker.add([packet], 0)]
    return made + maker.flush()


def parsed(record: Record) -> MS3Record:
    return MS3Record.parse(record.data, unpack_data=True)


def values(records: Sequence[Record]) -> npt.NDArray[Any]:
    """Return all samples in *records* as libmseed decodes them."""
    return np.concatenate([np.array(parsed(record).np_datasamples) for record in records])


def obspy_read(records: Sequence[Record]) -> list[Any]:
    """Return *records* as ObsPy's traces."""
    stream: Any = read(io.BytesIO(b"".join(record.data for record in records)), format="MSEED")
    return list(stream)


def encodings(records: Sequence[Record]) -> list[DataEncoding]:
    return [DataEncoding(parsed(record).encoding) for record in records]


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


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", list(SampleType))
def test_every_sample_type_arrives_in_obspy(kind: SampleType, order: str) -> None:
    dtype = np.dtype(kind.value).newbyteorder(order)  # type: ignore[arg-type]  # numpy's stubs want literals
    samples = (NOISE if "float" not in kind else NOISE * 0.1).astype(dtype)
    trace = obspy_read(make(packets(samples)))[0]
    assert np.array_equal(trace.data, samples)
    assert trace.id == "XX.DEMO.00.HHZ"
    assert trace.stats.starttime.ns == START_NS
    expected = {"float32": DataEncoding.FLOAT32, "float64": DataEncoding.FLOAT64}.get(kind, DataEncoding.STEIM2)
    assert set(encodings(make(packets(samples)))) == {expected}


@pytest.mark.parametrize(
    ("encoding", "kind", "expected"),
    [
        (Encoding.STEIM1, "int32", DataEncoding.STEIM1),
        (Encoding.STEIM2, "int16", DataEncoding.STEIM2),
        (Encoding.INT32, "int32", DataEncoding.INT32),
        (Encoding.INT16, "int16", DataEncoding.INT16),
        (Encoding.INT16, "float32", DataEncoding.FLOAT32),
        (Encoding.STEIM1, "float64", DataEncoding.FLOAT64),
        (Encoding.FLOAT32, "int16", DataEncoding.FLOAT32),
        (Encoding.FLOAT32, "int32", DataEncoding.STEIM2),
        (Encoding.FLOAT32, "float64", DataEncoding.FLOAT64),
        (Encoding.FLOAT64, "int32", DataEncoding.FLOAT64),
        (Encoding.FLOAT64, "float32", DataEncoding.FLOAT64),
    ],
)
@pytest.mark.parametrize("version", [2, 3])
def test_an_encoding_is_used_where_it_loses_nothing(
    version: int, encoding: Encoding, kind: str, expected: DataEncoding
) -> None:
    samples = (NOISE % 1000).astype(kind)
    records = make(packets(samples), RecordFormat(version, 512, encoding))
    assert set(encodings(records)) == {expected}
    assert np.array_equal(values(records), samples)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(-(1 << 31), (1 << 31) - 1),
            st.sampled_from([-(1 << 31), (1 << 31) - 1, 0, 1 << 29, (1 << 29) - 1, -(1 << 29), 32_767, 32_768]),
        ),
        min_size=1,
        max_size=400,
    ),
    st.sampled_from([encoding for encoding in Encoding if not encoding.startswith("float")]),
    st.sampled_from([(2, 128), (2, 256), (2, 512), (3, 150), (3, 512)]),
    st.integers(1, 100),
)
def test_any_integers_round_trip(numbers: list[int], encoding: Encoding, shape: tuple[int, int], size: int) -> None:
    samples = np.array(numbers, np.int32)
    records = make(packets(samples, size=size), RecordFormat(*shape, encoding))
    assert np.array_equal(values(records), samples)
    if shape[0] == 2:
        assert np.array_equal(np.concatenate([trace.data for trace in obspy_read(records)]), samples)


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=8, max_size=4000), st.sampled_from(["<f4", ">f8"]), st.sampled_from([2, 3]))
def test_any_floats_round_trip_bit_by_bit(raw: bytes, dtype: str, version: int) -> None:
    samples = np.frombuffer(raw[: len(raw) // 8 * 8], dtype)
    made = values(make(packets(samples), RecordFormat(version)))
    assert made.tobytes() == samples.astype(samples.dtype.newbyteorder("=")).tobytes()


def test_a_step_that_steim2_cannot_hold_costs_one_record_another_encoding() -> None:
    samples = NOISE.copy()
    samples[2000:] += 1 << 30
    maker = RecordMaker(RecordFormat())
    records = maker.add(packets(samples), 0) + maker.flush()
    kinds = encodings(records)
    assert np.array_equal(values(records), samples)
    assert 1 <= kinds.count(DataEncoding.STEIM1) == maker.counts[STREAM].fallbacks <= 2
    assert {*kinds} == {DataEncoding.STEIM1, DataEncoding.STEIM2}
    assert kinds[0] == kinds[-1] == DataEncoding.STEIM2


def test_a_step_that_no_steim_can_hold_becomes_int32() -> None:
    samples = np.array([0, (1 << 31) - 1, -(1 << 31), 5], np.int32)
    assert encodings(make(packets(samples))) == [DataEncoding.INT32]


def test_int16_keeps_values_that_it_cannot_hold() -> None:
    samples = np.array([1, 40_000, 2], np.int32)
    records = make(packets(samples), RecordFormat(encoding=Encoding.INT16))
    assert encodings(records) == [DataEncoding.INT32]
    assert np.array_equal(values(records), samples)


def test_a_fallback_prints_nothing_in_any_thread(capfd: pytest.CaptureFixture[str]) -> None:
    steps = np.array([0, 1 << 30, 0, 1 << 30], np.int32)
    thread = threading.Thread(target=make, args=[packets(steps)])
    thread.start()
    thread.join()
    make(packets(steps))
    assert capfd.readouterr() == ("", "")


def test_truncated_time_stamps_make_no_gaps() -> None:
    cut = [
        Packet(packet.stream, packet.start_ns // 1000 * 1000, 300.0, packet.samples)
        for packet in packets(NOISE, rate_hz=300.0, size=7)
    ]
    records = make(cut)
    assert len(records) == len(make(packets(NOISE, rate_hz=300.0, size=5000)))
    assert len(obspy_read(records)) == 1
    for record, first in zip(records, np.cumsum([0, *(record.sample_count for record in records)]), strict=False):
        assert abs(record.start_ns - sample_time(START_NS, int(first), 300.0)) < 1000


def test_records_start_at_the_time_of_the_packet_that_they_begin_in() -> None:
    """A clock that is 0.1 % off is followed, not extrapolated."""
    drifting = [
        Packet(STREAM, START_NS + index * 1_001_000_000, 100.0, part.samples)
        for index, part in enumerate(packets(NOISE))
    ]
    first = 0
    for record in make(drifting):
        packet, within = divmod(first, 100)
        assert record.start_ns == START_NS + packet * 1_001_000_000 + within * 10_000_000
        assert parsed(record).starttime == record.start_ns
        first += record.sample_count


def test_drift_never_puts_a_sample_half_an_interval_off() -> None:
    drifting = [
        Packet(STREAM, START_NS + index * 104_000_000, 100.0, NOISE[index * 10 : index * 10 + 10])
        for index in range(100)
    ]
    where = 0
    for record in make(drifting):
        for index in range(record.sample_count):
            packet, within = divmod(where + index, 10)
            true_ns = START_NS + packet * 104_000_000 + within * 10_000_000
            assert abs(sample_time(record.start_ns, index, 100.0) - true_ns) <= 5_000_000
        where += record.sample_count
    assert where == 1000


def after(shift_ns: int = 0, rate_hz: float = 100.0, kind: str = "int32") -> list[Packet]:
    """Return 50 samples, and 50 that start *shift_ns* later than they would without a gap."""
    samples = NOISE[:50].astype(np.int32)
    return [
        Packet(STREAM, START_NS, 100.0, samples),
        Packet(STREAM, START_NS + 500_000_000 + shift_ns, rate_hz, samples.astype(kind)),
    ]


@pytest.mark.parametrize(
    "pair",
    [after(5_000_001), after(-5_000_001), after(NS_PER_S), after(rate_hz=100.001), after(kind="float32")],
    ids=["gap", "overlap", "long gap", "rate", "type"],
)
def test_what_does_not_continue_closes_a_record(pair: list[Packet]) -> None:
    maker = RecordMaker(RecordFormat())
    closed = maker.add(pair, 0)
    assert [record.sample_count for record in closed] == [50]
    assert [record.start_ns for record in maker.flush()] == [pair[1].start_ns]


@pytest.mark.parametrize("pair", [after(5_000_000), after(-5_000_000), after(kind="int8")])
def test_what_continues_to_half_an_interval_shares_a_record(pair: list[Packet]) -> None:
    assert [record.sample_count for record in make(pair)] == [100]


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


def test_timing_quality_is_that_of_the_packet_with_the_first_sample() -> None:
    first, second = after()
    good = [
        Packet(STREAM, packet.start_ns, 100.0, packet.samples, 90 + index)
        for index, packet in enumerate((first, second))
    ]
    assert [parsed(record).get_extra_header("/FDSN/Time/Quality") for record in make(good)] == [90]


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


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("rate_hz", [62.5, 1 / 60, 333.333, 0.001, 100.00005, 299.7, 44_100.0, 123_456.789, 1e6])
def test_odd_rates_are_kept(version: int, rate_hz: float) -> None:
    samples = NOISE[:700]
    records = make(packets(samples, rate_hz), RecordFormat(version))
    assert np.array_equal(values(records), samples)
    first = 0
    for record in records:
        theirs = parsed(record)
        assert abs(theirs.starttime - (START_NS + span_ns(first, rate_hz))) < 1000
        assert theirs.samprate == pytest.approx(rate_hz, rel=1e-5 if version == 2 else 1e-12)
        first += record.sample_count


@pytest.mark.parametrize(
    ("rate_hz", "start_ns"),
    [(1e-300, START_NS), (1e300, START_NS), (100.0, 1 << 70), (100.0, -(1 << 70)), (3.0386149e-05, START_NS)],
)
def test_what_no_record_can_say_is_refused_counted_and_told_once(
    rate_hz: float, start_ns: int, caplog: pytest.LogCaptureFixture
) -> None:
    maker = RecordMaker(RecordFormat())
    bad = Packet(STREAM, start_ns, rate_hz, NOISE[:10])
    good = packets(NOISE[:10])
    assert [record.sample_count for record in maker.add([bad, *good, bad], 0) + maker.flush()] == [10]
    assert maker.counts[STREAM].refused == 20
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "XX.DEMO.00.HHZ: no record can carry these samples" in caplog.text


def test_refusal_without_a_message_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.record_packer.get_error_messages", list)
    assert make([Packet(STREAM, START_NS, 3.0386149e-05, NOISE[:10])]) == []
    assert "does not say why" in caplog.text
    pymseed.clear_error_messages()


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


@pytest.mark.parametrize("version", [2, 3])
def test_times_before_1970_are_kept(version: int) -> None:
    record = make(packets(NOISE[:10], start_ns=-123_456_000), RecordFormat(version))[0]
    assert parsed(record).starttime == record.start_ns == -123_456_000


def test_samples_that_were_given_may_be_reused() -> None:
    samples: Samples = NOISE[:100].copy()
    maker = RecordMaker(RecordFormat())
    maker.add([Packet(STREAM, START_NS, 100.0, samples)], 0)
    samples[:] = 0
    assert np.array_equal(values(maker.flush()), NOISE[:100])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_the_first_packet_of_a_stream_may_be_of_any_type_at_one_hertz(dtype: str) -> None:
    maker = RecordMaker(RecordFormat())
    maker.add([Packet(STREAM, START_NS, 1.0, np.arange(5, dtype=dtype))], 0)
    assert [record.sample_count for record in maker.flush()] == [5]
    assert maker.counts[STREAM].refused == 0


def test_a_clock_that_drifts_makes_no_shorter_records_when_many_are_made_at_once() -> None:
    drift = 1 + 50e-6
    runs: list[PacketRun] = []
    for index in range(400):
        start_ns = START_NS + round(index * 5_000_000 * drift)
        rows = np.tile(NOISE[:100], (5, 1))
        rows.flags.writeable = False
        starts_ns = [start_ns + row * 1_000_000 for row in range(5)]
        runs.append(PacketRun(STREAM, starts_ns, 100_000.0, rows))
    counts = []
    for at_once in (1, 16):
        maker = RecordMaker(RecordFormat(length_bytes=4096))
        records = [record for run in runs for record in maker.add([run], 0, at_once)] + maker.take() + maker.flush()
        assert sum(record.sample_count for record in records) == 400 * 500
        counts.append(len(records))
    assert counts[1] <= counts[0] * 1.02


@pytest.mark.parametrize("length_bytes", [512, 4096])
def test_a_record_leaves_soon_after_it_is_full_also_when_the_signal_has_become_lively(length_bytes: int) -> None:
    random = np.random.default_rng(1)
    quiet, lively = random.integers(-2, 3, 20_000), random.integers(-(1 << 20), 1 << 20, 20_000)
    samples = np.concatenate([quiet, lively]).astype("i4")
    maker, end = RecordMaker(RecordFormat(length_bytes=length_bytes, flush_after_s=1e6)), 0
    for index, packet in enumerate(packets(samples, size=1)):
        for record in maker.add([packet], 0):
            end += record.sample_count
            assert index + 1 - end <= record.sample_count / 7 + 2


def test_samples_that_would_leave_the_calendar_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    maker = RecordMaker(RecordFormat())
    start_ns = from_calendar(2261, 364, 0, 0, 0)
    assert maker.add([Packet(STREAM, start_ns, 0.0001, NOISE)], 0) + maker.flush() == []
    assert maker.counts[STREAM].refused == NOISE.size
    assert "no record can carry" in caplog.text


def test_a_timing_quality_may_be_any_number() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=0))
    (record,) = maker.add([Packet(STREAM, START_NS, 100.0, NOISE[:9], 99.5)], 0)  # type: ignore[arg-type]
    assert record.data[60] == 99
