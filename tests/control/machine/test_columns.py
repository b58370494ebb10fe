"""Columns have the extremes of the samples in them, whatever comes, and nothing else."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.control.machine.columns import ColumnRing, Extremes, coarser, column_ms, extremes
from tests.control.machine.columns import expected
from tests.makers import START_NS

RATES = st.sampled_from([0.1, 1.0, 3.3, 20.0, 100.0, 250.0, 1000.0, 1e6])
WIDTHS_MS = st.sampled_from([10, 20, 160, 1280])


def filled(found: Extremes) -> dict[int, tuple[float, float]]:
    return {
        found.first + index: (float(low), float(high))
        for index, (low, high) in enumerate(found.values)
        if not math.isnan(low)
    }


@given(RATES, WIDTHS_MS, st.integers(0, 10**10), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=300))
@settings(max_examples=60)
def test_columns_are_those_of_each_sample(rate_hz: float, width_ms: int, later_ns: int, values: list[int]) -> None:
    width_ns = width_ms * 1_000_000
    samples = np.array(values, "i4")
    found = extremes(START_NS + later_ns, rate_hz, samples, width_ns)
    assert filled(found) == expected(START_NS + later_ns, rate_hz, samples, width_ns)


@given(st.integers(0, 100), st.integers(1, 60), st.integers(1, 16), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_coarser_columns_are_those_of_the_samples(first: int, count: int, factor: int, random: Any) -> None:
    values = np.array([(low := random.uniform(-9, 9), low + random.uniform(0, 9)) for _ in range(count)], "f4")
    found = filled(coarser(Extremes(first, values), factor))
    for column, (low, high) in found.items():
        members = [index for index in range(count) if (first + index) // factor == column]
        assert (low, high) == (values[members, 0].min(), values[members, 1].max())
    assert set(found) == {(first + index) // factor for index in range(count)}


def test_not_a_number_empties_no_column_that_has_others() -> None:
    found = extremes(0, 100.0, np.array([np.nan, 1.0, 2.0, np.nan]), 20_000_000)
    assert filled(found) == {0: (1.0, 1.0), 1: (2.0, 2.0)}
    assert np.isinf(extremes(0, 100.0, np.array([1e300]), 20_000_000).values).all()


@pytest.mark.parametrize(("asked", "made"), [(1, 10), (10, 10), (19.9, 10), (20, 20), (160, 160), (1e9, 10 << 18)])
def test_widths_are_shared(asked: float, made: int) -> None:
    assert column_ms(asked) == made


def test_columns_of_long_ago_are_forgotten_and_late_ones_merged() -> None:
    kept = ColumnRing(10, 5)
    base = START_NS // 10_000_000
    for column in (0, 1, 3, 4):
        kept.merge(Extremes(base + column, np.array([[column, column]], "f4")))
    assert filled(found(kept)) == {base + each: (float(each), float(each)) for each in (0, 1, 3, 4)}
    kept.merge(Extremes(base + 3, np.array([[-7, 2]], "f4")))
    assert filled(found(kept))[base + 3] == (-7.0, 3.0)
    kept.merge(Extremes(base + 6, np.array([[6, 6]], "f4")))
    kept.merge(Extremes(base, np.array([[0, 0]], "f4")))  # too late
    assert set(filled(found(kept))) == {base + each for each in (3, 4, 6)}
    kept.merge(Extremes(base + 100, np.array([[1, 1]], "f4")))
    assert set(filled(found(kept))) == {base + 100}


def found(kept: ColumnRing) -> Extremes:
    made = kept.read(0, 1 << 60)
    assert made is not None
    return made
