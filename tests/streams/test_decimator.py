import functools
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.packet import SampleType
from rawdaq.streams.decimator import (
    ATTENUATION_DB,
    MAX_FACTOR,
    PASSBAND,
    RIPPLE_DB,
    Decimator,
    Floats,
    cascade,
    refusal,
)
from tests.helpers import environment

# One stage and several, small primes and large ones, all orders of magnitude that are quick to look at as a whole.
FACTORS = (2, 3, 7, 10, 25, 97, 100, 1000, 4096)


@functools.cache
def whole_filter(factor: int) -> Floats:
    """Return the one filter that the cascade is, at the rate of the source."""
    whole = np.ones(1)
    step = 1
    for stage in cascade(factor):
        spread = np.zeros((stage.coefficients.size - 1) * step + 1)
        spread[::step] = stage.coefficients
        whole = np.convolve(whole, spread) if step == 1 else convolved(whole, spread)
        step *= stage.factor
    return whole


def convolved(left: Floats, right: Floats) -> Floats:
    """Return their convolution by Fourier transforms, which are quick."""
    size = left.size + right.size - 1
    return np.fft.irfft(np.fft.rfft(left, size) * np.fft.rfft(right, size), size)


def noise(kind: str, count: int) -> npt.NDArray[Any]:
    random = np.random.default_rng(1)
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return (random.standard_normal(count) * 1000).astype(dtype)
    limits = np.iinfo(dtype.newbyteorder("="))
    return random.integers(limits.min, limits.max, count, endpoint=True).astype(dtype)


def decimated(factor: int, samples: npt.NDArray[Any], cuts: list[int]) -> Floats:
    decimator = Decimator(factor)
    outputs = np.concatenate([decimator.push(part) for part in np.split(samples, sorted(cuts))])
    assert decimator.count == outputs.size
    return outputs


@pytest.mark.parametrize("factor", FACTORS)
def test_the_passband_is_flat_and_what_would_be_folded_back_is_gone(factor: int) -> None:
    whole = whole_filter(factor)
    size = 1 << int(np.ceil(np.log2(16 * whole.size)))  # 16 points between two independent frequencies
    response = np.abs(np.fft.rfft(whole, size))
    frequencies = np.fft.rfftfreq(size) * 2 * factor  # in units of the new Nyquist frequency
    passed = 20 * np.log10(response[frequencies <= PASSBAND])
    assert np.abs(passed).max() < RIPPLE_DB
    assert response[frequencies >= 1].max() < 10 ** (-ATTENUATION_DB / 20)


@pytest.mark.parametrize("factor", [*FACTORS, 720_720, 1_000_000, MAX_FACTOR, 2**23])
def test_every_filter_is_symmetric_about_a_sample_and_small(factor: int) -> None:
    stages = cascade(factor)
    assert np.prod([stage.factor for stage in stages]) == factor
    for stage in stages:
        assert stage.coefficients.size % 2 == 1
        assert np.allclose(stage.coefficients, stage.coefficients[::-1], rtol=0, atol=1e-16)
    assert sum(stage.coefficients.size for stage in stages) < 10_000


def test_a_factor_of_many_thousands_keeps_a_constant() -> None:
    decimator = Decimator(100_000)
    block = np.full(100_000, -12_345, "<i2")
    outputs = np.concatenate([decimator.push(block) for _ in range(100)])
    # One filter is 90 outputs long, and those that would see less than that do not come.
    assert outputs.size == (10_000_000 - 2 * decimator.delay - 1) // 100_000 + 1
    assert np.allclose(outputs, -12_345, rtol=1e-5)


@pytest.mark.parametrize("kind", [order + np.dtype(kind.value).str[1:] for kind in SampleType for order in "<>"])
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_however_the_samples_are_cut_the_outputs_are_the_same_to_the_last_bit(kind: str, data: Any) -> None:
    factor = data.draw(st.sampled_from([2, 3, 10, 50, 97]))
    samples = noise(kind, data.draw(st.integers(0, 20_000)))
    cuts = data.draw(st.lists(st.integers(0, samples.size), max_size=60))
    ones = data.draw(st.integers(0, samples.size))
    cuts += range(ones, min(ones + 300, samples.size))  # chunks of one sample
    assert np.array_equal(decimated(factor, samples, cuts), decimated(factor, samples, []))


@given(factor=st.sampled_from([2, 5, 10, 30, 100, 1000]), outputs=st.integers(0, 50), kind=st.sampled_from(SampleType))
@settings(deadline=None, max_examples=50)
def test_the_outputs_are_those_of_a_plain_convolution_that_see_real_samples_only(
    factor: int, outputs: int, kind: SampleType
) -> None:
    whole = whole_filter(factor)
    samples = noise(kind.value, whole.size - 1 + outputs * factor)
    got = decimated(factor, samples, [samples.size // 3])
    expected = convolved(samples.astype(np.float64), whole)[whole.size - 1 : samples.size : factor]
    assert got.size == expected.size == outputs
    assert np.allclose(got, expected, rtol=0, atol=1e-9 * float(np.abs(samples.astype(np.float64)).max(initial=1)))


@pytest.mark.parametrize("factor", [2, 10, 1000])
@pytest.mark.parametrize("part", [0.01, 0.4, 0.79])
def test_a_sine_keeps_its_amplitude_and_its_place_in_time(factor: int, part: float) -> None:
    decimator = Decimator(factor)
    phase = np.pi * part / factor
    samples = 1e6 * np.sin(phase * np.arange(2 * decimator.delay + 200 * factor))
    outputs = decimator.push(samples)
    belonging = decimator.delay + factor * np.arange(outputs.size)
    assert np.allclose(outputs, 1e6 * np.sin(phase * belonging), rtol=0, atol=1e6 * 1.2e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_spoils_the_outputs_whose_filter_it_lies_in_and_no_other(bad: float) -> None:
    factor, length = 10, whole_filter(10).size
    samples = noise("<f8", length + 10_000)
    place = length + 4000
    clean = decimated(factor, samples, [])
    samples[place] = bad
    spoiled = decimated(factor, samples, [place, place + 1])
    begins = factor * np.arange(clean.size)
    is_touched = (begins <= place) & (place < begins + length)
    assert np.array_equal(spoiled[~is_touched], clean[~is_touched])
    assert not np.isfinite(spoiled[is_touched]).any()
    assert is_touched.any()


def test_memory_is_bounded_whatever_the_chunks() -> None:
    decimator = Decimator(100)
    for samples in (np.zeros(1, "<i2"), np.zeros(1_000_000, "<i2")):
        for _ in range(20):
            decimator.push(samples)
    assert sum(each._buffer.nbytes for each in decimator._filters) < 1_000_000


@pytest.mark.parametrize("factor", [-1, 0, 1, MAX_FACTOR + 1, 101, 2 * 103])
def test_an_impossible_factor_is_refused_with_the_reason(factor: int) -> None:
    with pytest.raises(InvalidValue, match="the rate cannot be divided by"):
        Decimator(factor)
    assert str(factor) in str(refusal(factor))


def test_scipy_is_not_loaded_before_a_filter_is_made() -> None:
    code = (
        "import sys, rawdaq.station, rawdaq.receivers.raw_tcp, rawdaq.streams.decimation as p\n"
        "assert 'scipy' not in sys.modules\n"
        "p.Decimation({}, None).open()\n"
        "assert 'scipy.signal' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
