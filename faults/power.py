"""A power cut: what a process wrote and had not synced when it was killed is taken back.

`watch` notes, in the process, each write before it is made, with what stood there, and each sync when it has ended.
`cut` reads the notes after the kill. Names of new files are taken for safe; contents and lengths are not.
"""

import os
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_WRITE: Final = struct.Struct("<cQQQQI")  # kind, number, inode, offset, size of the file before, old bytes that follow


class _Notes:
    """What is written, and what is synced."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._number = 0
        self._write, self._pwrite, self._pread = os.write, os.pwrite, os.pread
        self._ftruncate, self._fsync, self._fdatasync = os.ftruncate, os.fsync, os.fdatasync

    def note(self, kind: bytes, inode: int, offset: int, size: int, old: bytes = b"") -> None:
        """Add a note; all calls that change a file are made under the lock."""
        self._number += 1
        self._write(self._fd, _WRITE.pack(kind, self._number, inode, offset, size, len(old)) + old)

    def write(self, fd: int, data: Any) -> int:
        """Write as the system does."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return self._write(fd, data)
        with self._lock:
            size = os.fstat(fd).st_size  # all such files here are appended to
            self.note(b"W", status.st_ino, size, size)
            return self._write(fd, data)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        """Write as the system does."""
        with self._lock:
            status = os.fstat(fd)
            length = memoryview(data).nbytes
            old = self._pread(fd, length, offset)
            self.note(b"W", status.st_ino, offset, status.st_size, old)
            return self._pwrite(fd, data, offset)

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut as the system does; a cut is taken for safe at once, because what it removes is gone."""
        with self._lock:
            self._ftruncate(fd, length)
            self.note(b"T", os.fstat(fd).st_ino, length, length)

    def sync(self, fd: int, function: Callable[[int], None]) -> None:
        """Sync, and note what that covers: what was written before it began."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return function(fd)
        with self._lock:
            number = self._number
        function(fd)
        with self._lock:
            self.note(b"S", status.st_ino, number, 0)

    def install(self) -> None:
        """Take the place of the system's calls."""
        system: Any = os
        system.write, system.pwrite, system.ftruncate = self.write, self.pwrite, self.ftruncate
        system.fsync = lambda fd: self.sync(fd, self._fsync)
        system.fdatasync = lambda fd: self.sync(fd, self._fdatasync)


def watch(path: Path) -> None:
    """Note in *path* what this process writes from now on."""
    _Notes(path).install()


def cut(notes: Path, folder: Path) -> int:
    """Take back in *folder* what was not synced; return how many writes these were."""
    unsynced = _unsynced(notes.read_bytes())
    paths = {path.stat().st_ino: path for path in folder.rglob("*") if path.is_file()}
    count = 0
    for inode, offset, size, old in reversed(unsynced):
        path = paths.get(inode)
        if path is None:
            continue
        count += 1
        with path.open("r+b") as file:
            if old:
                os.pwrite(file.fileno(), old, offset)
            if path.stat().st_size > size:
                file.truncate(size)
    return count


def _unsynced(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Return the writes that no sync covers: inode, offset, size of the file before, what stood there."""
    writes: dict[int, list[tuple[int, int, int, bytes]]] = {}
    at = 0
    while at + _WRITE.size <= len(data):
        kind, number, inode, offset, size, length = _WRITE.unpack_from(data, at)
        old = data[at + _WRITE.size : at + _WRITE.size + length]
        at += _WRITE.size + length
        if kind == b"W":
            writes.setdefault(inode, []).append((number, offset, size, old))
        elif kind == b"S":
            writes[inode] = [each for each in writes.get(inode, ()) if each[0] > offset]
        else:  # a cut: what lay behind it cannot come back
            kept = writes.get(inode, ())
            writes[inode] = [(n, o, min(s, offset), b) for n, o, s, b in kept if o < offset]
    found = [(number, inode, offset, size, old) for inode, each in writes.items() for number, offset, size, old in each]
    return [(inode, offset, size, old) for _, inode, offset, size, old in sorted(found)]
