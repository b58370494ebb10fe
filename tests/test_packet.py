import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.packet import Packet, PacketRun, SampleType
from rawdaq.stream_id import StreamId

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def codes(low: int, high: int, letters: str = LETTERS) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=low, max_size=high)


channels = codes(3, 3) | st.tuples(codes(0, 3), codes(1, 3), codes(0, 3)).map("_".join)
streams = st.builds(
    StreamId,
    codes(1, 8),
    codes(1, 8, LETTERS + "-"),
    codes(0, 8, LETTERS + "-").filter(lambda code: code != "--"),
    channels,
)
sample_types = st.sampled_from(list(SampleType))
STREAM = StreamId("XX", "DEMO", "00", "HHZ")


@given(streams)
def test_a_stream_is_the_one_that_it_prints_both_ways(stream: StreamId) -> None:
    assert StreamId.parse(str(stream)) == stream
    assert StreamId.parse(stream.fdsn) == stream


@given(st.text(max_size=40))
def test_any_text_is_a_stream_or_refused(text: str) -> None:
    try:
        stream = StreamId.parse(text)
    except InvalidValue:
        return
    assert text in (str(stream), stream.fdsn) or text.count("_") >= 2


@pytest.mark.parametrize(
    ("text", "fdsn"),
    [
        ("XX.DEMO.00.HHZ", "FDSN:XX_DEMO_00_H_H_Z"),
        ("XX.DEMO..HHZ", "FDSN:XX_DEMO__H_H_Z"),
        ("XX.D-1.A-B.BH1", "FDSN:XX_D-1_A-B_B_H_1"),
        ("LONGNETW.LONGSTAT.LONGLOC1.B_RAW_ZX", "FDSN:LONGNETW_LONGSTAT_LONGLOC1_B_RAW_ZX"),
        ("XX.DEMO.._LOG_", "FDSN:XX_DEMO___LOG_"),
    ],
)
def test_the_two_notations_of_a_stream(text: str, fdsn: str) -> None:
    assert StreamId.parse(text).fdsn == fdsn
    assert str(StreamId.parse(fdsn)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "XX.DEMO.HHZ",
        "XX.DEMO.00.HHZ.D",
        "xx.DEMO.00.HHZ",
        ".DEMO.00.HHZ",
        "XX..00.HHZ",
        "XX.DEMO.--.HHZ",
        "XX.DEMO.00.HH",
        "XX.DEMO.00.HHZZ",
        "XX.DEMO.00.H_H",
        "XX.DEMO.00.H__Z",
        "TOOLONGNET.DEMO.00.HHZ",
        "XX.DEMO.00.HHZ\n",
        "XX.DÉMO.00.HHZ",
        "FDSN:XX_DEMO_00_HHZ",
        "FDSN:XX_DEMO_00",
        "FDSN:XX_DEMO_00_H_H_Z_Z",
    ],
)
def test_what_neither_notation_allows_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        StreamId.parse(text)


def test_a_seed_channel_written_in_the_fdsn_way_is_the_same_stream() -> None:
    assert StreamId("XX", "DEMO", "", "H_H_Z") == StreamId("XX", "DEMO", "", "HHZ")


def test_patterns_choose_streams() -> None:
    assert STREAM.matches([])
    assert STREAM.matches(["YY.*", "XX.*.*.HH?"])
    assert not STREAM.matches(["XX.*.*.EH?"])


@given(st.sampled_from([0.01, 1.0, 62.5, 100.0, 1e6]), sample_types, st.sampled_from("<>"), st.integers(0, 1000))
def test_a_packet_keeps_samples_of_every_type_and_order(rate: float, kind: SampleType, order: str, size: int) -> None:
    samples = np.arange(size).astype(kind.value)
    samples = samples if order == "<" else samples.astype(samples.dtype.newbyteorder(">"))
    packet = Packet(STREAM, 5, rate, samples)
    assert packet.sample_type is kind
    assert packet.sample_type.size_bytes == samples.itemsize
    assert packet.samples.tolist() == samples.tolist()
    assert packet.next_ns - packet.start_ns == round(size * 1e9 / rate)
    assert packet.end_ns == packet.start_ns + round((size - 1) * 1e9 / rate)


def test_samples_of_a_packet_cannot_be_changed_through_it() -> None:
    samples = np.zeros(3, "<i4")
    packet = Packet(STREAM, 0, 100.0, samples)
    with pytest.raises(ValueError, match="read-only"):
        packet.samples[0] = 1
    samples[0] = 1  # the owner's array stays the owner's


