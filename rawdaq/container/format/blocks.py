"""A block: objects with their times, compressed together, behind a header with their length and crc."""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np

from rawdaq.container.errors import BlockDamaged
from rawdaq.container.format.compression import Compressor, decompress
from rawdaq.container.format.layout import BlockHeader, Compression
from rawdaq.container.format.objects import Encoded

_INDEX_BYTES = 12  # of an object: its length (u32) and its time (i64)


class Block(NamedTuple):
    """The objects of a block.

    Attributes:
        times_ns: of each.
        objects: each as `rawdaq.container.format.objects.encode` has made it.
    """

    times_ns: Sequence[int]
    objects: Sequence[memoryview]


def pack_block(
    objects: Sequence[Encoded], number: int, first: int, compression: Compression, compress: Compressor
) -> bytes:
    """Return a block.

    Args:
        objects: at least one.
        number: of the block.
        first: number of its first object.
        compression: of its body.
        compress: does that.
    """
    lengths = np.fromiter((len(each.data) for each in objects), "<u4", len(objects))
    times = np.fromiter((each.time_ns for each in objects), "<i8", len(objects))
    raw = b"".join([lengths.tobytes(), times.tobytes(), *[each.data for each in objects]])
    stored = compress(raw)
    header = BlockHeader(compression, number, first, len(objects), len(stored), len(raw), crc32(stored))
    return header.pack() + stored


def unpack_block(header: BlockHeader, stored: bytes) -> Block:
    """Return the objects of a block.

    Raises:
        BlockDamaged: the body is not what was written.
        CompressionMissing: it is compressed by what is not installed.
    """
    if len(stored) != header.stored_bytes or crc32(stored) != header.body_crc:
        raise BlockDamaged("its crc does not fit")
    raw = memoryview(decompress(stored, header.compression, header.raw_bytes))
    index_bytes = _INDEX_BYTES * header.objects
    if index_bytes > len(raw):
        raise BlockDamaged(f"{header.objects} objects do not fit in {len(raw)} bytes")
    lengths = np.frombuffer(raw, "<u4", header.objects)
    times: list[int] = np.frombuffer(raw, "<i8", header.objects, 4 * header.objects).tolist()
    ends: list[int] = (np.cumsum(lengths, dtype=np.int64) + index_bytes).tolist()
    if (ends[-1] if ends else index_bytes) != len(raw):
        raise BlockDamaged("the lengths of its objects do not fit")
    return Block(times, [raw[begin:end] for begin, end in zip([index_bytes, *ends], ends, strict=False)])
