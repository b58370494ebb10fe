"""Samples with steps of all sizes, for tests of what is encoded."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Samples = npt.NDArray[np.int32]

#: Stretches of samples: so many, with steps of up to so many bits; from the seed comes what they are.
STRETCHES = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 31)), min_size=1, max_size=12)
SEEDS = st.integers(0, 1 << 32)
LENGTHS = st.sampled_from([128, 256, 512, 4096, 32_768])


def walk(stretches: Sequence[tuple[int, int]], seed: int, is_steep: bool = False) -> Samples:
    """Return samples with steps of the sizes that *stretches* name: within 30 bits, or 32 when *is_steep*."""
    random = np.random.default_rng(seed)
    most, span = (31, 1 << 31) if is_steep else (28, 1 << 29)
    steps = [random.integers(-(1 << min(bits, most)), 1 << min(bits, most), count) for count, bits in stretches]
    return ((np.cumsum(np.concatenate(steps)) + span // 2) % span - span // 2).astype("i4")
