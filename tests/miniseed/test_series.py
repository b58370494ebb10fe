"""Records made the quick way are those of libmseed, and do not depend on how their samples arrived."""

import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obspy import read

from rawdaq.miniseed.format import Encoding, RecordRun
from rawdaq.miniseed.maker import RecordFormat, RecordMaker
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import from_calendar, sample_time
from tests.makers import START_NS, STREAM
from tests.record_makers import values
from tests.walks import LENGTHS, SEEDS, STRETCHES, walk


def made(
    samples: npt.NDArray[Any], sizes: Sequence[int], record_format: RecordFormat, quality: int | None = 80
) -> list[RecordRun]:
    """Return the records of packets of *sizes*, again and again."""
    maker, out, begin = RecordMaker(record_format), list[RecordRun](), 0
    while begin < samples.size:
        size = sizes[begin % len(sizes)]
        part = samples[begin : begin + size]
        out += maker.add([Packet(STREAM, sample_time(START_NS, begin, 100.0), 100.0, part, quality)], 0)
        begin += size
    return out + maker.flush()


def joined(runs: list[RecordRun]) -> tuple[bytes, list[int]]:
    return b"".join(run.data for run in runs), [start for run in runs for start in run.starts_ns]


@given(STRETCHES, SEEDS, st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_records_are_the_same_however_the_samples_are_cut(
    stretches: list[tuple[int, int]], seed: int, sizes: list[int]
) -> None:
    samples = walk(stretches, seed)
    cut, whole = (made(samples, each, RecordFormat()) for each in (sizes, [samples.size]))
    assert joined(cut) == joined(whole)


@given(STRETCHES, SEEDS, st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_steps_that_do_not_fit_cost_no_sample_however_the_samples_are_cut(
    stretches: list[tuple[int, int]], seed: int, sizes: list[int]
) -> None:
    # How many samples a fallback holds does depend on the cut: libmseed cannot tell when a record is full.
    samples = walk(stretches, seed, is_steep=True)
    records = [record for run in made(samples, sizes, RecordFormat()) for record in run]
    np.testing.assert_array_equal(values(records), samples)
    begins = [0, *itertools.accumulate(record.sample_count for record in records)][:-1]
    assert [record.start_ns for record in records] == [sample_time(START_NS, begin, 100.0) for begin in begins]


def both(samples: npt.NDArray[Any], record_format: RecordFormat, quality: int | None) -> list[tuple[bytes, list[int]]]:
    """Return what is made the quick way, and what libmseed makes."""
    ours = made(samples, [samples.size], record_format, quality)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdaq.miniseed.series.steim2", None)
        theirs = made(samples, [samples.size], record_format, quality)
    return [joined(ours), joined(theirs)]


@given(STRETCHES, SEEDS, st.booleans(), LENGTHS, st.sampled_from([None, 0, 80]))
def test_compressed_records_are_those_of_libmseed(
    stretches: list[tuple[int, int]], seed: int, is_steep: bool, length_bytes: int, quality: int | None
) -> None:
    ours, theirs = both(walk(stretches, seed, is_steep), RecordFormat(length_bytes=length_bytes), quality)
    assert ours == theirs


@given(STRETCHES, SEEDS, LENGTHS, st.sampled_from(["int32", "float32", "float64"]), st.sampled_from([0, 80]))
def test_plain_records_are_those_of_libmseed(
    stretches: list[tuple[int, int]], seed: int, length_bytes: int, kind: str, quality: int
) -> None:
    samples = walk(stretches, seed).astype(kind)
    ours, theirs = both(samples, RecordFormat(length_bytes=length_bytes, encoding=Encoding(kind)), quality)
    assert ours == theirs


def test_plain_records_without_a_timing_quality_hold_what_was_sent() -> None:
    samples = np.linspace(-1, 1, 3000, dtype=np.float32)
    for rate_hz in (100.0, 333.333):
        packet = Packet(STREAM, START_NS, rate_hz, samples)
        data = RecordMaker(RecordFormat(flush_after_s=0)).add([packet], 0)[0].data
        (trace,) = read(io.BytesIO(data), format="MSEED")
        np.testing.assert_array_equal(trace.data, samples)
        assert trace.stats.starttime.ns == START_NS


TIMES = [
    0,
    from_calendar(1970, 1, 0, 0, 0),
    from_calendar(2000, 60, 23, 59, 59, 999_949_500),
    from_calendar(2000, 366, 23, 59, 59, 999_999_499),
    from_calendar(1900, 365, 23, 59, 59, 999_999_500),
    from_calendar(2100, 60, 12, 0, 0, 49_500),
    from_calendar(1678, 2, 0, 0, 0, 50_500),
    from_calendar(2261, 365, 1, 2, 3, 456_789_012),
]


@given(st.one_of(st.sampled_from(TIMES), st.integers(min(TIMES), max(TIMES))), st.sampled_from([0, 37, 100]))
@pytest.mark.parametrize("rate_hz", [100.0, 333.333, 1 / 60, 40_000.0])
def test_headers_are_those_of_libmseed(rate_hz: float, start_ns: int, quality: int) -> None:
    samples = walk([(700, 9)], 1)
    packet = Packet(STREAM, start_ns, rate_hz, samples, quality)
    ours = RecordMaker(RecordFormat(flush_after_s=0)).add([packet], 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdaq.miniseed.series.steim2", None)
        theirs = RecordMaker(RecordFormat(flush_after_s=0)).add([packet], 0)
    assert joined(ours) == joined(theirs)


def test_a_stream_without_blockette_100_and_one_with_it_count_their_blockettes() -> None:
    chains = {100.0: [1000, 1001], 333.333: [1000, 1001, 100]}
    for rate_hz, chain in chains.items():
        packet = Packet(StreamId("XX", "A", "", "HHZ"), START_NS, rate_hz, np.arange(9, dtype=np.int32), 80)
        data = RecordMaker(RecordFormat(flush_after_s=0)).add([packet], 0)[0].data
        found, at = list[int](), 48
        while at:
            found.append(int.from_bytes(data[at : at + 2]))
            at = int.from_bytes(data[at + 2 : at + 4])
        assert found == chain
        assert data[39] == len(chain)
