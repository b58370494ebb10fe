"""What is written into finished miniSEED 2 headers: sequence numbers and timing quality, for many records at once.

libmseed takes both from extra headers in JSON and parses these for every record, which costs more than the encoding.
Its miniSEED 2 headers have fixed places for them: the number in bytes 0 to 5, blockette 1001 at byte 56 (SEED 2.4,
chapter 8), where libmseed leaves room before compressed samples also when it writes none.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Six digits.
MAX_SEQUENCE = 999_999

_NUMBERS = np.frombuffer(b"".join(b"%03d" % number for number in range(1000)), np.uint8).reshape(1000, 3)
_BLOCKETTE_COUNT, _NEXT_AFTER_1000, _BLOCKETTE_1001, _QUALITY = 39, 51, 56, 60


def patched(records: Sequence[bytes], sequence: int, timing_quality: int | None) -> bytes:
    """Return *records*, which libmseed made without extra headers, one after the other and complete.

    Args:
        records: miniSEED 2 records of one length, with room for blockette 1001 at byte 56.
        sequence: number of the first, from 1; after `MAX_SEQUENCE` follows 1.
        timing_quality: 0 to 100 percent, or None to say nothing of it.
    """
    table = np.frombuffer(bytearray().join(records), np.uint8).reshape(len(records), -1)
    _number(table, sequence)
    if timing_quality is not None:
        if table[0, _BLOCKETTE_COUNT] == 1:
            # Otherwise libmseed has written the blockette itself, in the same place: before blockette 100, and for
            # times that do not end in whole tenths of a millisecond.
            table[:, _BLOCKETTE_COUNT] = 2
            table[:, _NEXT_AFTER_1000] = _BLOCKETTE_1001
            table[:, _BLOCKETTE_1001] = 1001 >> 8
            table[:, _BLOCKETTE_1001 + 1] = 1001 & 0xFF
        table[:, _QUALITY] = timing_quality
    return table.tobytes()


def _number(table: npt.NDArray[np.uint8], sequence: int) -> None:
    """Write the numbers from *sequence* on, all those of one thousand at once."""
    first = 0
    while first < len(table):
        thousands, ones = divmod(sequence, 1000)
        count = min(len(table) - first, 1000 - ones)
        table[first : first + count, 0:3] = _NUMBERS[thousands]
        table[first : first + count, 3:6] = _NUMBERS[ones : ones + count]
        first += count
        sequence = (sequence + count - 1) % MAX_SEQUENCE + 1
