"""Finds the blocks of a container file, whatever has happened to it; what is between them is reported."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from rawdaq.container.errors import BlockDamaged, CompressionMissing
from rawdaq.container.format.blocks import unpack_block
from rawdaq.container.format.layout import BLOCK_HEADER_BYTES, BLOCK_MAGIC, BlockHeader

#: Returns up to so many bytes of a file from an offset on; fewer only at its end.
ReadAt = Callable[[int, int], bytes]

_SEARCH_BYTES: Final = 1 << 20


class Found(NamedTuple):
    """A block whose header fits and whose body is all there."""

    offset: int
    header: BlockHeader


class Damage(NamedTuple):
    """Bytes that are no block.

    Attributes:
        offset: where they begin.
        size_bytes: how many they are.
        number: of the block that stood there; None: it is not known.
        reason: what does not fit.
    """

    offset: int
    size_bytes: int
    number: int | None
    reason: str


class Tail(NamedTuple):
    """The end of the file, behind its last block: the beginning of a block that is not all there, or nothing.

    Attributes:
        offset: where it begins.
        size_bytes: how many bytes it has.
    """

    offset: int
    size_bytes: int


def scan(read: ReadAt, begin: int, end: int, number: int = 0, first: int = 0) -> Iterator[Found | Damage | Tail]:
    """Yield what stands between two offsets, in order; the last is a `Tail`.

    Args:
        read: reads the file.
        begin: where the first block should begin.
        end: size of the file, without its footer.
        number: of the block that should come.
        first: number of the object that should come.
    """
    offset = begin
    while True:
        header = header_at(read, offset, end)
        if header is None or not _is_next(header, offset, end, number, first):
            found = _next_block(read, offset + 1, end, number, first)
            if found is None:
                break
            missing = number if found.header.number == number + 1 else None
            yield Damage(offset, found.offset - offset, missing, "its header is damaged")
            offset, header = found
        yield Found(offset, header)
        offset += header.size_bytes
        number, first = header.number + 1, header.first + header.objects
    yield Tail(offset, max(0, end - offset))


def header_at(read: ReadAt, offset: int, end: int) -> BlockHeader | None:
    """Return the header of the block at *offset*; None when there is none."""
    if offset + BLOCK_HEADER_BYTES > end:
        return None
    return BlockHeader.unpack(read(offset, BLOCK_HEADER_BYTES))


def _is_next(header: BlockHeader, offset: int, end: int, number: int, first: int) -> bool:
    """Return whether it does not come before *number* and *first*, and is all there."""
    return header.number >= number and header.first >= first and offset + header.size_bytes <= end


def _next_block(read: ReadAt, begin: int, end: int, number: int, first: int) -> Found | None:
    """Return the next block behind a damage: one with good crcs that does not come before *number* and *first*."""
    offset = begin
    while offset + BLOCK_HEADER_BYTES <= end:
        window = read(offset, _SEARCH_BYTES)
        at = window.find(BLOCK_MAGIC)
        while at >= 0:
            header = header_at(read, offset + at, end)
            if header is not None and _is_next(header, offset + at, end, number, first):
                found = Found(offset + at, header)
                if _is_whole(read, found):
                    return found
            at = window.find(BLOCK_MAGIC, at + 1)
        offset += max(1, len(window) - len(BLOCK_MAGIC) + 1)
    return None


def _is_whole(read: ReadAt, found: Found) -> bool:
    """Return whether the body fits: four bytes in the middle of samples may look like the beginning of a block."""
    try:
        unpack_block(found.header, read(found.offset + BLOCK_HEADER_BYTES, found.header.stored_bytes))
    except BlockDamaged:
        return False
    except CompressionMissing:  # its crc fits
        return True
    return True
