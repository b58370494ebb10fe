"""Waveform files of any format: found by pattern, recognized by content, opened when their first sample is due.

miniSEED is read record by record, by `rawdaq.miniseed.file`. Every other format is read whole, by ObsPy, which is not
imported before.
"""

import glob
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.miniseed.file import Extent, RawRecord, RecordFile
from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.header import MAX_HEADER_BYTES, find_record, read_header
from rawdaq.miniseed.reader import RecordUnreadable, is_miniseed, moved, read_content
from rawdaq.packet import Marks, Samples
from rawdaq.replay.names import StreamNames
from rawdaq.stream_id import StreamId
from rawdaq.times import span_ns

_HEAD_BYTES = 1 << 16  # within which the first record begins, when there is one
_CONTAINERS = ((0, b"PK\3\4"), (257, b"ustar"))  # zip and tar, whatever they hold
_MAX_LOGGED_PER_FILE = 5
_MAX_LOGGED = 10_000  # in all: bounds the memory, and the log


class FileRefused(RawdaqError):
    """A file or a part of it cannot be read, and *is_strict* is set."""


class Problems:
    """What is wrong with files: logged once, counted, and with *is_strict* raised.

    Args:
        log: logs one line.
        is_strict: raise instead of skipping a file or a part of one.

    Attributes:
        files: files that were skipped as a whole, and why.
        damages: how often a piece of a file was skipped.
    """

    def __init__(self, log: Callable[[str], None], is_strict: bool = False) -> None:
        self.files: dict[Path, str] = {}
        self.damages = 0
        self._log = log
        self._is_strict = is_strict
        self._logged: set[tuple[Path, str]] = set()
        self._logged_of: Counter[Path] = Counter()

    def skip(self, path: Path, text: str) -> None:
        """Log that a whole file, which *text* names, is skipped.

        Raises:
            FileRefused: *is_strict* is set.
        """
        self._refuse(text)
        self.files[path] = text
        self._log_once(path, f"{text}; skipped")

    def fail(self, path: Path, error: OSError | RawdaqError) -> None:
        """Log that *error* ended the reading of a file.

        Raises:
            FileRefused: *is_strict* is set.
        """
        if isinstance(error, FileRefused):
            raise error
        # The errors of `waveforms` name the file.
        self.skip(path, f"cannot read {path}: {error.strerror or error}" if isinstance(error, OSError) else str(error))

    def damage(self, path: Path, text: str) -> None:
        """Log that a part of a file is skipped.

        Raises:
            FileRefused: *is_strict* is set.
        """
        self._refuse(f"{path}: {text}")
        self.damages += 1
        self.remark(path, text)

    def remark(self, path: Path, text: str) -> None:
        """Log what is not a fault of the file: a text among waveforms, a stream without a name."""
        self._log_once(path, f"{path}: {text}")

    def _refuse(self, text: str) -> None:
        if self._is_strict:
            raise FileRefused(text)

    def _log_once(self, path: Path, text: str) -> None:
        count = self._logged_of[path]
        if (path, text) in self._logged or len(self._logged) >= _MAX_LOGGED or count > _MAX_LOGGED_PER_FILE:
            return
        self._logged.add((path, text))
        self._logged_of[path] += 1
        self._log(text if count < _MAX_LOGGED_PER_FILE else f"{path}: more of that; only counted now")


class Piece(NamedTuple):
    """A gapless run of samples from a file."""

    stream: StreamId
    start_ns: int
    rate_hz: float
    samples: Samples
    timing_quality: int | None
    marks: Marks | None = None


class Unloaded(NamedTuple):
    """A piece that is not decoded yet.

    Attributes:
        start_ns: time of its first sample.
        size_bytes: the memory that it holds while it waits.
        load: returns the piece, or a record as it is that holds no waveform; None when it cannot be used.
    """

    start_ns: int
    size_bytes: int
    load: Callable[[], Piece | RecordRun | None]


class Source(ABC):
    """A file that holds waveforms.

    Attributes:
        path: the file.
        extent: the time that it covers, as far as that is known before it is read.
    """

    def __init__(self, path: Path, extent: Extent, names: StreamNames, problems: Problems) -> None:
        self.path = path
        self.extent = extent
        self._names = names
        self._problems = problems

    def open(self, begin_ns: int) -> list[Iterator[Unloaded]]:
        """Return iterators over what reaches to *begin_ns* or beyond, each about in order of time.

        When the file cannot be read any more, they end and that is logged.
        """
        try:
            return [self._safely(part) for part in self._parts(begin_ns)]
        except (OSError, RawdaqError) as error:
            self._problems.fail(self.path, error)
            return []

    def _safely(self, part: Iterator[Unloaded]) -> Iterator[Unloaded]:
        try:
            yield from part
        except (OSError, RawdaqError) as error:
            self._problems.fail(self.path, error)

    @abstractmethod
    def _parts(self, begin_ns: int) -> Iterable[Iterator[Unloaded]]: ...

    def _stream(self, name: str) -> StreamId | None:
        """Return the stream that is called *name* in the file, None when it is not selected or the name is invalid."""
        try:
            return self._names.find(name)
        except InvalidValue as error:
            self._problems.remark(self.path, f"{error}; left out")
            return None


