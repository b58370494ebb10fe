"""Counters of devices: losses, copies, late messages, new beginnings, and the end of their bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.events.counters import Counter


@pytest.mark.parametrize(
    ("bits", "values", "missed", "backwards"),
    [
        (32, [5, 6, 7], 0, 0),
        (32, [5, 9], 3, 0),
        (32, [5, 5], 0, 1),
        (32, [1_000_000, 0, 1, 2], 0, 0),
        (32, [1_000_000, 3, 4, 5], 0, 1),
        (32, [5, 7, 6, 8, 9], 1, 1),
        (32, [5, 8, 6, 7, 9], 2, 1),
        (32, [5, 9, 7, 6, 10], 3, 2),
        (32, [5, 9, 7, 12], 3 + 4, 1),
        (8, [254, 255, 0, 1], 0, 0),
        (8, [254, 1], 2, 0),
        (8, [254, 100], 0, 1),
        (64, [2**64 - 1, 0], 0, 0),
        (64, [2**64 - 1, 1], 1, 0),
    ],
)
def test_jumps_are_told(bits: int, values: list[int], missed: int, backwards: int) -> None:
    counter = Counter(bits)
    jumps = [counter.step(value) for value in values]
    assert (counter.missed, counter.backwards) == (missed, backwards)
    assert (sum(jump.missed for jump in jumps), sum(jump.backwards for jump in jumps)) == (missed, backwards)


@given(st.integers(0, 2**16), st.lists(st.booleans(), max_size=200))
def test_whatever_is_lost_on_the_way_is_counted(first: int, arrives: list[bool]) -> None:
    counter, received = Counter(64), [first]
    counter.step(first)
    for index, is_there in enumerate(arrives):
        if is_there:
            received.append(first + 1 + index)
            counter.step(received[-1])
    assert counter.missed == received[-1] - first + 1 - len(received)
    assert counter.backwards == 0
