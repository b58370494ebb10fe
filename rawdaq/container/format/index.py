"""What a container file holds: the places of its blocks, by its footer where it has one, else found."""

from typing import NamedTuple

from rawdaq.container.errors import BlockDamaged, CompressionMissing, NotContainer
from rawdaq.container.format.blocks import Block, unpack_block
from rawdaq.container.format.layout import (
    BLOCK_HEADER_BYTES,
    END_BYTES,
    END_MAGIC,
    FILE_HEADER_BYTES,
    FILE_MAGIC,
    FOOTER_MAGIC,
    BlockHeader,
    Entry,
    FileHeader,
    footer_offset,
    unpack_footer,
)
from rawdaq.container.format.scan import Damage, Found, ReadAt, Tail, scan


class Index(NamedTuple):
    """What a file holds.

    Attributes:
        header: its beginning; None when that is damaged.
        blocks: in order; their times are 0 where `is_finished` is not set.
        damages: what is between them.
        tail: what is behind them: the footer where the file is finished, else the beginning of a block.
        is_finished: whether it has a footer.
    """

    header: FileHeader | None
    blocks: list[Entry]
    damages: list[Damage]
    tail: Tail
    is_finished: bool

    def entries_with_times(self, read: ReadAt) -> list[Entry]:
        """Return the blocks with the times of their objects; those of a damaged one are 0."""
        return self.blocks if self.is_finished else [_with_times(entry, read) for entry in self.blocks]


def read_index(read: ReadAt, size_bytes: int) -> Index:
    """Return what a file of *size_bytes* holds.

    Raises:
        NotContainer: it is something else.
        ContainerTooNew: a newer rawdaq has written it.
    """
    damages: list[Damage] = []
    header = _header(read, size_bytes, damages)
    begin = header.size_bytes if header else _damaged_begin(read, size_bytes)
    if header is not None and begin > size_bytes:  # it was never written to its end
        return Index(header if header.info_bytes else None, [], damages, Tail(0, size_bytes), is_finished=False)
    footer = _footer(read, size_bytes)
    if footer is not None:
        return Index(header, footer[1], damages, Tail(footer[0], size_bytes - footer[0]), is_finished=True)
    blocks, tail = _scanned(read, begin, size_bytes, damages)
    if header is None and not blocks:
        raise NotContainer("its beginning is damaged, and it has no block")
    if _is_footer(read, tail):
        damages.append(Damage(tail.offset, tail.size_bytes, None, "its footer is damaged"))
    return Index(header, blocks, damages, tail, is_finished=False)


def _is_footer(read: ReadAt, tail: Tail) -> bool:
    """Return whether a tail is what is left of a footer."""
    end = (
        read(tail.offset + tail.size_bytes - len(END_MAGIC), len(END_MAGIC))
        if tail.size_bytes > len(END_MAGIC)
        else b""
    )
    return tail.size_bytes > 0 and (read(tail.offset, len(FOOTER_MAGIC)) == FOOTER_MAGIC or end == END_MAGIC)


def continued(known: Index, read: ReadAt, size_bytes: int) -> Index:
    """Return what the file holds that was *known* to hold so much, and has *size_bytes* now.

    Raises:
        ContainerTooNew: its beginning has come, and a newer rawdaq has written it.
    """
    if not known.blocks:
        return read_index(read, size_bytes)
    footer = _footer(read, size_bytes)
    if footer is not None and footer[1][: len(known.blocks)] == _with_told_times(known.blocks, footer[1]):
        end = Tail(footer[0], size_bytes - footer[0])
        return Index(known.header, footer[1], known.damages, end, is_finished=True)
    last, damages = known.blocks[-1], list(known.damages)
    new, tail = _scanned(
        read, known.tail.offset, size_bytes, damages, number=last.number + 1, first=last.first + last.objects
    )
    return Index(known.header, [*known.blocks, *new], damages, tail, is_finished=False)


def _with_told_times(known: list[Entry], told: list[Entry]) -> list[Entry]:
    """Return the blocks that are *known* with the times that a footer has for them."""
    return [
        entry._replace(first_ns=other.first_ns, last_ns=other.last_ns)
        for entry, other in zip(known, told, strict=False)
    ]


def _scanned(
    read: ReadAt, begin: int, size_bytes: int, damages: list[Damage], number: int = 0, first: int = 0
) -> tuple[list[Entry], Tail]:
    """Return the blocks from *begin* on, and what is behind them; what is between them is added to *damages*."""
    blocks: list[Entry] = []
    tail = Tail(begin, 0)
    for each in scan(read, begin, size_bytes, number, first):
        if isinstance(each, Found):
            head = each.header
            blocks.append(Entry(each.offset, head.number, head.first, head.objects, 0, 0))
        elif isinstance(each, Damage):
            damages.append(each)
        else:
            tail = each
    return blocks, tail


def _header(read: ReadAt, size_bytes: int, damages: list[Damage]) -> FileHeader | None:
    data = read(0, FILE_HEADER_BYTES)
    if size_bytes < FILE_HEADER_BYTES and FILE_MAGIC.startswith(data[: len(FILE_MAGIC)]):
        return FileHeader(0, 0)  # longer than the file: it is torn
    try:
        return FileHeader.unpack(data)
    except BlockDamaged as error:
        damages.append(Damage(0, len(data), None, error.reason))
    except NotContainer as error:
        if _damaged_begin(read, size_bytes) >= size_bytes:
            raise
        damages.append(Damage(0, len(data), None, str(error)))
    return None


def _damaged_begin(read: ReadAt, size_bytes: int) -> int:
    """Return where the first block of a file begins whose header is damaged; *size_bytes* when there is none."""
    for each in scan(read, 0, size_bytes):
        if isinstance(each, Found):
            return each.offset
    return size_bytes


def _footer(read: ReadAt, size_bytes: int) -> tuple[int, list[Entry]] | None:
    """Return where the footer begins and what it says; None when there is none, or a damaged one."""
    offset = footer_offset(read(size_bytes - END_BYTES, END_BYTES), size_bytes) if size_bytes >= END_BYTES else None
    if offset is None:
        return None
    entries = unpack_footer(read(offset, size_bytes - offset), offset)
    return None if entries is None else (offset, entries)


def _with_times(entry: Entry, read: ReadAt) -> Entry:
    try:
        times = load_block(entry, read).times_ns
    except (BlockDamaged, CompressionMissing):
        return entry
    return entry._replace(first_ns=min(times), last_ns=max(times)) if times else entry


def load_block(entry: Entry, read: ReadAt) -> Block:
    """Return the objects of a block.

    Raises:
        BlockDamaged: it is not what was written.
        CompressionMissing: it is compressed by what is not installed.
    """
    header = BlockHeader.unpack(read(entry.offset, BLOCK_HEADER_BYTES))
    if header is None or (header.number, header.first, header.objects) != (entry.number, entry.first, entry.objects):
        raise BlockDamaged("its header is damaged")
    return unpack_block(header, read(entry.offset + BLOCK_HEADER_BYTES, header.stored_bytes))
