"""Onsets and ends of events: where ObsPy has them, whatever the packets are; gaps, limits, and several streams."""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rawdaq.config.trigger import CoincidenceSettings, TriggerSettings
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.streams.trigger.coincidence import Coincidence, Together
from rawdaq.streams.trigger.detector import End, Ended, Found, Onset
from rawdaq.streams.trigger.trigger import Trigger
from rawdaq.times import NS_PER_S, sample_time
from tests.makers import START_NS, STREAM

LOG = logging.getLogger("rawdaq.test")
RATE_HZ = 100.0
SETTINGS: dict[str, Any] = {"sta_s": 0.1, "lta_s": 2.0, "on": 5.0, "off": 1.5}


def waveform(samples: int = 3000, bursts: Sequence[int] = (1000, 2000), length: int = 50, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).normal(0, 100, samples)
    for begin in bursts:
        values[begin : begin + length] *= 30
    return np.rint(values).astype("<i4")


def packets(samples: Any, sizes: Sequence[int] = (100,), stream: StreamId = STREAM, begin: int = 0) -> list[Packet]:
    made: list[Packet] = []
    at = 0
    while at < samples.size:
        size = sizes[len(made) % len(sizes)]
        start_ns = sample_time(START_NS, begin + at, RATE_HZ)
        made.append(Packet(stream, start_ns, RATE_HZ, samples[at : at + size]))
        at += size
    return made


def trigger(**changes: Any) -> Trigger:
    return Trigger(TriggerSettings(**{**SETTINGS, **changes}), LOG)


def index(time_ns: int) -> int:
    return round((time_ns - START_NS) * RATE_HZ / NS_PER_S)


def obspys() -> Any:
    return import_module("obspy.signal.trigger")  # here, as it takes a second of whoever collects the tests


def obspys_events(ratios: Any) -> Any:
    return obspys().trigger_onset(ratios, 5.0, 1.5)


def ends(found: Sequence[Found | Together]) -> list[End]:
    return [each for each in found if isinstance(each, End)]


def test_events_are_where_obspy_has_them_with_their_highest_ratio() -> None:
    samples = waveform()
    found = trigger().add(packets(samples))
    ratios = obspys().recursive_sta_lta(samples.astype(float), 10, 200)
    expected = obspys_events(ratios)
    assert [[index(each.on_ns), index(each.time_ns) - 1] for each in ends(found)] == expected.tolist()
    assert len(ends(found)) == 2
    for onset, end in zip(found[::2], found[1::2], strict=True):
        assert isinstance(onset, Onset)
        assert isinstance(end, End)
        assert (onset.time_ns, end.reason) == (end.on_ns, Ended.RATIO)
        assert onset.ratio == pytest.approx(ratios[index(onset.time_ns)], rel=1e-12)
        assert end.ratio == pytest.approx(ratios[index(end.time_ns)], rel=1e-12)
        assert end.maximum == pytest.approx(ratios[index(end.on_ns) : index(end.time_ns)].max(), rel=1e-12)


@given(st.lists(st.integers(0, 700), min_size=1, max_size=30).filter(any), st.sampled_from([0.0, 0.3]))
@hypothesis_settings(deadline=None, max_examples=30)
def test_packets_make_no_difference(sizes: list[int], min_s: float) -> None:
    samples = waveform()
    whole = trigger(min_s=min_s, band=[2, 20]).add(packets(samples, [samples.size]))
    assert trigger(min_s=min_s, band=[2, 20]).add(packets(samples, sizes)) == whole
    assert whole


def test_a_run_of_packets_is_its_packets() -> None:
    each = packets(waveform())
    rows = np.stack([one.samples for one in each])
    run = PacketRun(STREAM, [one.start_ns for one in each], RATE_HZ, rows)
    assert trigger().add([run, b"plain bytes"]) == trigger().add(each)


