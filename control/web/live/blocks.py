"""The form of samples and columns on their way to a page: blocks, see ``docs/web.md``."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

#: i, n, first_ms, per_s
HEADER = struct.Struct("<IIdd")

_INT32, _FLOAT32 = np.dtype("<i4"), np.dtype("<f4")
#: What samples of a type become: what a page draws.
_DRAWN = {"int8": _INT32, "int16": _INT32, "int32": _INT32}


def drawn_type(sample_type: str) -> np.dtype[Any]:
    """Return the numpy type in which samples of *sample_type* are sent."""
    return _DRAWN.get(sample_type, _FLOAT32)


def block(i: int, first_ns: int, per_s: float, values: npt.NDArray[Any]) -> bytes:
    """Return a block of samples, or of columns.

    Args:
        i: which stream it is, in the table.
        first_ns: time of the first sample, or of the beginning of the first column.
        per_s: samples or columns per second.
        values: samples, int32 or float32; or columns, float32 of shape (n, 2).
    """
    # Whole milliseconds first: a double of nanoseconds since 1970 would be rounded twice.
    milliseconds, rest_ns = divmod(first_ns, 1_000_000)
    return HEADER.pack(i, len(values), milliseconds + rest_ns / 1e6, per_s) + np.ascontiguousarray(values).tobytes()
