"""One file of an archive: locked, ending with a whole record; a torn end that a crash left is set aside first."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rawdaq.archive.layout import TORN
from rawdaq.disk.files import open_locked
from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.header import MAX_HEADER_BYTES, RecordHeader, read_header
from rawdaq.times import to_iso

#: Where the last records of a miniSEED 3 file are searched; a file with longer ones is read from its start.
_TAIL_BYTES = 1 << 18
_COPY_BYTES = 1 << 20


class ArchiveFile:
    """A file to which whole records are appended.

    Args:
        path: the file; it and its folders are created.
        now_ns: the time, for the name of what is set aside.

    Attributes:
        path: the file.
        descriptor: the system's number of it.
        set_aside: where its torn end was moved, and how long that is.
        is_dirty: whether records may not be on the disk yet.

    Raises:
        OSError: it cannot be opened, or another program or publisher writes it.
    """

    def __init__(self, path: Path, now_ns: int) -> None:
        self.path = path
        self.set_aside: tuple[Path, int] | None = None
        self.is_dirty = False
        self._error: OSError | None = None
        self.descriptor = _open(path)
        try:
            status = os.fstat(self.descriptor)
            self._identity = status.st_dev, status.st_ino
            end = end_of_records(self.descriptor, status.st_size)
            if end < status.st_size:
                self.set_aside = _set_aside(self.descriptor, path, end, now_ns), status.st_size - end
                os.ftruncate(self.descriptor, end)
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


def _open(path: Path) -> int:
    try:
        return open_locked(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_locked(path)


def _with_path(error: OSError, path: Path) -> OSError:
    """Return *error* with the name of the file that it is about."""
    return OSError(error.errno, error.strerror, error.filename or str(path))


def end_of_records(fd: int, size_bytes: int) -> int:
    """Return where the last whole record of a file of *size_bytes* ends; 0 when it does not begin with one.

    Most files are not read whole for that: the last record of a file with records of one length, or the records that
    are found near its end, are enough. Any other file is walked from header to header.
    """
    first = _header_at(fd, 0) if size_bytes else None
    if first is None:
        return 0
    if first.version == 2:
        end = size_bytes - size_bytes % first.length_bytes
        last = _header_at(fd, end - first.length_bytes) if end else None
        if last and last.length_bytes == first.length_bytes:
            return end
    elif _ends_whole(fd, size_bytes):
        return size_bytes
    return _walk(fd, 0, size_bytes)


def _header_at(fd: int, offset: int) -> RecordHeader | None:
    return read_header(os.pread(fd, MAX_HEADER_BYTES, offset))


def _ends_whole(fd: int, size_bytes: int) -> bool:
    """Whether the miniSEED 3 records near the end lead exactly to it."""
    begin = max(0, size_bytes - _TAIL_BYTES)
    tail = os.pread(fd, _TAIL_BYTES, begin)
    at = tail.find(b"MS\x03")
    while at >= 0 and _header_at(fd, begin + at) is None:
        at = tail.find(b"MS\x03", at + 1)
    return at >= 0 and _walk(fd, begin + at, size_bytes) == size_bytes


def _walk(fd: int, offset: int, size_bytes: int) -> int:
    """Return where the last of the whole records that follow each other from *offset* ends."""
    while header := _header_at(fd, offset):
        if offset + header.length_bytes > size_bytes:
            break
        offset += header.length_bytes
    return offset


def _set_aside(fd: int, path: Path, begin: int, now_ns: int) -> Path:
    """Copy what follows *begin* into a new file beside *path* and return that; it is on the disk then."""
    target, copy = _new_beside(path, now_ns)
    try:
        while block := os.pread(fd, _COPY_BYTES, begin):
            begin += os.write(copy, block)
        os.fsync(copy)
    except OSError:
        target.unlink()
        raise
    finally:
        os.close(copy)
    return target


def _new_beside(path: Path, now_ns: int) -> tuple[Path, int]:
    """Create a file beside *path* under a new name; return its path and its descriptor.

    It is a hidden one, so that ``archive/*/*/*/*/*`` and programs that read archives find data files only.
    """
    stamp = to_iso(now_ns, 0).replace("-", "").replace(":", "")
    number = 0
    while True:
        target = path.with_name(f".{path.name}{TORN}{stamp}" + (f"-{number}" if number else ""))
        try:
            return target, os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            number += 1
