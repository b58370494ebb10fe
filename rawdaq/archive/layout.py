"""Which file of an archive a record belongs in: SDS, BUD, or any pattern of ringserver's letters."""

import glob
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.miniseed.format import Record, RecordRun
from rawdaq.miniseed.header import read_header
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY, NS_PER_S, to_calendar

#: Layouts that have a name.
LAYOUTS: Mapping[str, str] = {
    "sds": "%Y/%n/%s/%c.D/%n.%s.%l.%c.D.%Y.%j",
    "bud": "%n/%s/%s.%n.%l.%c.%Y.%j",
}

_TOKEN = re.compile(r"([%#])(.?)|([^%#]+)")

_DIGIT = "[0-9]"
#: The letters, and what each matches in the name of an existing file.
_WILDCARDS: Mapping[str, str] = {
    **dict.fromkeys("nslcqLrR", "*"),
    **dict.fromkeys("yHMS", _DIGIT * 2),
    "j": _DIGIT * 3,
    **dict.fromkeys("YF", _DIGIT * 4),
    "D": _DIGIT * 7,
}
_HEADER_LETTERS = frozenset("DqLrR")
#: What is the same for all files of a stream and a day.
_DAY_LETTERS = frozenset("nslcYyjD")
#: How long a letter stays the same; the others do so for a day or more.
_UNITS_NS: Mapping[str, int] = {"H": 3600 * NS_PER_S, "M": 60 * NS_PER_S, "S": NS_PER_S, "F": 100_000}
_MOST_SAMPLES_A_BYTE = 2  # of a record: STEIM2 has up to seven in four bytes
_MAX_CACHED = 10_000  # paths: a day of a large network


def _texts(stream: StreamId, start_ns: int) -> dict[str, str]:
    """Return the texts of the letters that need only the name and the time of a record."""
    start = to_calendar(start_ns)
    return {
        "n": stream.network,
        "s": stream.station,
        "l": stream.location,
        "c": stream.channel,
        "Y": f"{start.year:04d}",
        "y": f"{start.year % 100:02d}",
        "j": f"{start.day_of_year:03d}",
        "H": f"{start.hour:02d}",
        "M": f"{start.minute:02d}",
        "S": f"{start.second:02d}",
        "F": f"{start.nanosecond // 100_000:04d}",
    }


def _header_texts(record: Record, now_ns: int) -> dict[str, str]:
    """Return the texts of the other letters."""
    now, header = to_calendar(now_ns), read_header(record.data)
    if header is None:
        raise InvalidValue(f"record of {record.stream} is not a miniSEED record")
    return {
        "D": f"{now.year:04d}{now.day_of_year:03d}",
        "q": header.quality,
        "L": str(len(record.data)),
        "r": str(int(header.rate_hz + 0.5)),
        "R": f"{header.rate_hz:.6f}",
    }


class ArchivePath(NamedTuple):
    """Which file a record belongs in.

    Attributes:
        path: the file, below the archive's folder, when there is none yet for this key.
        key: what all records of one file have in common: a glob pattern of its name.
    """

    path: str
    key: str


