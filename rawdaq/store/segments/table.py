"""The index of the segment that is being written: the headers of its entries, kept in memory."""

import threading
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.store.format import frames, sidecar
from rawdaq.store.format.frames import HEADER_BYTES, Rows, column
from rawdaq.store.format.scan import Offsets, Scan
from rawdaq.store.format.sidecar import Entries, Int64s
from rawdaq.store.values import Declared, Extent


class Spans(NamedTuple):
    """The first and last instants of the entries of a stream, in order of position."""

    starts_ns: Int64s
    ends_ns: Int64s


class HeaderTable:
    """Finds entries by looking through all headers, which numpy does in well under a millisecond.

    So an append only keeps the bytes of its headers; they are made columns when something is looked for. One thread
    adds, any may look.

    Args:
        first: the first position of the segment.

    Attributes:
        declared: what each number of a stream means; None where the declaration is lost.
        numbers: the number of each stream with its facts.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.declared: list[Declared | None] = []
        self.numbers: dict[tuple[str, bytes], int] = {}
        self._numbers_of: dict[str, list[int]] = {}
        self._added: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._entries = Entries.room(64)
        self._count = 0
        self._end = 0

    @classmethod
    def of_scan(cls, first: int, found: Scan, declared: list[Declared | None]) -> "HeaderTable":
        """Return the table of a segment that was scanned; of a stream whose declaration is lost, None is declared."""
        table = cls(first)
        for each in declared:
            table.declare(each)
        table._keep(found.rows, found.offsets)
        table._end = found.end
        return table

    def add(self, headers: bytes) -> None:
        """Keep the headers of all entries of a group, those of the store itself included."""
        self._added.append(headers)

    def declare(self, declared: Declared | None) -> None:
        """Give a stream the next number."""
        number = len(self.declared)
        self.declared.append(declared)
        if declared is not None:
            self.numbers.setdefault(declared, number)
            self._numbers_of.setdefault(declared.stream, []).append(number)

    def entries(self) -> Entries:
        """Return all data entries in order of position."""
        with self._lock:
            added = [self._added.popleft() for _ in range(len(self._added))]
            if added:
                rows = frames.as_rows(b"".join(added))
                ends = self._end + np.cumsum(HEADER_BYTES + column(rows, "length").astype(np.int64))
                self._keep(rows, np.concatenate(([self._end], ends[:-1])))
                self._end = int(ends[-1])
            return self._entries.take(slice(self._count))

    def _keep(self, rows: Rows, offsets: Offsets) -> None:
        of_data = frames.is_data(rows)
        rows, offsets = rows[of_data], offsets[of_data]
        count = self._count + len(rows)
        if count > len(self._entries.positions):  # readers keep the arrays that they have
            grown = Entries.room(max(count, 2 * len(self._entries.positions)))
            grown.put(0, self._entries.take(slice(self._count)))
            self._entries = grown
        positions, streams = column(rows, "position"), column(rows, "stream")
        new = Entries(positions, streams, column(rows, "start_ns"), column(rows, "end_ns"), offsets)
        self._entries.put(self._count, new)
        self._count = count

    def streams(self) -> list[str]:
        """Return the streams that have entries."""
        return list(self._numbers_of)

    @property
    def data_end(self) -> int:
        """Where the bytes behind the last entry begin."""
        self.entries()
        return self._end

    def offset(self, position: int) -> int:
        """Return where the entry at *position* stands; 0 when it is not there."""
        entries = self.entries()
        row = int(np.searchsorted(entries.positions, position))
        return int(entries.offsets[row]) if row < len(entries.positions) and entries.positions[row] == position else 0

    def gap_around(self, position: int) -> tuple[int, int | None]:
        """Return the first position whose entry is missing together with *position*, and the first behind them."""
        positions = self.entries().positions
        row = int(np.searchsorted(positions, position))
        first = int(positions[row - 1]) + 1 if row else self.first
        return first, int(positions[row]) if row < len(positions) else None

    def describe(self, position: int) -> tuple[str, int, int] | None:
        """Return stream, first and last instant of the entry at *position*; None when that is not known."""
        entries = self.entries()
        row = int(np.searchsorted(entries.positions, position))
        if row == len(entries.positions) or entries.positions[row] != position:
            return None
        declared = self.declaration(int(entries.streams[row]))
        return declared and (declared.stream, int(entries.starts_ns[row]), int(entries.ends_ns[row]))

    def find(self, stream: str, time_ns: int) -> int | None:
        """Return the position of the first entry of *stream* that ends at or after *time_ns*."""
        entries = self.entries()
        rows = np.flatnonzero(self._rows_of(entries, stream) & (entries.ends_ns >= time_ns))
        return int(entries.positions[rows[0]]) if len(rows) else None

    def newest(self, stream: str) -> int | None:
        """Return the position of the last entry of *stream*."""
        entries = self.entries()
        rows = np.flatnonzero(self._rows_of(entries, stream))
        return int(entries.positions[rows[-1]]) if len(rows) else None

    def spans(self, stream: str) -> Spans:
        """Return the times of all entries of *stream*."""
        entries = self.entries()
        rows = self._rows_of(entries, stream)
        return Spans(entries.starts_ns[rows], entries.ends_ns[rows])

    def extents(self, position: int = 0) -> dict[str, Extent]:
        """Return what there is of each stream from *position* on."""
        entries = self.entries()
        rows = np.flatnonzero(entries.positions >= position)
        rows = rows[np.argsort(entries.streams[rows], kind="stable")]
        numbers, begins, counts = np.unique(entries.streams[rows], return_index=True, return_counts=True)
        if not len(rows):
            return {}
        lows = np.minimum.reduceat(entries.starts_ns[rows], begins).tolist()
        highs = np.maximum.reduceat(entries.ends_ns[rows], begins).tolist()
        found: dict[str, Extent] = {}
        for number, *values in zip(numbers.tolist(), counts.tolist(), lows, highs, strict=True):
            declared = self.declaration(number)
            if declared is not None:
                found[declared.stream] = merged(found.get(declared.stream), Extent(*values))
        return found

    def declaration(self, number: int) -> Declared | None:
        """Return what the stream with that *number* is; None when its declaration is lost."""
        return self.declared[number] if number < len(self.declared) else None

    def largest_end_ns(self) -> int:
        """Return the last instant of all entries."""
        return int(self.entries().ends_ns.max(initial=-(2**63)))

    def sidecar(self, end: int, data_end: int) -> bytes:
        """Return the bytes of the index of this segment.

        Args:
            end: the position behind its last entry.
            data_end: where the bytes behind its last entry begin.
        """
        entries = self.entries()
        declared = [each or Declared("", b"") for each in self.declared]
        is_known = np.array([each is not None for each in self.declared] + [False], np.bool_)
        kept = is_known[np.minimum(entries.streams, len(declared))]  # where a declaration is lost, its entries are, too
        return sidecar.build(self.first, end, data_end, declared, entries.take(kept))

    def _rows_of(self, entries: Entries, stream: str) -> "npt.NDArray[np.bool_]":
        numbers = self._numbers_of.get(stream, [])
        return entries.streams == numbers[0] if len(numbers) == 1 else np.isin(entries.streams, numbers)


def merged(one: Extent | None, other: Extent) -> Extent:
    """Return the extent of both."""
    if one is None:
        return other
    entries, start_ns = one.entries + other.entries, min(one.start_ns, other.start_ns)
    return Extent(entries, start_ns, max(one.end_ns, other.end_ns))
