"""Where the whole records of a file begin and end, found with as few reads as that takes."""

import os
from typing import NamedTuple

from rawdaq.miniseed.header import MAX_HEADER_BYTES, RECORD_START_BYTES, RecordHeader, find_record, read_header

#: Where the last records of a miniSEED 3 file are searched; a file with longer ones is read from its start.
_TAIL_BYTES = 1 << 18
_CHUNK_BYTES = 1 << 20  # of one read while a record is searched


class WholeRecords(NamedTuple):
    """The extent of a file's records.

    Attributes:
        begin: where the first one begins; 0 when there is none.
        end: where the last one that is whole ends.
    """

    begin: int
    end: int


def whole_records(fd: int, size_bytes: int) -> WholeRecords:
    """Return the extent of the whole records in a file of *size_bytes*; both are 0 when it has none.

    Most files are not read whole for that: the last record of a file with records of one length, or the records that
    are found near its end, are enough. Any other file is walked from header to header; bytes between them that are no
    records, as a crash or a bad disk leaves them, are passed over.

    Raises:
        OSError: the file cannot be read.
    """
    begin = _next_record(fd, 0, size_bytes)
    if begin is None:
        return WholeRecords(0, 0)
    return WholeRecords(begin, _end(fd, begin, size_bytes))


def _end(fd: int, begin: int, size_bytes: int) -> int:
    first = _record_at(fd, begin, size_bytes)
    if first is not None and first.version == 2:
        end = size_bytes - (size_bytes - begin) % first.length_bytes
        last = _record_at(fd, end - first.length_bytes, size_bytes)
        if last and last.length_bytes == first.length_bytes:
            return end
    elif _ends_whole(fd, begin, size_bytes):
        return size_bytes
    return _walk(fd, begin, size_bytes)


def _ends_whole(fd: int, begin: int, size_bytes: int) -> bool:
    """Whether the miniSEED 3 records near the end lead exactly to it."""
    near_end = _next_record(fd, max(begin, size_bytes - _TAIL_BYTES), size_bytes)
    return near_end is not None and _walk(fd, near_end, size_bytes) == size_bytes


def _walk(fd: int, begin: int, size_bytes: int) -> int:
    """Return where the last whole record ends that lies at or after *begin*."""
    end = begin
    at: int | None = begin
    while at is not None:
        if record := _record_at(fd, at, size_bytes):
            at = end = at + record.length_bytes
        else:
            at = _next_record(fd, at, size_bytes)
    return end


def _next_record(fd: int, offset: int, size_bytes: int) -> int | None:
    """Return where the first whole record at or after *offset* begins, None when there is none."""
    if _record_at(fd, offset, size_bytes):
        return offset
    while chunk := os.pread(fd, min(_CHUNK_BYTES, size_bytes - offset), offset):
        at = find_record(chunk, 0)
        while at is not None:
            if _record_at(fd, offset + at, size_bytes):
                return offset + at
            at = find_record(chunk, at + 1)
        if offset + len(chunk) >= size_bytes:
            break
        offset += max(1, len(chunk) - RECORD_START_BYTES + 1)
    return None


def _record_at(fd: int, offset: int, size_bytes: int) -> RecordHeader | None:
    """Return the header at *offset*, None when no record that is whole begins there."""
    header = read_header(os.pread(fd, MAX_HEADER_BYTES, offset)) if offset < size_bytes else None
    return header if header is not None and offset + header.length_bytes <= size_bytes else None
