"""miniSEED 2 records of STEIM2 samples, many in one call: compiled from steim2.c where there is a C compiler.

The layout is that of SEED 2.4 (chapter 8, appendix B), the bytes are those that libmseed makes.
"""

from typing import Any, TypeAlias

from numpy.typing import NDArray

Buffer: TypeAlias = bytes | bytearray | memoryview | NDArray[Any]

def encode(
    samples: Buffer, records: Buffer, record_bytes: int, header_bytes: int, is_last: bool, /
) -> tuple[list[int], bool]:
    """Write the samples into records, after the headers, which are left as they are.

    Args:
        samples: int32 of this machine, one after the other.
        records: room for some records, which is overwritten.
        record_bytes: length of each: a multiple of 64, at most 32768.
        header_bytes: length of a header: a multiple of 64, less than that.
        is_last: whether nothing follows; otherwise a record is made only when the samples fill it whatever follows.

    Returns:
        How many samples each record holds, and False when a step to one of the samples that are left needs more than
        the 30 bits of STEIM2: the next record cannot be made.

    Raises:
        ValueError: invalid samples or lengths.
    """

def stamp(
    records: Buffer,
    record_bytes: int,
    header: Buffer,
    sequence: int,
    timing_quality: int,
    starts_ns: list[int],
    counts: list[int],
    /,
) -> None:
    """Write the headers of records; after an error some of them may be written.

    Args:
        records: they, and nothing else; their headers are overwritten.
        record_bytes: length of each.
        header: what they have in common, 64 bytes or more, with blockettes 1000 and 1001 as the first two.
        sequence: number of the first record, 1 to 999999; after the last number follows 1.
        timing_quality: 0 to 100 percent; less than 0 to say nothing of it.
        starts_ns: time of the first sample of each record; rounded to microseconds.
        counts: how many samples are in each, at most 65535.

    Raises:
        ValueError: the lengths do not fit each other, or a number is out of its range.
        OverflowError: a number is not in 64 bits.
    """
