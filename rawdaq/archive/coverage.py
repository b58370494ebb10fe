"""Which times of which streams a file of an archive holds: enough to find a record in it without reading it whole."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

from rawdaq.miniseed.file import RawRecord, RecordFile
from rawdaq.miniseed.format import RecordRun
from rawdaq.times import CONTIGUOUS_SAMPLES, span_ns

_END_BYTES = 1 << 13  # of a file that is looked at when it is opened: its newest records
_MORE = 8  # times as much is looked at when that does not reach back to what is looked for
_MOST_BYTES = 1 << 28  # of a file, from its end: a day of 3 kHz, looked at in seconds
_BLOCK_RECORDS = 16  # that are read to find one
_MAX_STRETCHES = 1000  # of a stream in a file: bounds the memory, where time runs back all the time


class Coverage:
    """The times that a file covers, by stream.

    Of a file that exists only its end is read at first; that is enough for data that come in order of time. Older data
    make it read back to them.

    Args:
        path: the file; it ends with a whole record.
        size_bytes: its size.

    Raises:
        OSError: the file cannot be read (from every method but `note`).
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._streams: dict[str, list[_Stretch]] = {}
        self._latest_ns: dict[str, int] = {}
        self._known_from = size_bytes  # what lies before is not known
        if size_bytes:
            self._read(max(0, size_bytes - _END_BYTES))

    def _read(self, begin: int) -> None:
        """Get to know what lies from about *begin* on."""
        self._streams, self._known_from = {}, begin
        file = RecordFile(self._path)
        place = file.place(begin) if begin else None
        for record in self._records(begin if place is None else place.offset, self._size_bytes):
            info = record.info
            self._add(info.name, info.start_ns, info.end_ns, record.offset, info.length_bytes, 1)

    def _records(self, begin: int, end: int) -> Iterator[RawRecord]:
        return RecordFile(self._path).records(begin, end)

    def note(self, run: RecordRun) -> None:
        """Take note that *run* was appended to the file."""
        self._add(str(run.stream), run.start_ns, run.end_ns, self._size_bytes, len(run.data), len(run))
        self._size_bytes += len(run.data)

    def _add(self, name: str, start_ns: int, end_ns: int, offset: int, size_bytes: int, count: int) -> None:
        stretches = self._streams.setdefault(name, [])
        if not stretches or not stretches[-1].is_continued_by(start_ns, end_ns):
            stretches.append(_Stretch())
            del stretches[:-_MAX_STRETCHES]
        stretches[-1].add(start_ns, end_ns, offset, size_bytes, count)
        self._latest_ns[name] = max(end_ns, self._latest_ns.get(name, end_ns))

    def overlapping(self, run: RecordRun, *, is_old: bool = False) -> list[RawRecord]:
        """Return the records of the same stream that hold samples of a time for which *run* has some, too.

        Args:
            run: records that are to be appended.
            is_old: they are not of the present, so that the file may end with older ones than it holds.
        """
        name, start_ns, end_ns = str(run.stream), run.start_ns, run.end_ns
        margin_ns = span_ns(CONTIGUOUS_SAMPLES, run.rate_hz) if run.rate_hz else 0
        if not is_old and start_ns - margin_ns > self._latest_ns.get(name, start_ns):
            return []  # as nearly always
        self._reach_back(name, start_ns - margin_ns, is_old)
        found: list[RawRecord] = []
        for stretch in self._streams.get(name, ()):
            begin, end = stretch.piece(start_ns - margin_ns, end_ns + margin_ns)
            if begin < end:
                found += (record for record in self._records(begin, end) if record.info.name == name)
        return [
            record
            for record in found
            if record.info.start_ns <= end_ns + margin_ns and record.info.end_ns >= start_ns - margin_ns
        ]

    def _reach_back(self, name: str, start_ns: int, is_old: bool) -> None:
        """Get to know the file back to *start_ns*, all of it for data that are old; of a huge one its end."""
        least = max(0, self._size_bytes - _MOST_BYTES)
        while self._known_from > least:
            stretches = self._streams.get(name)
            if stretches and not is_old and stretches[0].start_ns <= start_ns:
                return
            known_bytes = self._size_bytes - self._known_from
            self._read(least if is_old else max(least, self._size_bytes - _MORE * known_bytes))


class _Stretch:
    """Records of one stream, in the order of the file, in which time runs forward; known by blocks of some records."""

    __slots__ = ("_end_offset", "_ends_ns", "_offsets", "_room", "_starts_ns", "start_ns")

    def __init__(self) -> None:
        self.start_ns = 0
        self._starts_ns: list[int] = []
        self._ends_ns: list[int] = []
        self._offsets: list[int] = []
        self._end_offset = self._room = 0

    def is_continued_by(self, start_ns: int, end_ns: int) -> bool:
        """Whether records of such times may follow."""
        return start_ns >= self._starts_ns[-1] and end_ns >= self._ends_ns[-1]

    def add(self, start_ns: int, end_ns: int, offset: int, size_bytes: int, count: int) -> None:
        """Add *count* records."""
        if self._room <= 0:
            self.start_ns = start_ns if not self._starts_ns else self.start_ns
            self._starts_ns.append(start_ns)
            self._ends_ns.append(end_ns)
            self._offsets.append(offset)
            self._room = _BLOCK_RECORDS
        self._ends_ns[-1] = end_ns
        self._room -= count
        self._end_offset = offset + size_bytes

    def piece(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return the first byte and the end of what may hold samples between two times."""
        first, end = bisect_left(self._ends_ns, start_ns), bisect_right(self._starts_ns, end_ns)
        if first >= end:
            return 0, 0
        return self._offsets[first], self._offsets[end] if end < len(self._offsets) else self._end_offset
