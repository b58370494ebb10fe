"""Decimates samples with anti-alias filters in stages; the result does not depend on how the samples are cut.

The only module that imports scipy, and only when a `Decimator` is built; see ``docs/decisions/decimation.md``.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.packet import Samples

Floats = npt.NDArray[np.float64]

#: Up to this part of the new Nyquist frequency the response is flat: the usual choice of digitizers.
PASSBAND = 0.8
#: The highest change of the level in the passband.
RIPPLE_DB = 0.001
#: Everything above the new Nyquist frequency, where it would alias, is attenuated by this: the dynamic range of a good
#: 24-bit digitizer.
ATTENUATION_DB = 120.0

MAX_FACTOR = 10_000_000
#: A prime factor is a stage of its own; a larger one would need a filter that is too long to be fast.
MAX_PRIME = 100

_DESIGN_DB = 123.0  # Kaiser's formula for the length is good to a decibel or two
_BLOCK = 16_384  # samples filtered in one go: they fit into the processor's second cache
_COPY_COST = 4.0  # of a sample, in multiplications (measured, as is the next)
_CALL_COST = 10_000.0
_USUAL_CHUNK = 4096


class _Stage(NamedTuple):
    """One filter of a cascade, which keeps each *factor*-th sample of its output."""

    factor: int
    coefficients: Floats


def load() -> Any:
    """Return the part of scipy that the filters need; the first time costs most of a second, and 75 MB that stay."""
    from scipy import signal

    return signal


def _factors(number: int) -> list[int]:
    """Return the prime factors of *number*, in order; those above `MAX_PRIME` as their product."""
    found: list[int] = []
    prime = 2
    while number > 1 and prime <= MAX_PRIME:
        if number % prime:
            prime += 1
        else:
            found.append(prime)
            number //= prime
    return found + [number] * (number > 1)


def refusal(factor: int) -> str | None:
    """Return why nothing can be decimated by *factor*, None when it can.

    >>> refusal(202)
    'the rate cannot be divided by 202: its factor 101 is above 100'
    """
    if not 2 <= factor <= MAX_FACTOR:
        return f"the rate cannot be divided by {factor}, only by 2 to {MAX_FACTOR}"
    largest = _factors(factor)[-1]
    if largest > MAX_PRIME:
        return f"the rate cannot be divided by {factor}: its factor {largest} is above {MAX_PRIME}"
    return None


def _transition(done: int, factor: int, total: int) -> tuple[float, float]:
    """Return where a stage's passband ends and its stopband begins, in units of its own Nyquist frequency.

    A stage stops only what would alias to below the last Nyquist frequency: the later stages stop the rest.
    """
    edge = done / total
    return PASSBAND * edge, 2 / factor - edge


def _half_length(done: int, factor: int, total: int) -> int:
    """Return how many output samples the half of a stage's filter spans; Kaiser's formula."""
    passed, stopped = _transition(done, factor, total)
    length = (_DESIGN_DB - 7.95) / (2.285 * np.pi * (stopped - passed))
    return max(1, int(np.ceil(length / (2 * factor))))


def _plan(total: int) -> list[int]:
    """Return the factors of the cascade that needs the fewest multiplications."""
    divisors = sorted({1, *_products(_factors(total))})
    best: dict[int, tuple[float, list[int]]] = {1: (0.0, [])}
    for end in divisors[1:]:
        costs: list[tuple[float, list[int]]] = []
        for begin in divisors:
            if begin < end and end % begin == 0:
                factor = end // begin
                cost = best[begin][0] + _stage_cost(begin, factor, total)
                costs.append((cost, [*best[begin][1], factor]))
        best[end] = min(costs)
    return best[total][1]


def _stage_cost(done: int, factor: int, total: int) -> float:
    """Return about how many multiplications a stage costs for each sample of the source."""
    outputs = 2 * _half_length(done, factor, total)  # that one filter spans
    of_call = _CALL_COST + outputs * outputs * factor  # with the outputs at both ends that are not used
    return (outputs + _COPY_COST) / done + of_call / _USUAL_CHUNK


def _products(factors: Sequence[int]) -> set[int]:
    products = {1}
    for factor in factors:
        products |= {factor * each for each in products}
    return products


@functools.lru_cache(maxsize=64)
def cascade(total: int) -> tuple[_Stage, ...]:
    """Return the filters that decimate by *total*, first to last; each is symmetric, so none shifts the signal."""
    stages: list[_Stage] = []
    done = 1
    for factor in _plan(total):
        stages.append(_Stage(factor, _design(done, factor, total)))
        done *= factor
    return tuple(stages)


def _design(done: int, factor: int, total: int) -> Floats:
    signal = load()
    # A multiple of the factor, plus one: the outputs that depend on real samples only are whole steps from the first.
    length = 2 * factor * _half_length(done, factor, total) + 1
    passed, stopped = _transition(done, factor, total)
    window = "kaiser", float(signal.kaiser_beta(_DESIGN_DB))
    coefficients: Floats = signal.firwin(length, (passed + stopped) / 2, window=window)
    coefficients.flags.writeable = False
    return coefficients


class _Filter:
    """The state of one stage: keeps the samples that later outputs need."""

    def __init__(self, stage: _Stage) -> None:
        self._upfirdn = load().upfirdn
        self._factor, self._coefficients = stage
        self._skipped = (self._coefficients.size - 1) // self._factor
        self._buffer: Floats = np.empty(2 * self._coefficients.size)
        self._begin = self._end = 0

    def push(self, samples: Samples) -> Floats:
        """Return the outputs that *samples* complete."""
        end = self._end + samples.size
        if end > self._buffer.size:
            end = self._make_room(samples.size)
        self._buffer[self._end : end] = samples
        self._end = end
        count = (end - self._begin - self._coefficients.size) // self._factor + 1
        if count <= 0:
            return self._buffer[:0]
        # scipy also returns outputs at both ends that would need samples outside of the buffer. Each output is a sum in
        # the order of its samples, so it does not depend on where a chunk ends.
        made = self._upfirdn(self._coefficients, self._buffer[self._begin : end], 1, self._factor)
        self._begin += count * self._factor
        outputs: Floats = made[self._skipped : self._skipped + count]
        return outputs

    def _make_room(self, count: int) -> int:
        """Move the waiting samples to the start of a buffer with room for *count* more; return where these will end."""
        waiting = self._buffer[self._begin : self._end]
        needed = waiting.size + count
        if 2 * needed > self._buffer.size:
            self._buffer = np.empty(2 * needed)
        self._buffer[: waiting.size] = waiting
        self._begin, self._end = 0, waiting.size
        return needed


class Decimator:
    """Decimates one run of contiguous samples by a whole factor.

    Output *n* belongs to input sample ``delay + n * factor``, the one in the middle of its filter: linear phase, no
    shift in time. An output is made when all samples that it depends on are there, so at each end of a run half a
    filter length has no output. The outputs are the same to the last bit however the samples are cut into chunks. Up
    to `PASSBAND` of the new Nyquist frequency the level is right to `RIPPLE_DB`; all above the new Nyquist frequency
    is attenuated by `ATTENUATION_DB`.

    >>> decimator = Decimator(10)
    >>> outputs = np.concatenate([decimator.push(np.full(100, 7)) for _ in range(20)])
    >>> decimator.delay + outputs.size * 10 + decimator.delay >= 2000
    True
    >>> bool(np.allclose(outputs, 7, rtol=1e-6))
    True

    Args:
        factor: how many samples become one.

    Attributes:
        factor: the same.
        delay: index of the input sample that the first output belongs to.
        count: outputs so far.

    Raises:
        InvalidValue: there is no such filter; the text says why.
    """

    def __init__(self, factor: int) -> None:
        if reason := refusal(factor):
            raise InvalidValue(reason)
        self.factor = factor
        self.count = 0
        self.delay = 0
        self._filters: list[_Filter] = []
        step = 1
        for stage in cascade(factor):
            self.delay += step * (stage.coefficients.size // 2)
            step *= stage.factor
            self._filters.append(_Filter(stage))

    def push(self, samples: Samples) -> Floats:
        """Return the outputs that *samples*, one dimension of any type and byte order, complete."""
        parts = [self._push(block) for block in _blocks(samples)]
        outputs = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)
        self.count += outputs.size
        return outputs

    def _push(self, samples: Samples) -> Floats:
        outputs: Floats = samples
        for each in self._filters:
            outputs = each.push(outputs)
            if not outputs.size:
                break
        return outputs


def _blocks(samples: Samples) -> Iterator[Samples]:
    for begin in range(0, samples.size, _BLOCK):
        yield samples[begin : begin + _BLOCK]
