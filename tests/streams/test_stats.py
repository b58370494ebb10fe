import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.packet import Packet, PacketRun
from rawdaq.streams.stats import Anomaly, BackwardTime, Gap, Overlap, RateMeter, RateMismatch, Stats
from rawdaq.times import sample_time
from tests.makers import START_NS, STREAM, packet


def anomalies(packets: list[Packet]) -> list[Anomaly]:
    return Stats().add([*packets])


def shifted(one: Packet, by_ns: int) -> Packet:
    return one.replace(start_ns=one.start_ns + by_ns)


def test_contiguous_packets_have_no_anomaly_and_are_numbered_from_zero() -> None:
    stats = Stats()
    numbered = stats.numbered([packet(index) for index in range(3)]) + stats.numbered([packet(3), packet(4)])
    assert stats.add(numbered) == []
    assert [one.sequence for one in numbered if isinstance(one, Packet)] == [0, 1, 2, 3, 4]


@given(st.sampled_from([300.0, 333.333, 1 / 60, 62.5, 4000.0]), st.integers(1, 50))
def test_stamps_cut_to_microseconds_are_contiguous(rate_hz: float, size: int) -> None:
    run = [packet(index, size, rate_hz=rate_hz) for index in range(40)]
    assert anomalies([one.replace(start_ns=one.start_ns // 1000 * 1000) for one in run]) == []


def test_gap_of_one_sample_is_reported_once() -> None:
    stats = Stats()
    found = stats.add([packet(0), *(shifted(packet(index), 10_000_000) for index in range(1, 20))])
    start_ns = START_NS + 1_000_000_000
    assert found == [Gap(STREAM, start_ns, start_ns + 10_000_000, 1)]
    assert str(found[0]) == (
        "XX.DEMO.00.HHZ gap of 0.010000 s (1 samples) from 2026-11-21T00:00:01.000000Z to 2026-11-21T00:00:01.010000Z"
    )
    shown = stats.streams[STREAM].report()
    assert (shown["gaps"], shown["gap_s"], shown["overlaps"]) == (1, 0.01, 0)


def test_a_slow_stream_is_as_old_as_its_last_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = Stats()
    stats.add([packet(0, 1, rate_hz=0.1)])
    monkeypatch.setattr(time, "time_ns", lambda: START_NS + 3_000_000_000)
    assert stats.streams[STREAM].report()["age_s"] == 3.0


def test_overlap_and_backward_time_are_told_apart() -> None:
    overlap = anomalies([packet(0), shifted(packet(1), -500_000_000)])
    assert overlap == [Overlap(STREAM, START_NS + 500_000_000, START_NS + 1_000_000_000, 50)]
    assert "overlap of 0.500000 s (50 samples)" in str(overlap[0])
    backwards = anomalies([packet(1), packet(0)])
    assert backwards == [BackwardTime(STREAM, START_NS + 1_000_000_000, START_NS)]
    assert "time runs backwards by 1.000000 s" in str(backwards[0])


def test_less_than_half_a_sample_is_jitter() -> None:
    jitter_ns = [0, 3_000_000, -2_000_000, 4_000_000, -4_000_000] * 20
    steps = [0]
    for index, jitter in enumerate(jitter_ns):
        steps.append(jitter if index % 2 else 0)
    assert anomalies([shifted(packet(index), steps[index] // 2) for index in range(100)]) == []


def test_a_high_rate_is_told_in_full() -> None:
    assert "at 1000200 Hz, the device says 1000000 Hz" in str(RateMismatch(STREAM, 1e6, 1.0002e6))


@pytest.mark.parametrize("true_hz", [100.2, 99.8, 101.0, 99.0])
def test_a_rate_that_differs_from_the_stamps_is_reported_once(true_hz: float) -> None:
    run = [packet(index).replace(start_ns=sample_time(START_NS, index * 100, true_hz)) for index in range(200)]
    stats = Stats()
    found = stats.add([*run])
    mismatches = [one for one in found if isinstance(one, RateMismatch)]
    assert len(mismatches) == 1
    assert mismatches[0].nominal_hz == 100.0
    assert mismatches[0].measured_hz == pytest.approx(true_hz, rel=1e-5)
    assert len(found) <= 1 + 16  # the single overlaps or gaps are not told once the rate is known to be wrong
    assert stats.streams[STREAM].rate_mismatches == 1
    assert f"at {true_hz:g} Hz" in str(mismatches[0])


def test_a_rate_that_becomes_right_and_wrong_again_is_told_again() -> None:
    run: list[Packet] = []
    start_ns = START_NS
    for index in range(120):
        run.append(packet(index).replace(start_ns=start_ns))
        start_ns += 1_000_000_000 if 40 <= index < 80 else 1_002_000_000
    assert len([one for one in anomalies(run) if isinstance(one, RateMismatch)]) == 2


def test_a_new_rate_is_not_an_anomaly() -> None:
    assert anomalies([packet(0), packet(5).replace(rate_hz=50.0)]) == []


def test_latency_is_from_the_last_sample_to_the_arrival() -> None:
    stats = Stats()
    stats.add([packet(0, received_ns=START_NS + 1_000_000_000)])
    stats.add([packet(1, received_ns=START_NS + 1_993_000_000)])
    shown = stats.streams[STREAM].report()
    assert (shown["latency_s"], shown["latency_max_s"]) == (0.003, 0.01)


@pytest.mark.parametrize(
    ("latency_s", "expected"),
    [
        (0.0, None),
        (-4.0, None),
        (3600.0, None),
        (-4576.71, "latency -4576.7 s: clocks differ"),
        (200_000.0, "time is 2 d 7 h behind"),
        (1024 * 7 * 86_400.0, "time is 1024 weeks behind: a GPS week rollover"),
        (-100_000.0, "time is 1 d 3 h ahead"),
    ],
)
def test_a_clock_that_is_wrong_is_shown_until_it_is_right(latency_s: float, expected: str | None) -> None:
    stats = Stats()
    stats.add([packet(0, received_ns=START_NS + 990_000_000 + round(latency_s * 1e9))])
    shown: Any = stats.report()
    assert shown[str(STREAM)]["clock"] == expected
    stats.ahead_s = stats.behind_s = math.inf
    shown = stats.report()
    assert shown[str(STREAM)]["clock"] is None
    assert stats.streams[STREAM].clock_problem(5.0, 86_400.0) == expected
    stats.add([packet(1, received_ns=START_NS + 1_993_000_000)])
    assert stats.streams[STREAM].clock_problem(5.0, 86_400.0) is None


def test_plain_bytes_are_counted_apart() -> None:
    stats = Stats()
    assert stats.numbered([b"abc", packet()])[0] == b"abc"
    assert stats.add([b"abc", packet()]) == []
    assert (stats.plain_messages, stats.plain_bytes) == (1, 3)
    assert list(stats.report()) == ["XX.DEMO.00.HHZ"]


def test_a_rate_is_events_over_the_time_since_the_last_look() -> None:
    now_s = 0.0
    meter = RateMeter(lambda: now_s)
    meter.count(30)
    assert meter.per_s == 0.0
    now_s = 2.0
    assert meter.per_s == 15.0
    meter.count()
    now_s = 2.5
    assert (meter.per_s, meter.total) == (15.0, 31)


def test_a_run_counts_as_its_packets_and_its_place_in_time_is_checked() -> None:
    packets = [packet(index) for index in range(20)]
    samples = np.stack([each.samples for each in packets])
    run = PacketRun(STREAM, [each.start_ns for each in packets], 100.0, samples)
    stats = Stats()
    numbered = stats.numbered([run, packet(20), run])
    found = stats.add(numbered)
    assert [each.sequence for each in numbered if not isinstance(each, bytes)] == [0, 20, 21]
    assert stats.streams[STREAM].packets == 41
    assert [type(each) for each in found] == [BackwardTime]


@pytest.mark.parametrize("every", [2, 3])
def test_packets_that_are_lost_regularly_are_gaps_and_no_wrong_rate(every: int) -> None:
    found = anomalies([packet(index) for index in range(0, 60 * every, every)])
    assert [type(one) for one in found] == [Gap] * 59