class ArchiveLayout:
    """A pattern of file names below an archive's folder.

    ``%`` and a letter is replaced by what the record says: ``n`` network, ``s`` station, ``l`` location, ``c``
    channel; of its first sample ``Y`` year, ``y`` year with two digits, ``j`` day of year, ``H`` hour, ``M`` minute,
    ``S`` second, ``F`` fraction of it (0.0001 s); ``D`` today (UTC, year and day of year), ``q`` data quality or
    publication version, ``L`` record length, ``r`` sampling rate, rounded, ``R`` the rate with six decimals. ``#``
    and a letter is replaced likewise, but does not separate files: it describes the first record in the file.
    ``%%`` and ``##`` are the characters themselves.

    Args:
        layout: ``sds``, ``bud`` or a pattern.

    Raises:
        InvalidValue: the text says what is wrong.
    """

    def __init__(self, layout: str) -> None:
        pattern = LAYOUTS.get(layout, layout)
        parts = pattern.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise InvalidValue(f"layout {layout!r} is not a path below the archive's folder that ends in a file name")
        self._parts = [_part(layout, *match) for match in _TOKEN.findall(pattern)]
        letters = {(part.letter, part.is_defining) for part in self._parts if part.letter}
        if not any(is_defining for _, is_defining in letters):
            raise InvalidValue(f"layout {layout!r} is not {', '.join(LAYOUTS)} or a pattern with % letters")
        self.keys_are_patterns = not all(is_defining for _, is_defining in letters)
        self._unit_ns = min(_UNITS_NS.get(letter, NS_PER_DAY) for letter, _ in letters)
        self._paths: dict[tuple[StreamId, int], ArchivePath] = {}
        self._needs_header = any(letter in _HEADER_LETTERS for letter, _ in letters)

    def split(self, run: RecordRun, now_ns: int) -> Iterator[tuple[ArchivePath, RecordRun]]:
        """Yield the parts of *run* that belong in one file each, with its path, in their order."""
        begin, count = 0, len(run)
        while begin < count:
            end = self._end_of_unit(run, begin)
            part = run[begin:end] if end - begin < count else run
            yield self._path_of_run(part, now_ns), part
            begin = end

    def _end_of_unit(self, run: RecordRun, begin: int) -> int:
        """Return the index of the first record after *begin* that the pattern may put into another file."""
        unit, starts_ns = self._unit_ns, run.starts_ns
        if starts_ns[-1] // unit == starts_ns[begin] // unit:
            return len(run)  # times in a run only grow
        return bisect_left(starts_ns, (starts_ns[begin] // unit + 1) * unit, begin)

    def _path_of_run(self, run: RecordRun, now_ns: int) -> ArchivePath:
        """Return the file for the records of *run*, which are all of one unit of time."""
        if self._needs_header:
            return self.path(next(iter(run)), now_ns)
        return self._path_at(run, run.start_ns, now_ns)

    def _path_at(self, run: RecordRun, start_ns: int, now_ns: int) -> ArchivePath:
        """Return the file for a record like those of *run* that begins at *start_ns*, where no header is needed."""
        key = run.stream, start_ns // self._unit_ns
        path = self._paths.get(key)
        if path is None:
            if len(self._paths) >= _MAX_CACHED:
                self._paths.clear()
            path = self._paths[key] = self.path(next(iter(run))._replace(start_ns=start_ns), now_ns)
        return path

    def paths_beside(self, run: RecordRun, now_ns: int) -> list[str]:
        """Return the files in which records may have times of *run*: that of its time, and those before and after.

        Records before reach into its time, and it reaches into those after.
        """
        if self._needs_header or not run.rate_hz:
            return []
        unit_ns = self._unit_ns
        into_ns = run.start_ns % unit_ns
        begin_ns = run.start_ns - into_ns
        found = [run.start_ns]
        if into_ns < _MOST_SAMPLES_A_BYTE * run.length_bytes * NS_PER_S / run.rate_hz:
            found.append(begin_ns - 1)
        if run.end_ns >= begin_ns + unit_ns:
            found.append(begin_ns + unit_ns)
        return [self._path_at(run, start_ns, now_ns).path for start_ns in found]

    def day_pattern(self, record: Record, now_ns: int) -> str:
        """Return a glob pattern of all files that hold records of the stream and the day of *record*.

        Args:
            record: a record of that day.
            now_ns: the time at which it was written.
        """
        texts = _texts(record.stream, record.start_ns)
        if self._needs_header:
            texts |= _header_texts(record, now_ns)
        return self._pattern(texts, _DAY_LETTERS)

    def pattern_of(self, stream: StreamId, day_ns: int) -> str:
        """Return a glob pattern of all files that may hold records of *stream* that begin on the day of *day_ns*."""
        return self._pattern(_texts(stream, day_ns), _DAY_LETTERS - _HEADER_LETTERS)

    def _pattern(self, texts: Mapping[str, str], letters: frozenset[str]) -> str:
        """Return a glob pattern in which only *letters* are replaced by their *texts*."""
        return "".join(
            (glob.escape(texts[part.letter]) if part.letter in letters else _WILDCARDS[part.letter])
            if part.letter
            else glob.escape(part.text)
            for part in self._parts
        )

    def path(self, record: Record, now_ns: int) -> ArchivePath:
        """Return the file for *record*."""
        texts = _texts(record.stream, record.start_ns)
        if self._needs_header:
            texts |= _header_texts(record, now_ns)
        named = [texts[part.letter] if part.letter else part.text for part in self._parts]
        path = "".join(named)
        if not self.keys_are_patterns:
            return ArchivePath(path, path)
        parts = zip(named, self._parts, strict=True)
        return ArchivePath(
            path, "".join(glob.escape(text) if part.is_defining else _WILDCARDS[part.letter] for text, part in parts)
        )


class _Part(NamedTuple):
    """A part of a pattern: a letter, or fixed text."""

    letter: str
    text: str
    is_defining: bool


def _part(layout: str, mark: str, letter: str, text: str) -> _Part:
    if not mark or mark == letter:
        return _Part("", text or mark, is_defining=True)
    if letter not in _WILDCARDS:
        raise InvalidValue(f"layout {layout!r}: {mark}{letter} is unknown; the letters are {' '.join(_WILDCARDS)}")
    return _Part(letter, "", is_defining=mark == "%")