def test_a_change_makes_another_packet() -> None:
    packet = Packet(STREAM, 0, 100.0, np.zeros(3, "<i4"))
    assert packet.replace(start_ns=7).start_ns == 7
    assert packet.start_ns == 0
    with pytest.raises(InvalidValue):
        packet.replace(timing_quality=101)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_hz": 0.0},
        {"rate_hz": -1.0},
        {"rate_hz": float("nan")},
        {"rate_hz": float("inf")},
        {"samples": np.zeros((2, 2), "<i4")},
        {"samples": np.zeros(2, "<u4")},
        {"samples": np.zeros(2, "<i8")},
        {"timing_quality": 101},
        {"timing_quality": -1},
        {"start_ns": 0.5},
        {"stream": "XX.DEMO.00.HHZ"},
        {"samples": [1, 2]},
    ],
)
def test_a_packet_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"stream": STREAM, "start_ns": 0, "rate_hz": 1.0, "samples": np.zeros(2, "<i4")}
    with pytest.raises(InvalidValue):
        Packet(**(right | wrong))


def test_packets_are_equal_when_everything_in_them_is() -> None:
    packet = Packet(STREAM, 0, 100.0, np.array([1.0, np.nan], "<f4"))
    same = Packet(STREAM, 0, 100.0, np.array([1.0, np.nan], ">f4"))
    assert packet == same
    assert hash(packet) == hash(same)
    for other in (
        packet.replace(start_ns=1),
        packet.replace(samples=np.array([1.0, 2.0], "<f4")),
        packet.replace(samples=np.array([1.0, np.nan], "<f8")),
        packet.replace(samples=np.zeros(1, "<f4")),
        "a packet",
    ):
        assert packet != other
    assert Packet(STREAM, 0, 1.0, np.array([1], "i1")) == Packet(STREAM, 0, 1.0, np.array([1], "i1"))


def test_values_and_errors_survive_pickling() -> None:
    packet = Packet(STREAM, 0, 100.0, np.arange(3, dtype=">i2"), 80, 4, 9)
    assert pickle.loads(pickle.dumps(packet)) == packet
    error = pickle.loads(pickle.dumps(InvalidValue("no")))
    assert isinstance(error, RawdaqError)
    assert str(error) == "no"


def test_a_run_is_its_packets() -> None:
    samples = np.arange(6, dtype=">i2").reshape(3, 2)
    run = PacketRun(STREAM, [0, 20_000_000, 40_000_000], 100.0, samples, 90, received_ns=5).numbered(7)
    packets = list(run)
    assert len(run) == 3
    assert [packet.sequence for packet in packets] == [7, 8, 9]
    assert [packet.samples.tolist() for packet in packets] == [[0, 1], [2, 3], [4, 5]]
    assert {(packet.timing_quality, packet.received_ns) for packet in packets} == {(90, 5)}
    assert (run.start_ns, run.end_ns, run.next_ns) == (0, packets[-1].end_ns, packets[-1].next_ns)
    assert run.sample_type is SampleType.INT16


def test_numbering_changes_nothing_but_the_number() -> None:
    packet = Packet(STREAM, 5, 100.0, np.arange(3, dtype="<i4"), 80, 0, 9)
    assert packet.numbered(4) == packet.replace(sequence=4)


def test_a_packet_or_a_run_of_its_own_is_the_same_and_keeps_nothing_else_in_memory() -> None:
    table = np.arange(60, dtype=">i2").reshape(6, 10)
    table.flags.writeable = False
    packet = Packet(STREAM, 5, 100.0, table[0], 80, 4, 9)
    run = PacketRun(STREAM, [0, 30_000_000], 100.0, table[::3, 2:5], 90, 5, 7)
    own, own_run = packet.owned(), run.owned()
    assert own == packet
    assert (list(own_run), own_run.starts_ns) == (list(run), run.starts_ns)
    assert own_run.samples.base is None
    assert own.data.obj == table[0].tobytes()
    for samples in (own.samples, own_run.samples):
        assert samples.dtype == ">i2"
        assert not samples.flags.writeable


def test_trusted_packet_is_the_same_as_a_checked_one() -> None:
    samples = np.arange(3, dtype="<i4")
    samples.flags.writeable = False
    trusted = Packet.trusted(STREAM, 5, 100.0, samples.dtype, samples.view("u1").data, 90, 3, 7)
    assert trusted == Packet(STREAM, 5, 100.0, samples, 90, 3, 7)
    assert repr(trusted) == repr(Packet(STREAM, 5, 100.0, samples, 90, 3, 7))


def test_the_time_may_be_an_integer_of_numpy() -> None:
    assert type(Packet(STREAM, np.int64(5), 100.0, np.zeros(1, "<i4")).start_ns) is int  # type: ignore[arg-type]
