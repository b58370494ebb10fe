"""The index of a segment that is full, as bytes: a head with a directory, then columns in blocks.

::

    head       magic, version, first and end position, rows, streams, largest end, size of the data, checksum
    directory  names of the streams, sorted; first row, first and last instant of each; declarations by number;
               checksum of each block
    columns    running maximum of end_ns | start_ns | end_ns | ordinal of the row | (by ordinal) offset in the segment

Rows are sorted by stream and, within one, by position. The ordinal of an entry is its position less the first one of
the segment; the offset of an entry that is not there is 0. Columns are read in blocks of 4096 bytes, each with a
checksum of its own, so that a lookup reads little and believes nothing unchecked.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rawdaq.store.format.checksum import crc32
from rawdaq.store.values import Declared

BLOCK_BYTES = 4096

_MAGIC = b"RQIX"
_VERSION = 1
_HEAD = struct.Struct("<4sIQQIIIqQII")
_PAIR = struct.Struct("<II")
_CHECK_BYTES = 4
HEAD_BYTES = _HEAD.size + _CHECK_BYTES

Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]
Number = TypeVar("Number", np.uint32, np.int64)


class Entries(NamedTuple):
    """The data entries of a segment in order of position, a column for each field."""

    positions: Int64s
    streams: UInt32s
    starts_ns: Int64s
    ends_ns: Int64s
    offsets: Int64s

    def take(self, which: "npt.NDArray[np.bool_] | slice") -> "Entries":
        """Return some of them."""
        times = self.starts_ns[which], self.ends_ns[which]
        return Entries(self.positions[which], self.streams[which], *times, self.offsets[which])

    @classmethod
    def room(cls, count: int) -> "Entries":
        """Return room for so many."""
        positions, starts, ends, offsets = (np.zeros(count, np.int64) for _ in range(4))
        return cls(positions, np.zeros(count, np.uint32), starts, ends, offsets)

    def put(self, begin: int, other: "Entries") -> None:
        """Put *other* into this, from row *begin* on."""
        end = begin + len(other.positions)
        self.positions[begin:end] = other.positions
        self.streams[begin:end] = other.streams
        self.starts_ns[begin:end] = other.starts_ns
        self.ends_ns[begin:end] = other.ends_ns
        self.offsets[begin:end] = other.offsets


class Texts:
    """Many short texts in one piece of memory."""

    def __init__(self, data: bytes, ends: UInt32s) -> None:
        self._data = data
        self._ends = ends

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._ends)

    def __getitem__(self, number: int) -> bytes:
        """Return one of them."""
        return self._data[self._ends[number - 1] if number else 0 : self._ends[number]]


class Directory(NamedTuple):
    """What is kept of an index in memory.

    Args:
        first: the first position of the segment.
        end: the position behind its last.
        data_end: where the bytes behind its last entry begin.
        largest_end_ns: of all entries.
        names: the streams that have entries, sorted, as UTF-8.
        first_rows: of each stream, and the number of all rows.
        starts_ns: the first instant of each stream.
        ends_ns: the last instant of each stream.
        declarations: names and facts by the number of the stream, in turn.
        checks: checksum of each block.
        columns_at: where the blocks begin.
    """

    first: int
    end: int
    data_end: int
    largest_end_ns: int
    names: Texts
    first_rows: UInt32s
    starts_ns: Int64s
    ends_ns: Int64s
    declarations: Texts
    checks: UInt32s
    columns_at: int

    @property
    def rows(self) -> int:
        """How many entries are in the columns."""
        return int(self.first_rows[-1])

    def declared(self, number: int) -> Declared:
        """Return what the stream with that *number* is."""
        return Declared(self.declarations[2 * number].decode(errors="replace"), self.declarations[2 * number + 1])


class IndexDamaged(Exception):
    """The bytes of an index are not what was written; it is made again from the segment."""


def build(first: int, end: int, data_end: int, declared: Sequence[Declared], entries: Entries) -> bytes:
    """Return the bytes of an index.

    Args:
        first: the first position of the segment.
        end: the position behind its last.
        data_end: where the bytes behind its last entry begin.
        declared: what each number of a stream means.
        entries: the data.
    """
    used: list[int] = np.unique(entries.streams).tolist()
    names = sorted({declared[number].stream.encode() for number in used})
    rank_of = {name: rank for rank, name in enumerate(names)}
    rank_by_number = np.array([rank_of.get(each.stream.encode(), 0) for each in declared], np.uint32)
    ranks = rank_by_number[entries.streams] if used else np.zeros(0, np.uint32)
    order = np.argsort(ranks, kind="stable")
    first_rows = np.searchsorted(ranks[order], np.arange(len(names) + 1)).astype(np.uint32)
    starts, ends = entries.starts_ns[order], entries.ends_ns[order]
    running = ends.copy()
    for begin, behind in zip(first_rows[:-1].tolist(), first_rows[1:].tolist(), strict=True):
        np.maximum.accumulate(running[begin:behind], out=running[begin:behind])
    lows = np.minimum.reduceat(starts, first_rows[:-1]) if used else starts
    highs = np.maximum.reduceat(ends, first_rows[:-1]) if used else ends
    offsets = np.zeros(end - first, np.uint32)
    offsets[entries.positions - first] = entries.offsets
    ordinals = (entries.positions - first)[order].astype(np.uint32)
    columns = b"".join(part.tobytes() for part in (running, starts, ends, ordinals, offsets))
    checks = [crc32(columns[at : at + BLOCK_BYTES]) for at in range(0, len(columns), BLOCK_BYTES)]
    parts = [first_rows, lows, highs, np.array(checks, np.uint32)]
    texts = _texts(names) + _texts([text for each in declared for text in (each.stream.encode(), each.facts)])
    directory = b"".join(part.tobytes() for part in parts) + texts
    largest = int(highs.max(initial=-(2**63)))
    sizes = (len(order), len(names), len(declared), largest, data_end, len(directory), len(checks))
    head = _HEAD.pack(_MAGIC, _VERSION, first, end, *sizes)
    check = crc32(directory, crc32(head)).to_bytes(_CHECK_BYTES, "little")
    return head + check + directory + columns


def directory_bytes(head: bytes) -> int:
    """Return how many bytes stand between the head and the columns.

    Raises:
        IndexDamaged: this is not the head of an index.
    """
    if len(head) < HEAD_BYTES or head[: len(_MAGIC)] != _MAGIC:
        raise IndexDamaged("no head")
    size: int = _HEAD.unpack_from(head)[9]
    return size


def parse_directory(head: bytes, directory: bytes) -> Directory:
    """Return what the head and the directory of an index say.

    Raises:
        IndexDamaged: they are not what was written.
    """
    fields = head[: _HEAD.size]
    if crc32(directory, crc32(fields)).to_bytes(_CHECK_BYTES, "little") != head[_HEAD.size : HEAD_BYTES]:
        raise IndexDamaged("checksum of the directory")
    _, version, first, end, _, streams, declared, largest, data_end, size, checks = _HEAD.unpack(fields)
    if version != _VERSION:
        raise IndexDamaged(f"version {version}")
    reader = _Reader(directory)
    first_rows, lows = reader.numbers(np.uint32, streams + 1), reader.numbers(np.int64, streams)
    highs, block_checks = reader.numbers(np.int64, streams), reader.numbers(np.uint32, checks)
    names, texts = reader.texts(streams), reader.texts(2 * declared)
    at = HEAD_BYTES + size
    return Directory(first, end, data_end, largest, names, first_rows, lows, highs, texts, block_checks, at)


def _texts(texts: Sequence[bytes]) -> bytes:
    ends = np.cumsum([len(text) for text in texts], dtype=np.uint32)
    return ends.tobytes() + b"".join(texts)


class _Reader:
    """Takes one part after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def numbers(self, kind: type[Number], count: int) -> npt.NDArray[Number]:
        values = np.frombuffer(self._data, kind, count, self._at)
        self._at += values.nbytes
        return values

    def texts(self, count: int) -> Texts:
        ends = self.numbers(np.uint32, count)
        begin, size = self._at, int(ends[-1]) if count else 0
        self._at += size
        return Texts(self._data[begin : begin + size], ends)
