"""Columns as anybody would compute them."""

from typing import Any

import numpy as np


def expected(start_ns: int, rate_hz: float, samples: Any, width_ns: int) -> dict[int, tuple[float, float]]:
    """Return the columns as anybody would compute them: one sample after the other."""
    columns: dict[int, list[float]] = {}
    for index, sample in enumerate(samples):
        columns.setdefault((start_ns + round(index * 1e9 / rate_hz)) // width_ns, []).append(float(np.float32(sample)))
    return {column: (min(values), max(values)) for column, values in columns.items()}
