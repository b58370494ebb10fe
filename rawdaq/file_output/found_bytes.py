"""Bytes that are in files already, behind each other: recognised when they are to be written once more."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from rawdaq.journal.pieces import rest
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.publisher import KnownItem

_VALUE_BYTES = 16

#: Returns what a file holds of an item.
Contents: TypeAlias = Callable[[Packet | Message | bytes], bytes | memoryview]


class FilePlace(NamedTuple):
    """Up to where a file was written.

    Attributes:
        order: files with a higher one came later.
        size: in bytes.
    """

    order: int
    size: int


def pack_places(places: Mapping[int, FilePlace]) -> dict[bytes, bytes]:
    """Return *places*, by the inodes of the files, as a journal keeps them: a renamed file is found by its inode."""
    return {inode.to_bytes(8): place.order.to_bytes(8) + place.size.to_bytes(8) for inode, place in places.items()}


def unpack_places(marks: Mapping[bytes, bytes]) -> dict[int, FilePlace]:
    """Return what `pack_places` has made *marks* of."""
    return {
        int.from_bytes(inode): FilePlace(int.from_bytes(value[:8]), int.from_bytes(value[8:]))
        for inode, value in marks.items()
        if len(value) == _VALUE_BYTES
    }


class _Piece(NamedTuple):
    """What one file holds beyond its place."""

    inode: int
    place: FilePlace
    data: bytes


class FoundBytes:
    """What was written before a crash and beyond the cursor in the journal.

    Args:
        pieces: what the files hold, in the order in which they were written.
        contents: what a file holds of an item.
        log: where it is logged what was recognised, and what was not.

    Attributes:
        torn_bytes: how much at the end of the newest file is the beginning of a message whose rest is not there: it is
            to be cut off, because the whole message follows.
        is_over: whether nothing of it is left to be recognised.
    """

    def __init__(self, pieces: Sequence[_Piece], contents: Contents, log: logging.Logger) -> None:
        self.torn_bytes = 0
        self._pieces = pieces
        self._contents = contents
        self._data = b"".join(piece.data for piece in pieces)
        self.is_over = not self._data
        self._at = 0
        self._log = log

    @classmethod
    def read(
        cls, folder: Path, places: Mapping[int, FilePlace], contents: Contents, log: logging.Logger
    ) -> "FoundBytes":
        """Return what stands in files of *folder* beyond *places*; it is on the disk then. This blocks.

        Raises:
            OSError: a file cannot be read.
        """
        paths = {entry.inode(): entry.path for entry in os.scandir(folder) if entry.inode() in places}
        inodes = sorted(paths, key=lambda each: places[each])
        pieces = [_Piece(each, places[each], _beyond(paths[each], places[each].size)) for each in inodes]
        return cls(pieces, contents, log)

    @property
    def places(self) -> dict[int, FilePlace]:
        """Up to where the files were recognised, by inode."""
        places: dict[int, FilePlace] = {}
        left = self._at
        for inode, place, data in self._pieces:
            places[inode] = place._replace(size=place.size + min(left, len(data)))
            left -= min(left, len(data))
        return places

    def is_end(self, inode: int, size: int) -> bool:
        """Return whether a file is the newest of those that were read, and has not grown since."""
        return bool(self._pieces) and (inode, size) == (
            self._pieces[-1].inode,
            self._pieces[-1].place.size + len(self._pieces[-1].data),
        )

    def rest(self, item: KnownItem, is_new: bool) -> list[tuple[int, KnownItem]]:
        """Return what of *item* is not there, with the index of its first sample."""
        return rest(item, self._has)

    def _has(self, item: Packet | Message | bytes) -> bool:
        """Return whether *item* comes next; the search ends where it does not."""
        if self.is_over:
            return False
        data = bytes(self._contents(item))
        there = self._data[self._at : self._at + len(data)]
        if there == data:
            self._at += len(data)
            self.is_over = self._at == len(self._data)
            if self.is_over:
                self._log.info("%d bytes were written before the last end, and not once more", self._at)
            return True
        self.is_over = True
        if data.startswith(there):
            self.torn_bytes = len(there)
        else:
            self._log.warning(
                "the last %d bytes of %d files are not what comes next in the journal: they stay, and what comes is"
                " written behind them, perhaps once more",
                len(self._data) - self._at,
                len(self._pieces),
            )
        return False


def _beyond(path: str, size: int) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        pieces: list[bytes] = []
        while piece := os.pread(fd, 1 << 20, size):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)
