"""Reads an archive: which files hold a stream at a time, their records, and their samples."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from rawdaq.archive.layout import ArchiveLayout
from rawdaq.disk.set_aside import TORN
from rawdaq.errors import InvalidValue
from rawdaq.miniseed.file import RecordFile
from rawdaq.miniseed.reader import RecordUnreadable, Segment, read_record, read_segments, to_packet
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY

_PIECE_BYTES = 8 << 20  # that are decoded at a time
_LONG_RECORD_NS = NS_PER_DAY // 24  # a record that begins before midnight may reach so far into the next day


def files_of(folder: Path, layout: str, stream: StreamId, start_ns: int, end_ns: int) -> list[Path]:
    """Return the files of an archive that may hold samples of *stream* between two times, each once.

    Args:
        folder: where the archive is; its writer need not run.
        layout: of its files.
        stream: whose samples are wanted.
        start_ns: from when.
        end_ns: until when.
    """
    first, last = (start_ns - _LONG_RECORD_NS) // NS_PER_DAY, (end_ns - 1) // NS_PER_DAY
    days, made = (day * NS_PER_DAY for day in range(first, last + 1)), ArchiveLayout(layout)
    found: dict[Path, None] = {}
    for pattern in dict.fromkeys(made.pattern_of(stream, day_ns) for day_ns in days):
        matching = (file for file in sorted(folder.glob(pattern)) if TORN not in file.name and file.is_file())
        found |= dict.fromkeys(matching)
    return list(found)


def records(file: Path, stream: StreamId, start_ns: int, end_ns: int) -> Iterator[bytes]:
    """Yield the records of *file* that hold samples of *stream* between two times, as they are.

    Raises:
        OSError: the file cannot be read.
    """
    opened = RecordFile(file)
    name = str(stream)
    for section in opened.sections() if opened.size_bytes else []:
        for record in opened.records(opened.find_time(section, start_ns), section[1]):
            info = record.info
            if info.name == name and info.start_ns < end_ns and info.end_ns >= start_ns:
                yield record.data


def segments(file: Path, stream: StreamId, start_ns: int, end_ns: int, begin: int = 0) -> Iterator[Segment]:
    """Yield the samples of *stream* in those records of *file* that hold some between two times; some may lie outside.

    Args:
        file: the file.
        stream: whose samples are wanted.
        start_ns: from when.
        end_ns: until when.
        begin: leave out what lies before this byte, where a record begins.

    Raises:
        OSError: the file cannot be read.
    """
    opened = RecordFile(file)
    for section in _sections(opened, begin):
        edges = _edges(opened, max(begin, opened.find_time(section, start_ns)), section[1])
        for low, high in pairwise(edges):
            data = opened.read(low, high - low)
            try:
                yield from read_segments(data, stream, start_ns, end_ns)
            except RecordUnreadable:  # torn bytes among the records
                yield from _one_by_one(opened, stream, low, high)


def size_bytes(file: Path) -> tuple[int, int]:
    """Return the inode and the size of *file*: what has been read of it stays so while it only grows."""
    seen = os.stat(file)
    return seen.st_ino, seen.st_size


def _sections(opened: RecordFile, begin: int) -> list[tuple[int, int]]:
    if opened.size_bytes <= begin:
        return []
    if begin:  # what was appended since the last look is little
        return [(begin, opened.size_bytes)]
    return opened.sections()


def _edges(opened: RecordFile, begin: int, end: int) -> list[int]:
    """Return offsets of records, about `_PIECE_BYTES` apart, from *begin* to *end*."""
    edges = [begin]
    for at in range(begin + _PIECE_BYTES, end, _PIECE_BYTES):
        place = opened.place(at, end)
        if place is not None and place.offset > edges[-1]:
            edges.append(place.offset)
    return [*edges, end] if end > edges[-1] else edges


def _one_by_one(opened: RecordFile, stream: StreamId, begin: int, end: int) -> Iterator[Segment]:
    name = str(stream)
    for record in opened.records(begin, end):
        if record.info.name != name:
            continue
        try:
            packet = to_packet(*read_record(record.data))
        except (RecordUnreadable, InvalidValue):
            continue
        if packet is not None:
            yield Segment(packet.start_ns, packet.rate_hz, packet.samples)
