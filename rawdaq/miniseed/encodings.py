"""How samples of each type are stored in records, and which encoding holds which samples exactly."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rawdaq.miniseed.format import Encoding
from rawdaq.miniseed.packer import FLOAT32, FLOAT64, INT16, INT32, STEIM1, STEIM2
from rawdaq.packet import Samples, SampleType


class Plan(NamedTuple):
    """How one sample type is stored: libmseed's letter for it, and encodings, the wanted one first."""

    letter: bytes
    dtype: str
    codes: tuple[int, ...]


#: What each encoding is called.
ENCODING_NAMES: Mapping[int, str] = {
    INT16: "INT16",
    INT32: "INT32",
    STEIM1: "STEIM1",
    STEIM2: "STEIM2",
    FLOAT32: "FLOAT32",
    FLOAT64: "FLOAT64",
}


def wanted_code(encoding: str) -> int | None:
    """Return libmseed's number of *encoding*; None of ``auto``, which asks for none."""
    return next((code for code, name in ENCODING_NAMES.items() if name.lower() == encoding), None)


_INTEGER_CODES: Mapping[str, tuple[int, ...]] = {
    Encoding.AUTO: (STEIM2, STEIM1, INT32),
    Encoding.STEIM2: (STEIM2, STEIM1, INT32),
    Encoding.STEIM1: (STEIM1, INT32),
    Encoding.INT16: (INT16, INT32),
    Encoding.INT32: (INT32,),
}
_FLOAT32_PLAN = Plan(b"f", "float32", (FLOAT32,))
_FLOAT64_PLAN = Plan(b"d", "float64", (FLOAT64,))
NO_PLAN: Plan = Plan(b"", "int32", ())  # of a stream before its first packet
_FITS_FLOAT32 = (SampleType.INT8, SampleType.INT16, SampleType.FLOAT32)


def plans(encoding: str) -> dict[np.dtype[Any], Plan]:
    """Return how samples of each type, in either byte order, are stored; types that share a plan share records."""
    integers = Plan(b"i", "int32", _INTEGER_CODES.get(encoding, _INTEGER_CODES[Encoding.AUTO]))
    by_type = dict.fromkeys(SampleType, integers)
    by_type |= {SampleType.FLOAT32: _FLOAT32_PLAN, SampleType.FLOAT64: _FLOAT64_PLAN}
    if encoding == Encoding.FLOAT32:
        by_type |= dict.fromkeys(_FITS_FLOAT32, _FLOAT32_PLAN)
    if encoding == Encoding.FLOAT64:
        by_type |= dict.fromkeys(SampleType, _FLOAT64_PLAN)
    native = {np.dtype(kind.value): plan for kind, plan in by_type.items()}
    return native | {dtype.newbyteorder(): plan for dtype, plan in native.items()}


def can_exceed(code: int, samples: Samples) -> bool:
    """Whether *samples* may hold what libmseed would store wrongly with *code* and not complain."""
    if code not in (INT16, STEIM1, STEIM2):
        return False
    low, high = int(samples.min()), int(samples.max())
    return (low < -(1 << 15) or high >= 1 << 15) if code == INT16 else high - low >= 1 << 31


def _holds(code: int, samples: Samples) -> bool:
    """Whether *code* stores exactly these samples: values within 16 bits, or differences within 32."""
    if code == INT16:
        return not can_exceed(code, samples)
    return code == INT32 or bool(np.all(np.abs(np.diff(samples.astype(np.int64))) < 1 << 31))


def right_count(code: int, samples: Samples, counts: list[int]) -> int:
    """Return how many of the first records, of so many *samples* each, *code* stores exactly."""
    begin = 0
    for index, count in enumerate(counts):
        if not _holds(code, samples[begin : begin + count]):
            return index
        begin += count
    return len(counts)
