"""The ratio is ObsPy's, and the band-pass is, whatever pieces the signal comes in."""

from importlib import import_module
from typing import Any

import numpy as np
import obspy
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rawdaq.streams.decimator import Floats
from rawdaq.streams.trigger.sta_lta import BandPass, StaLta


def signal(samples: int, seed: int = 1) -> Floats:
    """Return noise with bursts, as counts of a digitizer."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 50, samples)
    for begin in range(samples // 3, samples, max(1, samples // 5)):
        values[begin : begin + 400] *= 20
    return np.rint(values)


def in_pieces(filtering: StaLta | BandPass, values: Floats, sizes: list[int]) -> Floats:
    pieces: list[Floats] = []
    at = index = 0
    while at < values.size:
        size = sizes[index % len(sizes)]
        pieces.append(filtering.push(values[at : at + size]))
        at, index = at + size, index + 1
    return np.concatenate(pieces)


def obspys(values: Floats, sta: int, lta: int) -> Any:
    triggers: Any = import_module("obspy.signal.trigger")  # here, as it takes a second of whoever collects the tests
    return triggers.recursive_sta_lta(values, sta, lta)


def obspys_band(values: Floats) -> Any:
    whole = obspy.Trace(values, {"sampling_rate": 50.0})
    return whole.filter("bandpass", freqmin=1.0, freqmax=8.0, corners=4).data


def test_hours_in_any_pieces_are_as_obspy_has_it_on_the_whole() -> None:
    values = signal(3 * 3600 * 20)
    sizes = np.random.default_rng(3).integers(0, 5000, 100).tolist()
    ratios = in_pieces(StaLta(10, 600), values, sizes)
    assert np.allclose(ratios, obspys(values, 10, 600), rtol=1e-12, atol=0)
    assert ratios.max() > 5


@given(
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=200),
    st.lists(st.integers(0, 30), min_size=1, max_size=20).filter(any),
    st.integers(1, 10),
    st.integers(1, 40),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_pieces_make_no_difference_to_a_bit(values: list[int], sizes: list[int], sta: int, more: int) -> None:
    samples, lta = np.array(values, float), sta + more
    whole = StaLta(sta, lta).push(samples)
    assert np.array_equal(in_pieces(StaLta(sta, lta), samples, sizes), whole)
    if samples.size > lta:  # of less, ObsPy has ratios all the same
        expected = np.nan_to_num(obspys(samples, sta, lta), nan=0.0)  # of zeros alone it divides none by none
        assert np.allclose(whole, expected, rtol=1e-12, atol=0)


def test_the_first_ratios_count_as_nothing() -> None:
    ratios = StaLta(2, 50).push(signal(100))
    assert not ratios[:50].any()
    assert ratios[50:].all()
    assert StaLta(2, 50).push(np.empty(0)).size == 0


def test_silence_is_no_event() -> None:
    assert not StaLta(2, 50).push(np.zeros(100_000)).any()


@pytest.mark.parametrize("sizes", [[1], [7, 0, 300], [10_000]])
def test_the_band_is_obspys_and_an_offset_leaves_no_transient(sizes: list[int]) -> None:
    values = signal(3000) + 1e6
    filtered = in_pieces(BandPass(1.0, 8.0, 50.0), values, sizes)
    assert np.allclose(filtered, obspys_band(values - values[0]), rtol=1e-12, atol=1e-7)
    assert not BandPass(1.0, 8.0, 50.0).push(np.full(1000, 1e6)).any()
