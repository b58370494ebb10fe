"""A miniSEED file on disk, of any size: its extent at once, its records one after the other, a time in it by bisection.

Nothing stays open between two reads, so that a thousand files can be played together.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rawdaq.miniseed.header import RECORD_START_BYTES, find_record
from rawdaq.miniseed.reader import (
    RecordInfo,
    RecordUnreadable,
    is_control_header,
    is_miniseed,
    read_info,
    record_length,
)

#: Called with what is wrong with a piece of a file.
OnProblem = Callable[[Path, str], None]

_CHUNK_BYTES = 1 << 18  # of one read while walking: 512 records of the common length
_PROBE_BYTES = 1 << 14  # of one look at a place in a file; the next record begins within
_SMALL_BYTES = 1 << 16  # of a file of which a look sees everything
_HEADER_BYTES = 1 << 9  # the headers of a record that have its length lie in its first bytes
_MAX_UNKNOWN_BYTES = 1 << 17  # of a record without a length in its headers
_FIRST_PROBES = 16
_MORE_PROBES = 512
_BACK_FRACTION = 64  # time that runs back by more than this part of a file's span begins another section
_GOLDEN = 0.6180339887498949  # spreads probes so that no pattern of equal sections hides between them


class Extent(NamedTuple):
    """The time that a file covers, as far as a few of its records show."""

    start_ns: int
    end_ns: int


class Place(NamedTuple):
    """A record and where in its file it begins."""

    offset: int
    info: RecordInfo


class RawRecord(NamedTuple):
    """A record that was read and not decoded."""

    info: RecordInfo
    data: bytes
    offset: int


class RecordFile:
    """One miniSEED file.

    Args:
        path: the file.
        on_problem: called for bytes that are no records; what it raises ends the reading. By default they are passed
            over: whoever wrote the file has reported them.

    Raises:
        OSError: the file cannot be read (from every method).
    """

    def __init__(self, path: Path, on_problem: OnProblem = lambda path, text: None) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size
        self._on_problem = on_problem

    def extent(self) -> Extent | None:
        """Return the time that the file covers; None when there is no record where it begins.

        Of a large file only its first, its last and some more records are looked at.
        """
        if self.size_bytes <= _SMALL_BYTES:
            places = self._places(self.read(0, _SMALL_BYTES), 0)
        else:
            places = self._probe(_FIRST_PROBES)
        if not places:
            return None
        return Extent(min(place.info.start_ns for place in places), max(place.info.end_ns for place in places))

    def _places(self, data: bytes, offset: int) -> list[Place]:
        """Return the records that begin in *data*, which lies at *offset* of the file."""
        found: list[Place] = []
        at = find_record(data, 0)
        while at is not None:
            info = self._info(data, at, offset)
            if info is not None:
                found.append(Place(offset + at, info))
            at = find_record(data, at + (1 if info is None else info.length_bytes))
        return found

    def _last(self, place: Place) -> Place:
        """Return the last record after *place*, as far as a look at the end of the file shows; or *place*."""
        size = max(_PROBE_BYTES, 2 * place.info.length_bytes)
        begin = max(place.offset, self.size_bytes - size)
        return [place, *self._places(self.read(begin, size), begin)][-1]

    def place(self, offset: int, end: int | None = None) -> Place | None:
        """Return the first record at or after *offset* and before *end*, as far as one look shows."""
        end = self.size_bytes if end is None else end
        data = self.read(offset, _PROBE_BYTES)
        at = find_record(data, 0)
        while at is not None and offset + at < end:
            info = self._info(data, at, offset)
            if info is not None:
                return Place(offset + at, info)
            at = find_record(data, at + 1)
        return None

    def _info(self, data: bytes, at: int, offset: int) -> RecordInfo | None:
        """Return the header of what seems to be a record *at* of *data*, which lies at *offset* of the file."""
        length = record_length(data, at)
        if length == 0 and offset + len(data) == self.size_bytes:
            length = len(data) - at  # a record that does not say how long it is, and nothing behind it
        if not length or offset + at + length > self.size_bytes:
            return None
        record = data[at : at + length]
        if len(record) < length:
            record = self.read(offset + at, length)
        try:
            return read_info(record)
        except RecordUnreadable:
            return None

    def sections(self) -> list[tuple[int, int]]:
        """Return pieces of the file (first byte, end) in each of which time runs forward.

        There is one section, unless streams lie one after the other, as far as samples of it show. A file that
        seems to be in order of time gets 16 looks, another one 512 and bisections; neither is read.
        """
        places = self._probe(_FIRST_PROBES)
        limit_ns = _span_ns(places) // _BACK_FRACTION
        if not any(_runs_back(*pair, limit_ns) for pair in itertools.pairwise(places)):
            return [(0, self.size_bytes)]
        places = self._probe(_MORE_PROBES)
        limit_ns = _span_ns(places) // _BACK_FRACTION
        cuts = [self._boundary(*pair, limit_ns) for pair in itertools.pairwise(places) if _runs_back(*pair, limit_ns)]
        return list(zip([0, *cuts], [*cuts, self.size_bytes], strict=True))

    def _probe(self, count: int) -> list[Place]:
        """Return the records at about *count* places all over the file, in their order."""
        offsets = sorted({0, *(int(index * _GOLDEN % 1.0 * self.size_bytes) for index in range(1, count))})
        found = {place.offset: place for place in map(self.place, offsets) if place is not None}
        if found:
            last = self._last(max(found.values()))
            found[last.offset] = last
        return sorted(found.values())

    def _boundary(self, low: Place, high: Place, limit_ns: int) -> int:
        """Return where, after *low* and not after *high*, the section of *high* begins."""
        while True:
            middle = self.place((low.offset + low.info.length_bytes + high.offset) // 2, high.offset)
            if middle is None:  # what is left lies within one look
                middle = self.place(low.offset + low.info.length_bytes, high.offset)
            if middle is None:
                return high.offset
            if _runs_back(low, middle, limit_ns):
                high = middle
            else:
                low = middle

    def find_time(self, section: tuple[int, int], time_ns: int) -> int:
        """Return an offset in *section* from which on all records that reach to *time_ns* or beyond are met.

        Exact where the section is in order of time; it steps back by one read for those that are a little late.
        """
        low, high = section
        while high - low > _PROBE_BYTES:
            place = self.place((low + high) // 2, high)
            if place is None or place.info.end_ns >= time_ns:
                high = (low + high) // 2
            else:
                low = place.offset
        back = max(section[0], low - _CHUNK_BYTES)
        if back == section[0]:
            return back
        place = self.place(back, section[1])
        return back if place is None else place.offset

    def records(self, begin: int, end: int) -> Iterator[RawRecord]:
        """Yield the records from *begin* up to *end*; bytes between them are reported and skipped."""
        window = _Window(self, end)
        bad_from, reason = begin, ""
        while begin < end:
            try:
                record = window.record(begin)
            except RecordUnreadable as error:
                reason = reason or str(error)
                begin = window.next_candidate(begin + 1)
                continue
            if bad_from < begin:
                self._tell_bad(bad_from, begin, reason)
            yield record
            begin = bad_from = begin + record.info.length_bytes
            reason = ""
        if bad_from < end:
            self._tell_bad(bad_from, end, reason)

    def _tell_bad(self, begin: int, end: int, reason: str) -> None:
        if not is_control_header(self.read(begin, 8)):
            self._on_problem(self.path, f"{end - begin} bytes at offset {begin} are skipped: {reason}")

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes at *offset*, fewer where the file ends."""
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)


