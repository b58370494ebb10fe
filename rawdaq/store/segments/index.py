"""The index of a segment that is full: read in blocks from its file, each of them checked, with little in memory."""

from bisect import bisect_left

import numpy as np

from rawdaq.store.folder import File
from rawdaq.store.format import sidecar
from rawdaq.store.format.checksum import crc32
from rawdaq.store.format.sidecar import BLOCK_BYTES, HEAD_BYTES, Directory, IndexDamaged
from rawdaq.store.segments.table import Spans
from rawdaq.store.values import Declared, Extent

_AT_ONCE_ROWS = 8192  # times that are read at once rather than block by block


class SidecarIndex:
    """Finds entries of a segment that is full.

    Every method raises `IndexDamaged` when what it reads is not what was written.

    Args:
        source: the file of the index, or its bytes when they could not be written.

    Attributes:
        data_end: where the bytes behind the last entry of the segment begin.
    """

    def __init__(self, source: File | bytes) -> None:
        self._source = source
        head = self._read(HEAD_BYTES, 0)
        size = sidecar.directory_bytes(head)
        if size > (len(source) if isinstance(source, bytes) else source.size()):
            raise IndexDamaged("size of the directory")
        self.directory: Directory = sidecar.parse_directory(head, self._read(size, HEAD_BYTES))
        self.data_end = self.directory.data_end
        self._rows = self.directory.rows

    @property
    def content(self) -> bytes | None:
        """All bytes of it when they are in memory alone; None when they are in a file."""
        return self._source if isinstance(self._source, bytes) else None

    def _read(self, size: int, offset: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end."""
        source = self._source
        return source[offset : offset + size] if isinstance(source, bytes) else source.read(size, offset)

    def streams(self) -> list[str]:
        """Return the streams that have entries."""
        names = self.directory.names
        return [names[number].decode(errors="replace") for number in range(len(names))]

    def offset(self, position: int) -> int:
        """Return where the entry at *position* stands; 0 when it is not there."""
        return int(self._offsets(position, 1)[0])

    def gap_around(self, position: int) -> tuple[int, int | None]:
        """Return the first position whose entry is missing together with *position*, and the first behind them."""
        first, end = self.directory.first, self.directory.end
        known = np.flatnonzero(self._offsets(first, end - first)) + first
        row = int(np.searchsorted(known, position))
        return int(known[row - 1]) + 1 if row else first, int(known[row]) if row < len(known) else None

    def describe(self, position: int) -> tuple[str, int, int] | None:
        """Return stream, first and last instant of the entry at *position*; None when that is not known."""
        found = np.flatnonzero(self._ordinals(0, self._rows) == position - self.directory.first)
        if not len(found):
            return None
        row = int(found[0])
        number = int(np.searchsorted(self.directory.first_rows, row, "right")) - 1
        start_ns, end_ns = int(self._times(1, row, row + 1)[0]), int(self._times(2, row, row + 1)[0])
        return self.directory.names[number].decode(errors="replace"), start_ns, end_ns

    def find(self, stream: str, time_ns: int) -> int | None:
        """Return the position of the first entry of *stream* that ends at or after *time_ns*."""
        number = self._number(stream)
        if number is None or self.directory.ends_ns[number] < time_ns:
            return None
        begin, end = self._bounds(number)
        while end - begin > _AT_ONCE_ROWS:
            middle = (begin + end) // 2
            if self._times(0, middle, middle + 1)[0] < time_ns:
                begin = middle + 1
            else:
                end = middle + 1
        row = begin + int(np.searchsorted(self._times(0, begin, end), time_ns))
        return self.directory.first + int(self._ordinals(row, row + 1)[0])

    def newest(self, stream: str) -> int | None:
        """Return the position of the last entry of *stream*."""
        number = self._number(stream)
        if number is None:
            return None
        row = self._bounds(number)[1] - 1
        return self.directory.first + int(self._ordinals(row, row + 1)[0])

    def spans(self, stream: str) -> Spans:
        """Return the times of all entries of *stream*."""
        number = self._number(stream)
        begin, end = (0, 0) if number is None else self._bounds(number)
        return Spans(self._times(1, begin, end), self._times(2, begin, end))

    def extents(self, position: int = 0) -> dict[str, Extent]:
        """Return what there is of each stream from *position* on."""
        found: dict[str, Extent] = {}
        least = max(0, position - self.directory.first)
        for number, stream in enumerate(self.streams()):
            begin, end = self._bounds(number)
            if least:
                begin += int(np.searchsorted(self._ordinals(begin, end), least))
            if begin == end:
                continue
            if least:
                start_ns, end_ns = self._times(1, begin, end).min(), self._times(2, begin, end).max()
            else:
                start_ns, end_ns = self.directory.starts_ns[number], self.directory.ends_ns[number]
            found[stream] = Extent(end - begin, int(start_ns), int(end_ns))
        return found

    def declaration(self, number: int) -> Declared | None:
        """Return what the stream with that *number* is; None when its declaration is lost."""
        if 2 * number >= len(self.directory.declarations):
            return None
        declared = self.directory.declared(number)
        return declared if declared.stream else None

    def largest_end_ns(self) -> int:
        """Return the last instant of all entries."""
        return self.directory.largest_end_ns

    def _number(self, stream: str) -> int | None:
        name, names = stream.encode(), self.directory.names
        number = bisect_left(names, name)
        return number if number < len(names) and names[number] == name else None

    def _bounds(self, number: int) -> tuple[int, int]:
        return int(self.directory.first_rows[number]), int(self.directory.first_rows[number + 1])

    def _times(self, which: int, begin: int, end: int) -> sidecar.Int64s:
        return np.frombuffer(self._checked(8 * (which * self._rows + begin), 8 * (end - begin)), np.int64)

    def _ordinals(self, begin: int, end: int) -> sidecar.UInt32s:
        return np.frombuffer(self._checked(24 * self._rows + 4 * begin, 4 * (end - begin)), np.uint32)

    def _offsets(self, position: int, count: int) -> sidecar.UInt32s:
        ordinal = position - self.directory.first
        return np.frombuffer(self._checked(28 * self._rows + 4 * ordinal, 4 * count), np.uint32)

    def _checked(self, begin: int, size: int) -> bytes:
        """Return a piece of the columns, whose blocks are what was written."""
        first, behind = begin // BLOCK_BYTES, (begin + size + BLOCK_BYTES - 1) // BLOCK_BYTES
        data = self._read((behind - first) * BLOCK_BYTES, self.directory.columns_at + first * BLOCK_BYTES)
        checks = self.directory.checks
        for number in range(first, behind):
            at = (number - first) * BLOCK_BYTES
            if crc32(data[at : at + BLOCK_BYTES]) != checks[number]:
                raise IndexDamaged(f"checksum of block {number}")
        at = begin - first * BLOCK_BYTES
        return data[at : at + size]
