"""Files of whole records below one folder: appended, never twice, never onto a disk that is not there.

This blocks, so it runs in a thread of its publisher. See ``docs/decisions/archive-files.md``.
"""

import errno
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rawdaq.archive.file import Appended, ArchiveFile, append_all
from rawdaq.archive.layout import ArchiveLayout
from rawdaq.archive.open_files import OpenFiles
from rawdaq.disk.mounts import device_below
from rawdaq.errors import ComponentError
from rawdaq.miniseed.format import RecordRun
from rawdaq.process.limits import first_for_sockets
from rawdaq.publisher import PublisherUnavailable

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What is wrong with one file, not with the disk.
_ONE_FILE = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EWOULDBLOCK, errno.ENAMETOOLONG}
)
_MAX_HELD_BYTES = 16_000_000  # of such files: a day of a dozen streams
_TRY_AGAIN_S = 5.0
_REMEDIES: Mapping[int | None, str] = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space or raise the quota",
    errno.EROFS: "mount that disk for writing",
    errno.EIO: "check the disk and its cable",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.ENOENT: "bring the folder, or what was mounted there, back",
    errno.ENOTDIR: "move the file that stands in the way of a folder",
    errno.EEXIST: "move the file that stands in the way of a folder",
    errno.EISDIR: "move the folder that stands in the way of a file",
    errno.EMFILE: "raise the limit (ulimit -n), or run fewer components in one process",
    errno.EWOULDBLOCK: "another program or publisher writes this file, give one of them its own path",
}


def _reason(error: OSError) -> str:
    """Return cause and remedy of *error* in one line."""
    remedy = _REMEDIES.get(error.errno, "see to the cause")
    return f"cannot write {error.filename}: {os.strerror(error.errno or 0)}; {remedy}"


class _Piece(NamedTuple):
    """Records of one file, and the place of the first among all that were given to be written."""

    first: int
    run: RecordRun


@dataclass(slots=True)
class _Held:
    """Records of a file that cannot be written now, and why."""

    path: str
    runs: list[RecordRun]
    error: OSError
    tried_s: float = -_TRY_AGAIN_S


