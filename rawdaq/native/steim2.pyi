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
        ValueError: samples or lengths that are none.
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

def record(
    samples: Buffer,
    header: Buffer,
    record_bytes: int,
    is_last: bool,
    sequence: int,
    timing_quality: int,
    start_ns: int,
    /,
) -> tuple[bytes, int]:
    """Return one record, complete, and how many of the samples it holds: what `encode` and `stamp` make in two calls.

    Args:
        samples: int32 of this machine, one after the other.
        header: as for `stamp`; its length is a multiple of 64.
        record_bytes: length of the record: a multiple of 64, at most 32768.
        is_last: whether nothing follows; otherwise it is made only when the samples fill it whatever follows.
        sequence: number of the record, 1 to 999999.
        timing_quality: 0 to 100 percent; less than 0 to say nothing of it.
        start_ns: time of the first sample; rounded to microseconds.

    Returns:
        No bytes and 0 when the samples do not fill it; no bytes and less than 0 when a step needs more than 30 bits.

    Raises:
        ValueError: samples or lengths that are none, or a number out of its range.
        OverflowError: a number is not in 64 bits.
    """
