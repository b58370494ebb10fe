"""IDA's compression of samples: first differences, each in one to five bytes.

Of a difference the first byte has the sign in its lowest bit and six bits of the size, each following byte seven more,
the least significant ones first; the highest bit of a byte says that another one follows.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MORE: Final = 0x80
_FIRST_BITS: Final = 6
_BITS: Final = 7
_MAX_SIZE_BYTES: Final = 5
_LIMIT: Final = 1 << 31
#: From these sizes on a difference needs one byte more.
_STEPS: Final = np.array([1 << (_FIRST_BITS + _BITS * more) for more in range(_MAX_SIZE_BYTES - 1)])

Int32s = npt.NDArray[np.int32]


def compress(samples: npt.NDArray[Any]) -> bytes | None:
    """Return *samples* (int32, one dimension) compressed; None when a difference is one that has no code.

    >>> compress(np.array([100, 101, 99, 162, 98, -1000, 100000, 100000], np.int32)).hex(" ")
    'c8 01 02 05 7e 81 01 95 11 90 aa 0c 00'
    """
    values = samples.astype(np.int32)
    differences = np.diff(values, prepend=np.int32(0))  # which wraps around as 32 bits do
    sizes = np.abs(differences.astype(np.int64))
    if sizes.size and int(sizes.max()) >= _LIMIT:
        return None
    lengths = 1 + np.searchsorted(_STEPS, sizes, side="right")
    begins = np.cumsum(lengths) - lengths
    data = np.zeros(int(lengths.sum()), np.uint8)
    data[begins] = (differences < 0) | (sizes & 0x3F) << 1 | (lengths > 1) * _MORE
    for place in range(1, int(lengths.max(initial=0))):
        has = lengths > place
        rest = sizes[has] >> (_FIRST_BITS + _BITS * (place - 1)) & 0x7F
        data[begins[has] + place] = rest | (lengths[has] > place + 1) * _MORE
    return data.tobytes()


def decompress(data: bytes | memoryview, count: int) -> Int32s:
    """Return *count* samples.

    Raises:
        ValueError: *data* are not so many samples.
    """
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < _MORE)
    if ends.size != count:
        raise ValueError(f"{ends.size} samples where {count} are announced")
    if octets.size and (not ends.size or ends[-1] != octets.size - 1):
        raise ValueError("the last sample is cut")
    begins = np.concatenate(([0], ends[:-1] + 1)) if count else ends
    lengths = ends - begins + 1
    longest = int(lengths.max(initial=0))
    if longest > _MAX_SIZE_BYTES:
        raise ValueError(f"a sample of {longest} bytes; the longest has {_MAX_SIZE_BYTES}")
    wide = octets.astype(np.int64)
    sizes = wide[begins] >> 1 & 0x3F
    for place in range(1, longest):
        has = lengths > place
        sizes[has] |= (wide[begins[has] + place] & 0x7F) << (_FIRST_BITS + _BITS * (place - 1))
    if count and int(sizes.max()) >= _LIMIT:
        raise ValueError("a difference of more than 31 bits")
    differences = np.where(octets[begins] & 1, -sizes, sizes)
    return np.cumsum(differences).astype(np.int32)  # which wraps around as 32 bits do
