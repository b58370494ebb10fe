"""Records have the times and rates of the packets that they are made of."""

import numpy as np
import pymseed
import pytest

from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet, PacketRun
from rawdaq.times import NS_PER_S, from_calendar, sample_time, span_ns
from tests.makers import START_NS, STREAM
from tests.record_makers import NOISE, RecordMaker, after, make, obspy_read, packets, parsed, values

pytestmark = pytest.mark.usefixtures("each_encoder")


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


@pytest.mark.parametrize("drift", [-5e-4, 5e-4, 12e-4])
def test_drift_that_adds_up_closes_a_record_before_readers_see_a_gap(drift: float) -> None:
    quiet = np.resize(np.arange(40, dtype=np.int32), 50_000)
    drifting = [
        Packet(STREAM, START_NS + round(index * NS_PER_S * (1 + drift)), 100.0, part.samples)
        for index, part in enumerate(packets(quiet))
    ]
    records = make(drifting, RecordFormat(length_bytes=4096))
    assert len(obspy_read(records)) == 1
    assert len(records) > 1.5 * len(make(packets(quiet), RecordFormat(length_bytes=4096)))


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


@pytest.mark.parametrize(
    "start_ns", [1 << 63, from_calendar(2261, 365, 23, 59, 59), from_calendar(1678, 1, 0, 0, 0) - 1]
)
def test_a_time_that_no_record_can_say_is_refused_also_when_nothing_waits(start_ns: int) -> None:
    maker = RecordMaker(RecordFormat())
    good = packets(NOISE[:20], size=10)
    records = maker.add(good[:1], 0) + maker.flush()
    records += maker.add([Packet(STREAM, start_ns, 100.0, NOISE[:10])], 0) + maker.flush()
    records += maker.add(good[1:], 0) + maker.flush()
    assert np.array_equal(values(records), NOISE[:20])
    assert maker.counts[STREAM].refused == 10


def test_refusal_without_a_message_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.miniseed.packer.get_error_messages", list)
    assert make([Packet(STREAM, START_NS, 3.0386149e-05, NOISE[:10])]) == []
    assert "does not say why" in caplog.text
    pymseed.clear_error_messages()


@pytest.mark.parametrize("version", [2, 3])
def test_times_before_1970_are_kept(version: int) -> None:
    record = make(packets(NOISE[:10], start_ns=-123_456_000), RecordFormat(version))[0]
    assert parsed(record).starttime == record.start_ns == -123_456_000


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


def test_samples_that_would_leave_the_calendar_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    maker = RecordMaker(RecordFormat())
    start_ns = from_calendar(2261, 364, 0, 0, 0)
    assert maker.add([Packet(STREAM, start_ns, 0.0001, NOISE)], 0) + maker.flush() == []
    assert maker.counts[STREAM].refused == NOISE.size
    assert "no record can carry" in caplog.text


def test_a_run_that_leads_out_of_the_calendar_packet_by_packet_is_refused_from_there_on() -> None:
    maker = RecordMaker(RecordFormat())
    rate_hz, start_ns = 1.0, from_calendar(2261, 364, 0, 0, 0)
    two_days = packets(np.resize(NOISE, 2 * 86_400), rate_hz, size=100, start_ns=start_ns)
    records = [record for packet in two_days for record in maker.add([packet], 0)] + maker.flush()
    written = sum(record.sample_count for record in records)
    assert written + maker.counts[STREAM].refused == 2 * 86_400
    assert 86_400 - 1000 < written <= 86_400  # what waited with them goes with them
