"""Waveform files of any kind as sources of samples: found by pattern, told apart by content, opened when needed.

miniSEED is read record by record, by `rawdaq.miniseed.file`. Everything else is read whole, by ObsPy, when its time has
come; ObsPy is not imported before.
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
from rawdaq.miniseed.reader import RecordUnreadable, is_miniseed, read_content
from rawdaq.packet import Samples
from rawdaq.replay.names import StreamNames
from rawdaq.stream_id import StreamId
from rawdaq.times import span_ns

_HEAD_BYTES = 64
_MAX_TOLD_PER_FILE = 5
_MAX_TOLD = 10_000  # in all: bounds what is remembered, and a log


class FileRefused(RawdaqError):
    """A file is not what it says, and that was not to be passed over."""


class Problems:
    """What is wrong with files: told once, counted, and with *is_strict* raised.

    Args:
        tell: where a line goes.
        is_strict: whether a file that is not right ends everything.

    Attributes:
        files: files that were skipped as a whole, and why.
        damages: how often a piece of a file was skipped.
    """

    def __init__(self, tell: Callable[[str], None], is_strict: bool = False) -> None:
        self.files: dict[Path, str] = {}
        self.damages = 0
        self._tell = tell
        self._is_strict = is_strict
        self._told: set[tuple[Path, str]] = set()
        self._told_of: Counter[Path] = Counter()

    def skip(self, path: Path, text: str) -> None:
        """Take note that a whole file, which *text* names, is skipped.

        Raises:
            FileRefused: that was not to be passed over.
        """
        self._refuse(text)
        self.files[path] = text
        self._tell_once(path, f"{text}; skipped")

    def note(self, path: Path, error: OSError | RawdaqError) -> None:
        """Take note that *error* ended the reading of a file.

        Raises:
            FileRefused: that was not to be passed over.
        """
        if isinstance(error, FileRefused):
            raise error
        # What ObsPy's home raises names the file.
        self.skip(path, f"cannot read {path}: {error.strerror or error}" if isinstance(error, OSError) else str(error))

    def damage(self, path: Path, text: str) -> None:
        """Take note that a piece of a file is skipped.

        Raises:
            FileRefused: that was not to be passed over.
        """
        self._refuse(f"{path}: {text}")
        self.damages += 1
        self.remark(path, text)

    def remark(self, path: Path, text: str) -> None:
        """Tell what is no fault of the file: a text among waveforms, a stream without a name."""
        self._tell_once(path, f"{path}: {text}")

    def _refuse(self, text: str) -> None:
        if self._is_strict:
            raise FileRefused(text)

    def _tell_once(self, path: Path, text: str) -> None:
        if (path, text) in self._told or len(self._told) >= _MAX_TOLD or self._told_of[path] > _MAX_TOLD_PER_FILE:
            return
        self._told.add((path, text))
        self._told_of[path] += 1
        self._tell(text if self._told_of[path] <= _MAX_TOLD_PER_FILE else f"{path}: more of that; only counted now")


class Piece(NamedTuple):
    """A gapless run of samples from a file."""

    stream: StreamId
    start_ns: int
    rate_hz: float
    samples: Samples
    timing_quality: int | None


class Unloaded(NamedTuple):
    """A piece that is not decoded yet.

    Attributes:
        start_ns: time of its first sample.
        size_bytes: the memory that it holds while it waits.
        load: returns the piece, None when there turns out to be none.
    """

    start_ns: int
    size_bytes: int
    load: Callable[[], Piece | None]


class Source(ABC):
    """A file that holds waveforms.

    Attributes:
        path: the file.
        extent: the time that it covers, as far as it is known before it is read.
    """

    def __init__(self, path: Path, extent: Extent, names: StreamNames, problems: Problems) -> None:
        self.path = path
        self.extent = extent
        self._names = names
        self._problems = problems

    def open(self, begin_ns: int) -> list[Iterator[Unloaded]]:
        """Return iterators over what reaches to *begin_ns* or beyond, each about in order of time.

        A file that cannot be read (any more) ends them, and is a problem.
        """
        try:
            return [self._safely(part) for part in self._parts(begin_ns)]
        except (OSError, RawdaqError) as error:
            self._problems.note(self.path, error)
            return []

    def _safely(self, part: Iterator[Unloaded]) -> Iterator[Unloaded]:
        try:
            yield from part
        except (OSError, RawdaqError) as error:
            self._problems.note(self.path, error)

    @abstractmethod
    def _parts(self, begin_ns: int) -> Iterable[Iterator[Unloaded]]: ...

    def _stream(self, name: str) -> StreamId | None:
        """Return what *name* of the file is called here, None when it is not wanted or cannot be named."""
        try:
            return self._names.find(name)
        except InvalidValue as error:
            self._problems.remark(self.path, f"{error}; left out")
            return None


class _MiniSeedSource(Source):
    """A miniSEED file: a part for each of its sections."""

    def __init__(self, file: RecordFile, extent: Extent, names: StreamNames, problems: Problems) -> None:
        super().__init__(file.path, extent, names, problems)
        self._file = file

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
            if not info.rate_hz:
                kind = "without samples" if not info.sample_count else "that holds no waveform"
                self._problems.remark(self.path, f"a record of {info.name} {kind} is left out")
                continue
            yield Unloaded(info.start_ns, info.length_bytes, partial(self._load, record, stream))

    def _load(self, record: RawRecord, stream: StreamId) -> Piece | None:
        info = record.info
        where = f"{info.length_bytes} bytes at offset {record.offset}"
        try:
            samples, quality, warning = read_content(record.data)
        except RecordUnreadable as error:
            self._problems.damage(self.path, f"{where} are skipped: {error}")
            return None
        if warning is not None:
            self._problems.remark(self.path, f"{where}: {warning}")
        if samples is None:
            self._problems.remark(self.path, f"a record of {info.name} that holds no waveform is left out")
            return None
        return Piece(stream, info.start_ns, info.rate_hz, samples, quality)


class _ObsPySource(Source):
    """Any other file, as one part."""

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

    Relative ones start from *folder*. Hidden files of folders are left out. What names nothing is a problem.
    """
    found: dict[Path, None] = {}
    for each in patterns:
        pattern = os.path.expanduser(each)
        path = folder / pattern
        named = [pattern] if os.path.lexists(path) else sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        if not named:
            reason = "nothing is called like that" if glob.has_magic(pattern) else "no such file"
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


def open_source(path: Path, names: StreamNames, problems: Problems) -> Source | None:
    """Return the source that *path* is, by its content; None when it is none, which is a problem."""
    try:
        return _source(path, names, problems)
    except (OSError, RawdaqError) as error:
        problems.note(path, error)
        return None


def _source(path: Path, names: StreamNames, problems: Problems) -> Source | None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        problems.skip(path, f"{path} is empty")
        return None
    if is_miniseed(head):
        records = RecordFile(path, problems.damage)
        extent = records.extent()
        if extent is None:
            problems.skip(path, f"{path} begins like miniSEED, but there is no record in it")
            return None
        return _MiniSeedSource(records, extent, names, problems)
    from rawdaq.replay.waveforms import waveform_extent

    return _ObsPySource(path, Extent(*waveform_extent(path)), names, problems)