class _Window:
    """What was read of a file for a walk that goes forward."""

    def __init__(self, file: RecordFile, end: int) -> None:
        self._file, self._end = file, end
        self._data, self._begin = b"", 0

    def _reach(self, offset: int, size: int) -> int:
        """Return where *offset* is in the data, with *size* bytes after it or as many as there are before the end."""
        size = min(size, self._end - offset)
        if not self._begin <= offset <= offset + size <= self._begin + len(self._data):
            self._data = self._file.read(offset, min(max(size, _CHUNK_BYTES), self._end - offset))
            self._begin = offset
        return offset - self._begin

    def record(self, offset: int) -> RawRecord:
        """Return the record at *offset*.

        Raises:
            RecordUnreadable: there is no record, or its end is missing.
        """
        at = self._reach(offset, _HEADER_BYTES)
        length = record_length(self._data, at)
        if length == 0:  # it does not say how long it is: as far as the next one, or to the end
            at = self._reach(offset, _MAX_UNKNOWN_BYTES)
            length = record_length(self._data, at) or self._end - offset
        if length is None:
            raise RecordUnreadable("no miniSEED record")
        at = self._reach(offset, length + RECORD_START_BYTES)
        data = self._data[at : at + length]
        if len(data) < length:
            raise RecordUnreadable(f"a record of {length} bytes, of which {len(data)} are there")
        following = self._data[at + length : at + length + RECORD_START_BYTES]
        if len(following) == RECORD_START_BYTES and not is_miniseed(following) and _holds_record(data):
            raise RecordUnreadable(f"a record of {length} bytes, in the middle of which another one begins")
        return RawRecord(read_info(data), data, offset)

    def next_candidate(self, offset: int) -> int:
        """Return where, from *offset* on, the next record seems to start; the end when nowhere."""
        while offset < self._end:
            at = self._reach(offset, _HEADER_BYTES)
            found = find_record(self._data, at)
            if found is not None:
                return self._begin + found
            offset = max(offset, self._begin + len(self._data) - RECORD_START_BYTES) + 1
        return self._end


def _holds_record(data: bytes) -> bool:
    """Whether another record seems to begin inside *data*: something tore this one, and the next was appended."""
    inside = find_record(data, 1)
    return inside is not None and bool(record_length(data, inside))


def _span_ns(places: list[Place]) -> int:
    if not places:
        return 0
    return max(place.info.end_ns for place in places) - min(place.info.end_ns for place in places)


def _runs_back(first: Place, second: Place, limit_ns: int) -> bool:
    """Whether time runs back from one record to a later one; by their ends, as that is when they were written."""
    return first.info.end_ns - second.info.end_ns > limit_ns
