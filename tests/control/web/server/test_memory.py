"""The memory of a stream: samples and columns, whatever comes, are where they belong and nowhere else."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.control.web.live.blocks import HEADER, block, drawn_type
from rawdaq.control.web.live.samples import SampleRing
from rawdaq.control.web.live.track import StreamMemory
from rawdaq.packet import Packet
from tests.control.machine.columns import expected
from tests.control.web.server.messages import parsed
from tests.makers import START_NS, STREAM, packet


def ring(capacity: int = 100, rate_hz: float = 100.0) -> SampleRing:
    return SampleRing(rate_hz, np.dtype("i4"), capacity)


def runs(kept: SampleRing, begin: int = 0, end: int = 1 << 40) -> list[tuple[int, list[int]]]:
    return [(run.start_ns - START_NS, run.values.tolist()) for run in kept.runs(begin, end)]


def test_samples_that_follow_are_one_run() -> None:
    kept = ring()
    kept.add(START_NS, np.arange(3))
    kept.add(START_NS + 30_000_000, np.arange(3, 5))
    assert runs(kept) == [(0, [0, 1, 2, 3, 4])]
    assert runs(kept, 2, 4) == [(20_000_000, [2, 3])]


def test_a_gap_an_overlap_and_late_samples_begin_runs() -> None:
    kept = ring()
    for second, values in ((0, [1, 2]), (5, [3, 4]), (2, [5]), (5, [6])):
        kept.add(START_NS + second * 10**9, np.array(values))
    assert runs(kept) == [(0, [1, 2]), (5 * 10**9, [3, 4]), (2 * 10**9, [5]), (5 * 10**9, [6])]


def test_the_array_is_written_round_and_round() -> None:
    kept = ring(10)
    for index in range(7):
        kept.add(START_NS + index * 40_000_000, np.arange(index * 4, index * 4 + 4))
    assert (kept.count, kept.oldest) == (28, 18)
    assert runs(kept) == [(180_000_000, [18, 19]), (200_000_000, [20, 21, 22, 23, 24, 25, 26, 27])]
    kept.add(START_NS + 280_000_000, np.arange(28, 60))  # more than all that is kept
    assert [value for _, values in runs(kept) for value in values] == list(range(50, 60))
    assert runs(kept)[0][0] == 500_000_000


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 25)), min_size=1, max_size=30))
@settings(max_examples=60)
def test_each_kept_sample_has_its_time(packets: list[tuple[int, int]]) -> None:
    """Whatever comes when: the last samples are there, at their times."""
    kept = ring(40)
    want: list[tuple[int, int]] = []
    for number, (at, size) in enumerate(packets):
        values = np.arange(number * 100, number * 100 + size)
        kept.add(START_NS + at * 10_000_000, values)
        want += [(at * 10_000_000 + index * 10_000_000, int(value)) for index, value in enumerate(values)]
    got = [(start + index * 10_000_000, value) for start, values in runs(kept) for index, value in enumerate(values)]
    assert got == want[-40:][-len(got) :]
    assert len(got) == min(40, len(want))


def test_since_finds_the_first_sample_that_is_not_older() -> None:
    kept = ring()
    kept.add(START_NS, np.arange(10))
    kept.add(START_NS + 10**9, np.arange(10, 20))
    for after_ns, number in (
        (-5, 0),
        (0, 0),
        (1, 1),
        (10_000_000, 1),
        (91_000_000, 10),
        (1_050_000_000, 15),
        (9**11, 20),
    ):
        assert kept.since(START_NS + after_ns) == number


def test_a_block_is_what_the_page_reads() -> None:
    made = block(7, 1_796_000_000_123_456_789, 100.0, np.array([1, -2], "i4"))
    assert len(made) == HEADER.size + 8
    i, n, first_ms, per_s = struct.unpack_from("<IIdd", made)
    assert (i, n, per_s) == (7, 2, 100.0)
    assert first_ms == pytest.approx(1_796_000_000_123.456789, abs=0.0005)
    assert np.frombuffer(made, "<i4", offset=24).tolist() == [1, -2]
    assert drawn_type("int16") == np.dtype("i4")
    assert drawn_type("float64") == np.dtype("f4")


@pytest.mark.parametrize(
    ("rate_hz", "asked_ms", "kind"),
    [(100, 40, "samples"), (100, 80, "columns"), (500, 10, "columns"), (400, 10, "samples"), (501, 1, "columns")],
)
def test_many_samples_a_column_are_sent_as_columns(rate_hz: float, asked_ms: float, kind: str) -> None:
    memory = StreamMemory(STREAM, rate_hz, "int32", 10.0)
    assert memory.track(memory.width_ms(asked_ms), 1).about.kind == kind


@pytest.mark.parametrize("rate_hz", [100.0, 1000.0])
@pytest.mark.parametrize("asked_ms", [10.0, 160.0])
def test_past_and_live_have_no_seam(rate_hz: float, asked_ms: float) -> None:
    """All that came is in the past or in what is taken later; of samples each once."""
    memory = StreamMemory(STREAM, rate_hz, "int32", 30.0)
    size = int(rate_hz / 10)
    sent = [packet(index, size, rate_hz=rate_hz, sequence=index) for index in range(40)]
    for each in sent[:17]:
        assert memory.add(each)
    track = memory.track(memory.width_ms(asked_ms), 3)
    past = track.past(START_NS)
    parts: list[bytes] = []
    for each in sent[17:30]:
        memory.add(each)
    parts += past.blocks()
    parts.append(track.take())
    for each in sent[30:]:
        memory.add(each)
        assert not memory.add(each)  # as when two subscribers overlap
    parts.append(track.take())
    got = parsed(b"".join(parts), {3: track.about})[3]
    if track.about.kind == "samples":
        assert [value for _, _, values in got for value in values.tolist()] == list(range(40 * size))
        assert next(start for start, _, _ in got) == START_NS / 1e6
    else:
        columns: dict[int, tuple[float, float]] = {}
        width_ms = track.about.column_ms or 0
        for first_ms, _, values in got:
            for index, (low, high) in enumerate(values):
                key = round(first_ms / width_ms) + index
                before = columns.get(key, (math.inf, -math.inf))
                columns[key] = min(before[0], float(low)), max(before[1], float(high))
        samples = np.concatenate([each.samples for each in sent])
        assert columns == expected(START_NS, rate_hz, samples, width_ms * 1_000_000)
    assert past.lost_s() == 0


@pytest.mark.parametrize("asked_ms", [10.0, 160.0])
def test_a_past_that_is_overwritten_before_it_is_read_says_so(asked_ms: float) -> None:
    memory = StreamMemory(STREAM, 100.0, "int32", 10.0)
    for index in range(10):
        memory.add(packet(index))
    past = memory.track(memory.width_ms(asked_ms), 0).past(START_NS)
    for index in range(10, 15):
        memory.add(packet(index))
    assert list(past.blocks())
    assert past.lost_s() == pytest.approx(5.0, abs=0.2)


def test_another_rate_or_type_does_not_fit() -> None:
    memory = StreamMemory(STREAM, 100.0, "int32", 10.0)
    floats = Packet(STREAM, START_NS, 100.0, np.zeros(3, "f4"))
    assert memory.fits(packet())
    assert not memory.fits(packet(rate_hz=50.0))
    assert not memory.fits(floats)
    assert memory.runs(START_NS) == []
    memory.add(packet())
    assert [len(run.values) for run in memory.runs(START_NS + 500_000_000)] == [50]