@pytest.mark.parametrize(("min_s", "count"), [(0.0, 2), (0.07, 2), (3.0, 0)])
def test_a_short_event_is_not_reported(min_s: float, count: int) -> None:
    assert len(ends(trigger(min_s=min_s).add(packets(waveform(length=3))))) == count


def test_an_onset_is_reported_once_the_event_has_lasted_long_enough() -> None:
    found = trigger().add(packets(waveform()))
    onset = found[0]
    assert isinstance(onset, Onset)
    at, slow = index(onset.time_ns), trigger(min_s=0.2)
    samples = waveform()
    assert slow.add(packets(samples[: at + 19])) == []
    assert slow.add(packets(samples[at + 19 : at + 20], begin=at + 19)) == [onset]


@pytest.mark.parametrize("change", ["gap", "overlap", "type", "rate"])
def test_what_does_not_continue_ends_an_event_and_begins_anew(change: str) -> None:
    samples, made = waveform(bursts=[1000], length=300), trigger()
    found = made.add(packets(samples[:1100]))
    assert [type(each) for each in found] == [Onset]
    late_ns = {"gap": 5_000_001, "overlap": -5_000_001}.get(change, 0)
    for each in packets(samples[1100:], begin=1100):
        after = each.replace(start_ns=each.start_ns + late_ns)
        if change == "type":
            after = after.replace(samples=after.samples.astype("<f4"))
        if change == "rate":
            after = after.replace(rate_hz=99.9)
        found += made.add([after])
    (cut,) = ends(found)
    assert (cut.reason, index(cut.time_ns), cut.ratio) == (Ended.GAP, 1100, 0.0)


def test_half_a_sample_is_no_gap() -> None:
    samples = waveform()
    jittered = [
        each.replace(start_ns=each.start_ns + 4_000_000 * (number % 2)) for number, each in enumerate(packets(samples))
    ]
    assert len(trigger().add(jittered)) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_what_is_no_number_begins_anew_and_poisons_nothing(value: float) -> None:
    samples = waveform(bursts=[1000, 2500], length=300, samples=4000).astype("<f8")
    samples[1100:1103] = value
    found = trigger().add(packets(samples))
    assert [(type(each), getattr(each, "reason", None)) for each in found] == [
        (Onset, None),
        (End, Ended.GAP),
        (Onset, None),
        (End, Ended.RATIO),
    ]


def test_the_end_of_an_open_event_is_told_at_the_stop() -> None:
    made = trigger()
    found = made.add(packets(waveform()[:1020]))
    assert made.status() == {
        "streams": 1,
        "events": {"on": 1, "off": 0, "coincidence": 0},
        "on": {"XX.DEMO.00.HHZ": found[0].time_ns},
        "refused": {},
    }
    (end,) = ends(made.close())
    assert (end.reason, index(end.time_ns)) == (Ended.STOP, 1020)
    assert made.close() == []
    assert made.status()["on"] == {}


