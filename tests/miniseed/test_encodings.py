"""Samples of every type and size come back as they were, in the encoding that was asked for where it holds them."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymseed import DataEncoding

from rawdaq.miniseed.maker import Encoding, RecordFormat
from rawdaq.packet import Packet, SampleType
from tests.makers import START_NS, STREAM
from tests.record_makers import NOISE, RecordMaker, encodings, make, obspy_read, packets, values

pytestmark = pytest.mark.usefixtures("each_encoder")


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


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_the_first_packet_of_a_stream_may_be_of_any_type_at_one_hertz(dtype: str) -> None:
    maker = RecordMaker(RecordFormat())
    maker.add([Packet(STREAM, START_NS, 1.0, np.arange(5, dtype=dtype))], 0)
    assert [record.sample_count for record in maker.flush()] == [5]
    assert maker.counts[STREAM].refused == 0
