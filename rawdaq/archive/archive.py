"""Files of records below one folder: each record appended once, and never onto a disk that is not there.

This blocks, so it runs in a thread of its disk. See ``docs/decisions/archive-files.md``.
"""

import errno
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rawdaq.archive.already_there import AlreadyThere
from rawdaq.archive.coverage import Coverage
from rawdaq.archive.extent import Extent
from rawdaq.archive.file import ArchiveFile
from rawdaq.archive.file_cache import FileCache
from rawdaq.archive.layout import ArchiveLayout
from rawdaq.archive.restart import RestartGaps
from rawdaq.disk.mounts import check_mounted
from rawdaq.disk.remedies import describe_write
from rawdaq.errors import ComponentError
from rawdaq.miniseed.format import RecordFormat, RecordRun
from rawdaq.publisher import PublisherUnavailable
from rawdaq.stream_id import StreamId

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What is wrong with one file, not with the disk.
_ONE_FILE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENODEV,
        errno.EWOULDBLOCK,
        errno.ENAMETOOLONG,
    }
)
_MAX_HELD_BYTES = 16_000_000  # of such files: a day of a dozen streams
#: What is held is tried again so often.
RETRY_S = 5.0


@dataclass(slots=True)
class _Unwritten:
    """Records that belong in one file and are not in it yet.

    Attributes:
        path: the file, below the folder, when there is none yet for its key.
        runs: the records.
        error: why they cannot be written.
        tried_s: when that was tried.
    """

    path: str
    runs: list[RecordRun] = field(default_factory=list[RecordRun])
    error: OSError | None = None
    tried_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Size of the records."""
        return sum(len(run.data) for run in tuple(self.runs))


class Archive:
    """Files of records below one folder.

    Args:
        root: the folder; `open` creates it.
        layout: which record belongs in which file.
        record_format: of records that are made anew, because a file has a part of them already.
        max_open_files: how many files stay open, as far as the limit of the process allows.
        log: where torn files and files that cannot be written are logged.
        clock_ns: the time, for the names of set-aside files and for ``%D``.

    Attributes:
        records: how many records were written.
        bytes: their size.
        restart: what is missing from a restart.
        is_repeated: whether what could not be written is given again at the next start: a journal has its samples.
    """

    def __init__(
        self,
        root: Path,
        layout: ArchiveLayout,
        record_format: RecordFormat,
        max_open_files: int,
        log: logging.Logger,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.records = 0
        self.bytes = 0
        self._root = root
        self._layout = layout
        self._log = log
        self._clock_ns = clock_ns
        self._already_there = AlreadyThere(record_format, log)
        self._files = FileCache(root, layout.keys_are_patterns, max_open_files, log, clock_ns)
        self.restart = RestartGaps(root, layout, log, clock_ns)
        self.is_repeated = False
        self._failed: dict[str, _Unwritten] | None = None  # the batch that will be given again
        self._held: dict[str, _Unwritten] = {}  # of files that cannot be written

    def open(self) -> None:
        """Create the folder and check that it can be written.

        Raises:
            ComponentError: it cannot; the text names cause and remedy.
        """
        try:
            check_mounted(self._root)
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root):
                pass
        except OSError as error:
            if error.errno not in _FULL:  # a full disk pauses an archive, it does not keep it from starting
                raise ComponentError(describe_write(error, self._root)) from error
        self._files.watch_folder()

    @property
    def device(self) -> int:
        """The disk that the folder is on, once it is open."""
        return self._files.device

    @property
    def failed(self) -> list[RecordRun] | None:
        """What of the batch that will be given again is in no file; None when there is no such batch."""
        return None if self._failed is None else [run for each in self._failed.values() for run in each.runs]

    @property
    def held(self) -> tuple[str, list[RecordRun]] | None:
        """Why records are held because their own file cannot be written, and these records; None: none are."""
        held = [each for each in tuple(self._held.values()) if each.runs]
        if not held:
            return None
        reasons = sorted({describe_write(each.error) for each in held if each.error})
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"{reasons[0]}{more}", [run for each in held for run in tuple(each.runs)]

    @property
    def held_bytes(self) -> int:
        """Size of the records that are held because their own file cannot be written."""
        return sum(held.size_bytes for held in tuple(self._held.values()))

    def status(self) -> dict[str, Any]:
        """Return the counters as `status` shows them."""
        return {
            "records": self.records,
            "bytes": self.bytes,
            "open_files": len(self._files),
            "unsynced_files": self._files.dirty_count,
            "torn_tails": self._files.torn_tails,
            "held_bytes": self.held_bytes,
            **self.restart.status(),
            "already_there": self._already_there.samples,
        }

    def write(self, runs: Sequence[RecordRun], *, must_sync: bool = False) -> None:
        """Append the records of *runs*, those of one file with one write.

        Args:
            runs: the records; after `PublisherUnavailable` the same again, of which only those are written that are
                not in their files yet.
            must_sync: return when they are on the disk.

        Raises:
            PublisherUnavailable: not all could be written.
        """
        files = self._by_file(runs) if self._failed is None else self._failed
        written = [(run.stream, key) for key, unwritten in files.items() for run in unwritten.runs]
        try:
            self.retry_held()
            self._write_all(files)
            if must_sync:
                self._files.sync()
        except OSError as error:
            self._failed = files
            raise PublisherUnavailable(describe_write(error)) from error
        finally:
            self._files.close_surplus()
        self._failed = None
        # Not before all is written: the file that one stream has left may be another's.
        self._files.close_previous(written)

    def _write_all(self, files: Mapping[str, _Unwritten]) -> None:
        """Write into all files that can be written, also where others cannot: a full disk may have room for some."""
        first_error: OSError | None = None
        for key, unwritten in files.items():
            try:
                self._write_or_hold(key, unwritten)
            except OSError as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error

    def _by_file(self, runs: Sequence[RecordRun]) -> dict[str, _Unwritten]:
        """Return *runs* by the key of the file that they belong in."""
        now_ns = self._clock_ns()
        files: dict[str, _Unwritten] = {}
        for run in runs:
            for place, part in self._layout.split(run, now_ns):
                if place.key not in files:
                    files[place.key] = _Unwritten(place.path)
                files[place.key].runs.append(part)
        return files

    def _write_or_hold(self, key: str, unwritten: _Unwritten) -> None:
        """Write into one file; hold the records when only that file cannot be written."""
        held = self._held.get(key)
        if held is None:
            try:
                return self._write_file(key, unwritten)
            except OSError as error:
                if error.errno not in _ONE_FILE:
                    raise
                self._log.error("%s; its records are held and tried again, other files go on", describe_write(error))
                held = self._held[key] = _Unwritten(unwritten.path, error=error, tried_s=time.monotonic())
        if held.error and self.held_bytes + unwritten.size_bytes > _MAX_HELD_BYTES:
            raise held.error  # from now on this file stops all: better than to lose what belongs in it
        held.runs += unwritten.runs
        unwritten.runs = []

    def _write_file(self, key: str, unwritten: _Unwritten) -> None:
        """Write into one file; what is written is removed from *unwritten*."""
        while unwritten.runs:
            file = self._files.open(key, unwritten.path)
            self.restart.check(unwritten.runs, is_repeated=self.is_repeated)
            try:
                self._append_some(file, unwritten)
            except OSError:
                self._files.close(key)  # what is wrong with it may be gone when it is opened again
                raise

    def _append_some(self, file: ArchiveFile, unwritten: _Unwritten) -> None:
        """Append with one write the first runs in which time runs forward, usually all."""
        count = _forward_count(unwritten.runs)
        rest = unwritten.runs[count:]
        unwritten.runs = self._not_there_yet(file, unwritten.runs[:count]) + rest
        some = unwritten.runs[: len(unwritten.runs) - len(rest)]
        file.is_dirty = True  # what is there already, a killed process may have written and not synced
        written = file.append(some) if some else 0
        before = unwritten.size_bytes
        unwritten.runs = _after(unwritten.runs, written)
        self.records += written
        self.bytes += before - unwritten.size_bytes

    def _not_there_yet(self, file: ArchiveFile, runs: Sequence[RecordRun]) -> list[RecordRun]:
        """Return what of *runs* is not in *file* yet: samples may come again, as when a file is played twice."""
        now_ns = self._clock_ns()
        missing = [part for run in runs for part in self._already_there.missing(run, file.coverage, now_ns)]
        return [part for run in missing for part in self._not_beside_yet(run, file, now_ns)]

    def _not_beside_yet(self, run: RecordRun, file: ArchiveFile, now_ns: int) -> list[RecordRun]:
        """Return what of *run* is not in the files before and after *file* either: cut elsewhere, it went there."""
        runs = [run]
        for name in self._layout.paths_beside(run, now_ns):
            path = self._root / name
            with suppress(OSError):  # missing, or unreadable, which holds nothing up
                if path != file.path:
                    coverage = Coverage(path, path.stat().st_size)
                    runs = [part for each in runs for part in self._already_there.missing(each, coverage, now_ns)]
        return runs

    def retry_held(self, *, at_once: bool = False) -> None:
        """Try to write what is held; unless *at_once*, not more often than every 5 s."""
        now_s = time.monotonic()
        for key, held in tuple(self._held.items()):
            if now_s - held.tried_s < RETRY_S and not at_once:
                continue
            held.tried_s = now_s
            written = [(run.stream, key) for run in held.runs]
            try:
                self._write_file(key, held)
            except OSError as error:
                held.error = error
            else:
                del self._held[key]
                self._files.close_previous(written)
                self._log.warning("%s can be written again; nothing of it is lost", self._root / held.path)

    def sync(self) -> None:
        """Return when all records are on the disk.

        Raises:
            PublisherUnavailable: the disk does not take them.
        """
        try:
            self._files.sync()
        except OSError as error:
            raise PublisherUnavailable(describe_write(error)) from error

    def close(self) -> None:
        """Close all files when all records are on the disk.

        Raises:
            ComponentError: records of some files could not be written and are lost.
        """
        self.retry_held(at_once=True)
        self._files.close_all()
        self._already_there.close()
        if self._held:
            runs = [run for held in self._held.values() for run in held.runs]
            reasons = "; ".join(sorted({describe_write(held.error) for held in self._held.values() if held.error}))
            self._held.clear()
            count = sum(map(len, runs))
            if not self.is_repeated:
                raise ComponentError(f"{count} records could not be written and are lost: {Extent(runs)} ({reasons})")
            self._log.warning("%d records could not be written; the journal has their samples: %s", count, reasons)


def _forward_count(runs: Sequence[RecordRun]) -> int:
    """Return how many of the first *runs* follow each other in time; samples may come twice in what follows these."""
    latest_ns: dict[StreamId, int] = {}
    for index, run in enumerate(runs):
        if run.start_ns <= latest_ns.get(run.stream, run.start_ns - 1):
            return index
        latest_ns[run.stream] = run.end_ns
    return len(runs)


def _after(runs: Sequence[RecordRun], count: int) -> list[RecordRun]:
    """Return *runs* without their first *count* records."""
    rest: list[RecordRun] = []
    for run in runs:
        if count < len(run):
            rest.append(run[count:] if count else run)
        count = max(0, count - len(run))
    return rest
