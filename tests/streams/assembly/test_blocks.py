"""Packets of any length become blocks of aligned samples."""

import functools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.streams.assembly.assembly import Assembly
from rawdaq.streams.assembly.blocks import Block, Grid, StreamRefused, filled_rows
from rawdaq.streams.assembly.values import Readout, Rules
from rawdaq.times import NS_PER_S
from tests.streams.assembly.networks import check_identity

STREAM = StreamId.parse("XX.A1.00.HHZ")
BEGIN_NS = 1_790_000_000 * NS_PER_S
RATE_HZ = 10.0
RULES = Rules(slots=2, window_ns=1, max_wait_ns=3 * NS_PER_S, span_ns=None, step_ns=60 * NS_PER_S)


def packet(first: int, count: int, slot: int = 0, off_ns: int = 0, rate_hz: float = RATE_HZ) -> Packet:
    """Return samples that count up from *first*."""
    start_ns = BEGIN_NS + round(first * NS_PER_S / rate_hz) + off_ns
    samples = np.arange(first, first + count, dtype="int32") + 1000 * slot
    return Packet(STREAM, start_ns, rate_hz, samples, received_ns=5)


class Feed:
    """An assembly of blocks of a second."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.grid = Grid(NS_PER_S, 0.1)
        self.assembly = Assembly(rules, functools.partial(Block, self.grid))
        self.readouts: list[Readout] = []

    def add(self, first: int, count: int, slot: int = 0, **changes: int) -> None:
        at_ns = round((first + count) * NS_PER_S / RATE_HZ)
        for part in self.grid.pieces(slot, packet(first, count, slot, **changes)):
            self.readouts += self.assembly.add(part, at_ns)
        check_identity(self.assembly)

    def block(self, index: int) -> tuple[list[int], list[list[float]]]:
        filled, rows = filled_rows(list(self.readouts[index].rows))
        return filled, rows.tolist()


def row(first: int, slot: int = 0, absent: Sequence[int] = ()) -> list[float]:
    return [np.nan if first + index in absent else first + index + 1000 * slot for index in range(10)]


@given(st.lists(st.integers(1, 25), min_size=1, max_size=8), st.lists(st.integers(1, 25), min_size=1, max_size=8))
def test_packets_of_any_length_give_the_same_blocks(first: list[int], second: list[int]) -> None:
    feed = Feed()
    for slot, lengths in enumerate((first, second)):
        at = 0
        for length in lengths:
            feed.add(at, length, slot)
            at += length
    full = min(sum(first), sum(second)) // 10
    assert [each.reason.value for each in feed.readouts] == ["complete"] * full
    for index in range(full):
        assert feed.block(index) == ([10, 10], [row(10 * index), row(10 * index, 1)])
        assert feed.readouts[index].time_ns == BEGIN_NS + (index + 1) * NS_PER_S


def test_a_gap_is_nan_and_said() -> None:
    feed = Feed()
    feed.add(0, 10, 1)
    feed.add(0, 4)
    feed.add(7, 13)
    feed.add(10, 20, 1)
    feed.add(20, 10)
    assert feed.readouts == []  # the missing ones may still come
    feed.readouts += feed.assembly.due(10 * NS_PER_S)
    assert [each.reason.value for each in feed.readouts] == ["timer", "complete", "complete"]
    filled, rows = feed.block(0)
    assert filled == [7, 10]
    assert np.array_equal(rows[0], row(0, 0, (4, 5, 6)), equal_nan=True)


def test_packets_in_any_order_fill_a_row() -> None:
    feed = Feed()
    feed.add(0, 10, 1)
    feed.add(6, 4)
    feed.add(0, 3)
    feed.add(3, 3)
    assert feed.block(0) == ([10, 10], [row(0), row(0, 1)])


@pytest.mark.parametrize("keeps_last", [False, True])
def test_samples_that_come_twice_are_copies_or_conflicts(keeps_last: bool) -> None:
    rules = Rules(slots=2, window_ns=1, step_ns=60 * NS_PER_S, keeps_last=keeps_last)
    feed = Feed(rules)
    feed.add(0, 6)
    feed.add(2, 3)
    for part in feed.grid.pieces(0, packet(500, 3, off_ns=-50 * NS_PER_S)):  # other samples for 0 to 2
        feed.assembly.add(part, NS_PER_S)
    feed.add(4, 6)
    feed.add(0, 10, 1)
    sender = feed.assembly.senders[0]
    assert (sender.copies, sender.conflicts, sender.in_readouts) == (1, 1, 2)
    filled, rows = feed.block(0)
    assert filled == [10, 10]
    assert rows[0] == ([500.0, 501.0, 502.0, *row(0)[3:]] if keeps_last else row(0))


@pytest.mark.parametrize(
    ("off", "is_right"), [(0.09, True), (-0.09, True), (0.11, False), (-0.11, False), (0.5, False)]
)
def test_samples_beside_the_grid_are_refused_by_name(off: float, is_right: bool) -> None:
    grid = Grid(NS_PER_S, 0.1)
    off_ns = round(off * NS_PER_S / RATE_HZ)
    if is_right:
        assert [part.at_ns for part in grid.pieces(0, packet(0, 10, off_ns=off_ns))] == [BEGIN_NS + NS_PER_S]
    else:
        with pytest.raises(StreamRefused, match=r"XX.A1.00.HHZ: samples lie .* beside the grid"):
            list(grid.pieces(0, packet(0, 10, off_ns=off_ns)))


def test_a_sample_just_before_a_block_belongs_to_it() -> None:
    grid = Grid(NS_PER_S, 0.1)
    (part,) = grid.pieces(0, packet(10, 3, off_ns=-1000))
    assert (part.at_ns, part.data[:4]) == (BEGIN_NS + 2 * NS_PER_S, bytes(4))


def test_all_rows_have_one_rate() -> None:
    grid = Grid(NS_PER_S, 0.1)
    list(grid.pieces(0, packet(0, 10)))
    with pytest.raises(StreamRefused, match="has 20 Hz, the others 10 Hz"):
        list(grid.pieces(1, packet(0, 10, rate_hz=20.0)))
    with pytest.raises(StreamRefused, match="has 10 Hz, the others 5 Hz"):
        list(Grid(NS_PER_S, 0.1, 5.0).pieces(0, packet(0, 10)))


@pytest.mark.parametrize(("rate_hz", "block_s", "size"), [(62.5, 2, 125), (62.5, 1, 0), (0.5, 1, 0), (1 / 3, 3, 1)])
def test_a_block_has_whole_samples(rate_hz: float, block_s: int, size: int) -> None:
    grid = Grid(block_s * NS_PER_S, 0.5)
    if size:
        list(grid.pieces(0, packet(0, 3, rate_hz=rate_hz)))
        assert grid.size == size
    else:
        with pytest.raises(StreamRefused, match="choose block_s"):
            list(grid.pieces(0, packet(0, 3, rate_hz=rate_hz)))
