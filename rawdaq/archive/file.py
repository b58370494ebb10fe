"""One file of an archive: locked, ending with a whole record; a torn end that a crash left is set aside first."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rawdaq.archive.coverage import Coverage
from rawdaq.archive.whole_records import whole_records
from rawdaq.disk.files import open_locked
from rawdaq.disk.set_aside import set_aside
from rawdaq.miniseed.format import RecordRun


class ArchiveFile:
    """A file to which whole records are appended.

    Args:
        path: the file; it and its folders are created.
        now_ns: the time, for the name of what is set aside.
        root: the archive's folder, which is not created: it may have been taken away.

    Attributes:
        path: the file.
        descriptor: the system's number of it.
        bad_bytes: how many bytes stand before its first record; they stay there.
        set_aside: where its torn end was moved, and how long that is.
        is_dirty: whether records may not be on the disk yet.
        coverage: which times it covers.

    Raises:
        OSError: it cannot be opened, or another program or publisher writes it.
    """

    def __init__(self, path: Path, now_ns: int, root: Path | None = None) -> None:
        self.path = path
        self.bad_bytes = 0
        self.set_aside: tuple[Path, int] | None = None
        self.is_dirty = False
        self._error: OSError | None = None
        self.descriptor = _open(path, root)
        try:
            status = os.fstat(self.descriptor)
            self._identity = status.st_dev, status.st_ino
            self.bad_bytes, end = whole_records(self.descriptor, status.st_size)
            if end < status.st_size:
                self.set_aside = set_aside(self.descriptor, path, end, now_ns), status.st_size - end
                os.ftruncate(self.descriptor, end)
            self.coverage = Coverage(path, end)
        except OSError as error:
            os.close(self.descriptor)
            raise _with_path(error, path) from error

    def is_in_place(self) -> bool:
        """Return whether its path still leads to it: it may have been moved, or its disk may be gone."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return self._identity == (status.st_dev, status.st_ino)

    def append(self, runs: Sequence[RecordRun]) -> int:
        """Append the records of *runs* with one write, and return how many are in the file.

        When not all are, the next call raises the reason, and the file must be closed.

        Raises:
            OSError: the disk takes no more.
        """
        if self._error is not None:
            raise self._error
        self.is_dirty = True
        data, written = memoryview(b"".join([run.data for run in runs])), 0
        try:
            while written < len(data):
                written += os.write(self.descriptor, data[written:])
        except OSError as error:
            self._error = _with_path(error, self.path)
            return self._cut(runs, written)
        for run in runs:
            self.coverage.note(run)
        return sum(map(len, runs))

    def _cut(self, runs: Sequence[RecordRun], written: int) -> int:
        """Cut off a part of a record; return how many records are in the first *written* bytes of *runs*."""
        count = whole = 0
        for length in (run.length_bytes for run in runs for _ in range(len(run))):
            if whole + length > written:
                break
            count, whole = count + 1, whole + length
        with suppress(OSError):  # the torn end is found, and set aside, when the file is opened again
            os.ftruncate(self.descriptor, os.fstat(self.descriptor).st_size - written + whole)
        return count

    def sync(self) -> None:
        """Return when all records are on the disk.

        Raises:
            OSError: the disk refuses that.
        """
        if self.is_dirty:
            try:
                os.fsync(self.descriptor)
            except OSError as error:
                raise _with_path(error, self.path) from error
            self.is_dirty = False

    def close(self) -> None:
        """Release the file."""
        os.close(self.descriptor)


def _open(path: Path, root: Path | None) -> int:
    try:
        return open_locked(path)
    except FileNotFoundError:
        for folder in reversed([each for each in path.parents if root is None or root in each.parents]):
            folder.mkdir(exist_ok=True)
        return open_locked(path)


def _with_path(error: OSError, path: Path) -> OSError:
    """Return *error* with the name of the file that it is about."""
    return OSError(error.errno, error.strerror, error.filename or str(path))