class _MiniSeedSource(Source):
    """A miniSEED file: a part for each of its sections."""

    def __init__(
        self, file: RecordFile, extent: Extent, names: StreamNames, problems: Problems, has_texts: bool
    ) -> None:
        super().__init__(file.path, extent, names, problems)
        self._file = file
        self._has_texts = has_texts

    def _parts(self, begin_ns: int) -> Iterable[Iterator[Unloaded]]:
        for section in self._file.sections():
            begin = section[0] if begin_ns <= self.extent.start_ns else self._file.find_time(section, begin_ns)
            yield self._part(begin, section[1], begin_ns)

    def _part(self, begin: int, end: int, begin_ns: int) -> Iterator[Unloaded]:
        for record in self._file.records(begin, end):
            info = record.info
            stream = self._stream(info.name)
            if stream is None or info.end_ns < begin_ns:
                continue
            load = self._load if info.rate_hz else self._load_text
            yield Unloaded(info.start_ns, info.length_bytes, partial(load, record, stream))

    def _load_text(self, record: RawRecord, stream: StreamId) -> RecordRun | None:
        """Return a record that holds no waveform as it is, but for its name."""
        info, data = record.info, record.data
        where = f"{info.length_bytes} bytes at offset {record.offset}"
        if wrong := _why_no_text(data):
            self._problems.damage(self.path, f"{where} are skipped: {wrong}")
            return None
        if not self._has_texts:
            kind = "without samples" if not info.sample_count else "that holds no waveform"
            self._problems.remark(self.path, f"a record of {info.name} {kind} is left out")
            return None
        if not info.sample_count:
            self._problems.remark(self.path, f"{where}: a record of {info.name} without samples goes to archives only")
        try:
            is_right = str(stream) == info.name and read_header(data) is not None
            return RecordRun(
                stream, [info.start_ns], [info.sample_count], 0.0, data if is_right else moved(data, stream, 0)
            )
        except RecordUnreadable as error:
            self._problems.remark(self.path, f"a record of {info.name} is left out as {stream}: {error}")
            return None

    def _load(self, record: RawRecord, stream: StreamId) -> Piece | RecordRun | None:
        info = record.info
        where = f"{info.length_bytes} bytes at offset {record.offset}"
        try:
            samples, quality, marks, warning = read_content(record.data)
        except RecordUnreadable as error:
            self._problems.damage(self.path, f"{where} are skipped: {error}")
            return None
        if warning is not None:
            self._problems.remark(self.path, f"{where}: {warning}")
        if samples is None:
            return self._load_text(record, stream)
        return Piece(stream, info.start_ns, info.rate_hz, samples, quality, marks)


def _why_no_text(data: bytes) -> str | None:
    """Return what is wrong with a record that has no rate or no samples; None when it is a text or holds nothing."""
    if read_header(data) is None:
        return None  # it does not say how its content is stored
    try:
        return None if read_content(data).samples is None else "there are samples, and no rate"
    except RecordUnreadable as error:
        return str(error)


class _ObsPySource(Source):
    """A file of another format, which ObsPy reads, as one part."""

    def _parts(self, begin_ns: int) -> Iterable[Iterator[Unloaded]]:
        if self.extent.end_ns < begin_ns:
            return []
        return [iter(self._read(begin_ns))]

    def _read(self, begin_ns: int) -> list[Unloaded]:
        from rawdaq.replay.waveforms import read_waveforms

        found: list[Unloaded] = []
        for name, start_ns, rate_hz, samples in read_waveforms(self.path):
            stream = self._stream(name)
            if stream is not None and start_ns + span_ns(samples.size - 1, rate_hz) >= begin_ns:
                piece = Piece(stream, start_ns, rate_hz, samples, None)
                found.append(Unloaded(start_ns, samples.nbytes, partial(_itself, piece)))
        return found


def _itself(piece: Piece) -> Piece:
    return piece


def find_files(patterns: Iterable[str | Path], problems: Problems, folder: Path = Path()) -> list[Path]:
    """Return the files that *patterns* name: files, folders with all that is below them, and globs (also ``**``).

    Relative ones start from *folder*. Hidden files of folders are left out. A pattern without a file is logged.
    """
    found: dict[Path, None] = {}
    for each in patterns:
        pattern = os.path.expanduser(each)
        path = folder / pattern
        named = [pattern] if os.path.lexists(path) else sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        if not named:
            reason = "no file has such a name" if glob.has_magic(pattern) else "no such file"
            problems.skip(path, f"{path}: {reason}")
        for name in named:
            found |= dict.fromkeys(_below(folder / name))
    return list(found)


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def open_source(path: Path, names: StreamNames, problems: Problems, has_texts: bool = False) -> Source | None:
    """Return *path* as a source, by its content; None when it holds no waveforms, which is logged.

    Args:
        path: the file.
        names: selects and renames the streams.
        problems: called with what is wrong with the file.
        has_texts: return records that hold no waveform, such as texts, as they are; by default they are left out.
    """
    try:
        return _source(path, names, problems, has_texts)
    except (OSError, RawdaqError) as error:
        problems.fail(path, error)
        return None


def _source(path: Path, names: StreamNames, problems: Problems, has_texts: bool) -> Source | None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        problems.skip(path, f"{path} is empty")
        return None
    if _holds_records(head):
        records = RecordFile(path, problems.damage)
        extent = records.extent()
        if extent is None:
            problems.skip(path, f"{path} looks like miniSEED, but there is no record in it")
            return None
        return _MiniSeedSource(records, extent, names, problems, has_texts)
    from rawdaq.replay.waveforms import waveform_extent

    return _ObsPySource(path, Extent(*waveform_extent(path)), names, problems)


def _holds_records(head: bytes) -> bool:
    """Whether the file that begins with *head* is miniSEED, perhaps behind bytes that a crash or a bad disk left."""
    if is_miniseed(head):
        return True
    if any(head.startswith(mark, offset) for offset, mark in _CONTAINERS):
        return False
    at = find_record(head, 0)
    while at is not None and read_header(head[at : at + MAX_HEADER_BYTES]) is None:
        at = find_record(head, at + 1)
    return at is not None
