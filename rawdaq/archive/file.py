"""One file of an archive: open, locked, at the end of a whole record; what a crash has torn is set aside first."""

import errno
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rawdaq.archive.layout import TORN
from rawdaq.disk.lock import lock
from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.header import MAX_HEADER_BYTES, RecordHeader, read_header
from rawdaq.times import to_iso

#: Where the last records of a miniSEED 3 file are searched; a file with longer ones is read from its start.
_TAIL_BYTES = 1 << 18
_COPY_BYTES = 1 << 20


class Opened(NamedTuple):
    """A file that is open for appending, and locked.

    Attributes:
        descriptor: the system's number of it; less than 0: it is not open.
        device: with `inode`, which file it is.
        inode: see `device`.
        size_bytes: how long it is.
        error: why it is not open (`errno`), else 0.
    """

    descriptor: int
    device: int = 0
    inode: int = 0
    size_bytes: int = 0
    error: int = 0


class Appended(NamedTuple):
    """How far the records of one file got.

    Attributes:
        size_bytes: how long the file was before; less than 0: nothing was written, because its path does not lead to
            it any more.
        written_bytes: how much of the records is in it.
        error: why not all (`errno`), else 0.
    """

    size_bytes: int
    written_bytes: int = 0
    error: int = 0


class ArchiveFile:
    """A file that is appended to by whole records.

    Args:
        path: the file; it and its folders are created.
        now_ns: the time, for the name of what is set aside.
        opened: what `open_all` made of it; by default it is opened now.

    Attributes:
        path: the file.
        set_aside: where its torn end was moved, and how long that is.
        is_dirty: whether records may not be on the disk yet.

    Raises:
        OSError: it cannot be opened, or another program or publisher writes it.
    """

    def __init__(self, path: Path, now_ns: int, opened: Opened | None = None) -> None:
        self.path = path
        self.set_aside: tuple[Path, int] | None = None
        self.is_dirty = False
        opened = opened or open_all([path])[0]
        if opened.error:
            raise OSError(opened.error, os.strerror(opened.error), str(path))
        self._fd = opened.descriptor
        self._identity = opened.device, opened.inode
        try:
            end = end_of_records(self._fd, opened.size_bytes)
            if end < opened.size_bytes:
                self.set_aside = _set_aside(self._fd, path, end, now_ns), opened.size_bytes - end
                os.ftruncate(self._fd, end)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, runs: Sequence[RecordRun]) -> Appended:
        """Write the records of *runs*; see `append_all`."""
        self.is_dirty = True
        try:
            status = os.stat(self.path)
        except OSError as error:
            return Appended(-1, 0, 0 if error.errno == errno.ENOENT else error.errno or errno.EIO)
        if self._identity != (status.st_dev, status.st_ino):
            return Appended(-1)
        data, written = memoryview(b"".join([run.data for run in runs])), 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            return Appended(status.st_size, written, error.errno or errno.EIO)
        return Appended(status.st_size, written)

    def settle(self, runs: Sequence[RecordRun], appended: Appended) -> tuple[int, OSError | None]:
        """Return how many records of *runs* are in the file, and why not all; a part of one is cut off."""
        if not appended.error:
            return sum(map(len, runs)), None
        ends = list(itertools.accumulate(run.length_bytes for run in runs for _ in range(len(run))))
        whole = sum(end <= appended.written_bytes for end in ends)
        self._truncate(appended.size_bytes + (ends[whole - 1] if whole else 0))
        return whole, OSError(appended.error, os.strerror(appended.error), str(self.path))

    def _truncate(self, size_bytes: int) -> None:
        try:
            os.ftruncate(self._fd, size_bytes)
        except OSError:
            pass  # whoever opens the file next finds the torn end and sets it aside

    @property
    def descriptor(self) -> int:
        """The system's number of the open file."""
        return self._fd

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)


def open_all(paths: Sequence[Path]) -> list[Opened]:
    """Open each of *paths* up to the first error; folders are created.

    Returns:
        What became of those that were tried; `ArchiveFile` makes files of them.
    """
    opened: list[Opened] = []
    for path in paths:
        opened.append(_open(path))
        if opened[-1].error:
            break
    return opened


def _open(path: Path) -> Opened:
    try:
        fd = _open_or_create(path)
    except OSError as error:
        return Opened(-1, error=error.errno or errno.EIO)
    try:
        lock(fd)
        status = os.fstat(fd)
    except OSError as error:
        os.close(fd)
        return Opened(-1, error=error.errno or errno.EIO)
    return Opened(fd, status.st_dev, status.st_ino, status.st_size)


def _open_or_create(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)


def append_all(wanted: Sequence[tuple[ArchiveFile, Sequence[RecordRun]]]) -> list[Appended]:
    """Write the records of each file up to the first error.

    Returns:
        How far those of each file got that was tried; `ArchiveFile.settle` then cuts off what is not a whole record.
    """
    appended: list[Appended] = []
    for file, runs in wanted:
        appended.append(file.append(runs))
        if appended[-1].error:
            break
    return appended


def sync_all(files: Sequence[ArchiveFile]) -> OSError | None:
    """See that all records of *files* are on the disk.

    Returns:
        Why that is not so for the first file that is still dirty; None when it is so for all.
    """
    safe, error = _sync([file.descriptor for file in files])
    for file in files[:safe]:
        file.is_dirty = False
    return OSError(error, os.strerror(error), str(files[safe].path)) if error else None


def _sync(descriptors: Sequence[int]) -> tuple[int, int]:
    for index, descriptor in enumerate(descriptors):
        try:
            os.fsync(descriptor)
        except OSError as error:
            return index, error.errno or errno.EIO
    return len(descriptors), 0


def end_of_records(fd: int, size_bytes: int) -> int:
    """Return where the last whole record of a file of *size_bytes* ends; 0 when it does not begin with one.

    A file is not read whole for that: the end of one with records of one length, or with recognizable records near
    its end, is looked at directly. Only a file that this does not explain is walked from header to header.
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
    """Create a file beside *path* under a name that nobody has, and return it open.

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