class Archive:
    """Files of records below one folder.

    Args:
        root: the folder; `open` creates it.
        layout: which record belongs in which file.
        max_open_files: how many files stay open, as far as all archives of the process leave others enough.
        log: where torn files are told.
        clock_ns: the time, for the names of set-aside files and for ``%D``.

    Attributes:
        records: records written.
        bytes: their size.
    """

    def __init__(
        self,
        root: Path,
        layout: ArchiveLayout,
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
        self._files = OpenFiles(root, layout.has_free_parts, max_open_files, log, clock_ns)
        self._done = bytearray()  # of what will be given again, which records are written: 1, else 0
        self._held: dict[str, _Held] = {}
        self._device = 0
        self._device_below: int | None = None

    def open(self) -> None:
        """Create the folder and see that it can be written.

        Raises:
            ComponentError: it cannot; the text names cause and remedy.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root):
                pass
        except OSError as error:
            if error.errno not in _FULL:  # a full disk pauses an archive, it does not keep it from starting
                error.filename = self._root
                raise ComponentError(_reason(error)) from error
        self._device = os.stat(self._root).st_dev
        self._device_below = device_below(self._root)
        self._files.first_kept = first_for_sockets()

    @property
    def device(self) -> int:
        """The disk that the folder is on, once it is open."""
        return self._device

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return len(self._files)

    @property
    def unsynced_files(self) -> int:
        """How many files have records that may not be on the disk yet."""
        return len(self._files.dirty)

    @property
    def torn_tails(self) -> int:
        """How many torn ends were set aside."""
        return self._files.torn_tails

    @property
    def held_bytes(self) -> int:
        """Size of the records that wait because their own file cannot be written."""
        return sum(len(run.data) for held in tuple(self._held.values()) for run in tuple(held.runs))

    def write(self, runs: Sequence[RecordRun], *, must_sync: bool = False) -> None:
        """Append the records of *runs*, those of one file with one write.

        Args:
            runs: the records.
            must_sync: return when they are on the disk, and count none as delivered before.

        Raises:
            PublisherUnavailable: not all could be written. When the rest is given again, what of it was written
                meanwhile, in another file, is not written twice.
        """
        done = self._done.ljust(sum(map(len, runs)), b"\0")
        try:
            if self._held:
                self._check_root()
                self._write_held()
            groups = self._groups(runs, done)
            self._open_new(groups)
            self._write_open(groups, done)
            if b"\0" in done:
                self._check_root()  # a file that its path leads to has shown that the folder is there
                for key, (path, pieces) in self._groups(runs, done).items():
                    self._write_or_hold(key, path, pieces, done)
            if must_sync and (refused := self._files.sync()):
                raise refused
            # Not before all is written: the file that one stream has left may be another's.
            self._close_left((key, pieces) for key, (_, pieces) in groups.items())
        except OSError as error:
            delivered = 0 if must_sync else (done + b"\0").find(b"\0")
            self._done = done[delivered:]
            raise PublisherUnavailable(_reason(error), delivered) from error
        finally:
            self._files.give_back()
        self._done = bytearray()

    def _write_or_hold(self, key: str, path: str, pieces: Sequence[_Piece], done: bytearray) -> None:
        """Write *pieces* into one file; what is wrong with that file alone does not stop the others."""
        try:
            if key not in self._held:
                self._write_group(key, path, pieces, done)
                return
        except OSError as error:
            if error.errno not in _ONE_FILE:
                raise
            self._log.error("%s; its records are held and tried again, other files go on", _reason(error))
            self._held[key] = _Held(path, [], error)
        held = self._held[key]
        new = _left(pieces, done)
        if self.held_bytes + sum(len(run.data) for run in new) > _MAX_HELD_BYTES:
            raise held.error  # from now on this file holds up all: better than to lose what belongs in it
        held.runs.extend(new)
        for begin, run in pieces:
            done[begin : begin + len(run)] = b"\1" * len(run)

    def _write_held(self, *, is_last: bool = False) -> None:
        """Try again what could not be written, now and then."""
        now_s = time.monotonic()
        for key, held in tuple(self._held.items()):
            if now_s - held.tried_s < _TRY_AGAIN_S and not is_last:
                continue
            held.tried_s = now_s
            done = bytearray(sum(map(len, held.runs)))
            begins = itertools.accumulate(map(len, held.runs), initial=0)
            pieces = [_Piece(begin, run) for begin, run in zip(begins, held.runs, strict=False)]
            try:
                self._write_group(key, held.path, pieces, done)
            except OSError as error:
                held.error = error
                held.runs[:] = _left(pieces, done)
            else:
                del self._held[key]
                self._close_left([(key, pieces)])
                self._log.warning("%s can be written again; nothing of it is lost", self._root / held.path)

    def _check_root(self) -> None:
        """Refuse a folder that is gone, or is only the mount point of a disk that is; accept a disk that came back."""
        device = os.stat(self._root).st_dev
        if device == self._device_below:
            raise FileNotFoundError(errno.ENOENT, "", self._root)
        if device != self._device:
            self._files.close_all()  # what is held stays so: it may be possible to write it on this disk
            self._device = device

    def _groups(self, runs: Sequence[RecordRun], done: bytearray) -> dict[str, tuple[str, list[_Piece]]]:
        """Return by key the path and what belongs in one file, leaving out what is *done*."""
        now_ns = self._clock_ns()
        groups: dict[str, tuple[str, list[_Piece]]] = {}
        begin = 0
        for run in runs:
            count = len(run)
            for first, end in _stretches(done, begin, begin + count):
                left = run if end - first == count else run[first - begin : end - begin]
                for place, part in self._layout.split(left, now_ns):
                    if (group := groups.get(place.key)) is None:
                        group = groups[place.key] = place.path, []
                    group[1].append(_Piece(first, part))
                    first += len(part)
            begin += count
        return groups

    def _open_new(self, groups: Mapping[str, tuple[str, Sequence[_Piece]]]) -> None:
        """Open the files of *groups* that are not open, all at once; one that cannot be so is opened alone later."""
        new = [(key, path) for key, (path, _) in groups.items() if key not in self._files and key not in self._held]
        if new:
            self._check_root()
            self._files.open_new(new)

    def _write_open(self, groups: Mapping[str, tuple[str, Sequence[_Piece]]], done: bytearray) -> None:
        """Write what belongs in open files, all at once; from an error on it is not *done* and can be tried again."""
        ready = [(key, self._files[key], pieces) for key, (_, pieces) in groups.items() if key in self._files]
        appended = append_all([(file, [piece.run for piece in pieces]) for _, file, pieces in ready])
        for (key, file, pieces), outcome in zip(ready, appended, strict=False):
            self._settle(key, file, pieces, outcome, done)

    def _write_group(self, key: str, path: str, pieces: Sequence[_Piece], done: bytearray) -> None:
        """Write *pieces* into one file and mark in *done* which of their records are in it."""
        try:
            file = self._files.open(key, path)
        except OSError as opening:
            opening.filename = opening.filename or self._root / path
            raise
        (appended,) = append_all([(file, [piece.run for piece in pieces])])
        if error := self._settle(key, file, pieces, appended, done):
            raise error

    def _settle(
        self, key: str, file: ArchiveFile, pieces: Sequence[_Piece], appended: Appended, done: bytearray
    ) -> OSError | None:
        """Mark in *done* which records of *pieces* are in *file*; close one with which something is wrong."""
        if appended.size_bytes < 0:
            self._files.close(key)
            return OSError(appended.error or errno.ENOENT, "", str(file.path))
        whole, error = file.settle([piece.run for piece in pieces], appended)
        self.records += whole
        for first, run in pieces:
            count = min(whole, len(run))
            done[first : first + count] = b"\1" * count
            self.bytes += count * run.length_bytes
            whole -= count
        if error is None:
            self._files.keep(key)
        else:
            self._files.close(key)  # what is wrong with it may be gone when it is opened again
        return error

    def _close_left(self, written: Iterable[tuple[str, Sequence[_Piece]]]) -> None:
        """Close the files that streams of *written*, keys and their pieces, have left."""
        self._files.close_left((key, [run.stream for _, run in pieces]) for key, pieces in written)

    def sync(self) -> None:
        """Return when all records are on the disk.

        Raises:
            PublisherUnavailable: the disk does not take them.
        """
        if error := self._files.sync():
            raise PublisherUnavailable(_reason(error)) from error

    def close(self) -> None:
        """See that all records are on the disk and close all files.

        Raises:
            ComponentError: records of some files could not be written and are lost.
        """
        self._write_held(is_last=True)
        self._files.close_all()
        if self._held:
            lost = sum(len(run) for held in self._held.values() for run in held.runs)
            reasons = "; ".join(sorted({_reason(held.error) for held in self._held.values()}))
            self._held.clear()
            raise ComponentError(f"{lost} records could not be written and are lost: {reasons}")


def _left(pieces: Sequence[_Piece], done: bytearray) -> list[RecordRun]:
    """Return what of *pieces* is not *done*."""
    return [
        run[first - begin : end - begin]
        for begin, run in pieces
        for first, end in _stretches(done, begin, begin + len(run))
    ]


def _stretches(done: bytearray, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield first and end of the stretches from *begin* to *end* that are not *done*."""
    while (begin := done.find(b"\0", begin, end)) >= 0:
        stop = done.find(b"\1", begin, end)
        stop = end if stop < 0 else stop
        yield begin, stop
        begin = stop