def test_only_the_streams_that_the_patterns_name_are_listened_to() -> None:
    other = StreamId("XX", "DEMO", "00", "HHN")
    made = trigger(streams=["*.HHN"])
    assert made.add(packets(waveform())) == []
    assert {each.stream for each in made.add(packets(waveform(), stream=other)) if isinstance(each, End)} == {other}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"band": [1.0, 50.0]}, "band [1.0, 50.0] reaches half of its rate 100 Hz; lower it"),
        ({"sta_s": 0.001, "lta_s": 0.01}, "lta_s 0.01 has no more samples than sta_s at 100 Hz"),
    ],
)
def test_a_rate_that_does_not_fit_is_reported_once(
    changes: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = trigger(**changes)
    assert made.add(packets(waveform())) == []
    assert made.status()["refused"] == {"XX.DEMO.00.HHZ": reason}
    assert caplog.messages == [f"no events are found in XX.DEMO.00.HHZ: {reason}"]
    faster = [each.replace(rate_hz=1000.0) for each in packets(waveform())]
    made.add(faster)
    assert made.status()["refused"] == {}


def test_names_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("rawdaq.streams.trigger.trigger.MAX_STREAMS", 1)
    made, other = trigger(), packets(waveform(), stream=StreamId("XX", "DEMO", "00", "HHN"))
    assert len(made.add(packets(waveform()))) == 4
    assert made.add(other) == []
    assert made.status()["packets_beyond_limit"] == 30
    assert caplog.messages == ["more than 1 streams: no events are found in XX.DEMO.00.HHN and others"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sta_s": 30.0}, "sta_s 30 is not below lta_s 2"),
        ({"off": 6.0}, "off 6 is above on 5"),
        ({"band": [5.0, 1.0]}, r"band \[5.0, 1.0\] is not a lower and an upper frequency"),
        ({"streams": ["HHZ"]}, "'HHZ' can name no stream"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        TriggerSettings(**{**SETTINGS, **changes})


# ---------------------------------------------------------------------------------------------------- coincidence


def onset(station: str, at_s: float) -> Onset:
    return Onset(StreamId("XX", station, "", "HHZ"), START_NS + round(at_s * NS_PER_S), 6.0)


def together(onsets: Sequence[Onset], count: int = 3, within_s: float = 5) -> list[list[str]]:
    made = Coincidence(CoincidenceSettings(count=count, within_s=within_s))
    return [[each.stream.station for each in found.onsets] for one in onsets if (found := made.add(one))]


@pytest.mark.parametrize(
    ("onsets", "expected"),
    [
        ([("A", 0), ("B", 2), ("C", 5)], [["A", "B", "C"]]),
        ([("C", 5), ("A", 0), ("B", 2)], [["A", "B", "C"]]),
        ([("A", 0), ("B", 2), ("C", 5.001)], []),
        ([("A", 0), ("A", 1), ("B", 2)], []),
        ([("A", 0), ("A", 1), ("B", 2), ("C", 5.5)], [["A", "B", "C"]]),
        ([("A", 0), ("B", 4), ("C", 8), ("D", 9)], [["B", "C", "D"]]),
        ([("A", 0), ("B", 1), ("C", 2), ("D", 3)], [["A", "B", "C"]]),
        ([("B", 1), ("C", 2), ("D", 3), ("A", 0)], [["B", "C", "D"]]),
        ([("A", 0), ("B", 1), ("C", 2), ("A", 60), ("B", 61), ("C", 62)], [["A", "B", "C"], ["A", "B", "C"]]),
        ([("A", 0), ("B", 1), ("C", 2), ("D", 8), ("E", 9)], [["A", "B", "C"]]),
    ],
)
def test_several_streams_make_one_event(onsets: list[tuple[str, float]], expected: list[list[str]]) -> None:
    assert together([onset(*each) for each in onsets]) == expected


def test_a_clock_that_is_wrong_keeps_no_others_from_agreeing() -> None:
    wrong = [onset("Z", 1e8 + number) for number in range(100)]
    assert together([*wrong, onset("A", 0), onset("B", 1), onset("C", 2)]) == [["A", "B", "C"]]


def test_a_coincidence_follows_the_onset_that_completes_it() -> None:
    made = trigger(coincidence={"count": 2, "within_s": 1})
    first = packets(waveform(), [3000])
    second = packets(waveform(seed=1), [3000], StreamId("XX", "DEMO", "00", "HHN"))
    found = made.add([*first, *second])
    assert [type(each) for each in found] == [Onset, End, Onset, End, Onset, Together, End, Onset, Together, End]
    (one, _) = [each for each in found if isinstance(each, Together)]
    assert one.time_ns == min(each.time_ns for each in one.onsets)
    assert {str(each.stream) for each in one.onsets} == {"XX.DEMO.00.HHZ", "XX.DEMO.00.HHN"}
    assert made.status()["events"] == {"on": 4, "off": 4, "coincidence": 2}
