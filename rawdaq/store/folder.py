"""The folder of a store: its files, their names, and the lock of the one that writes them.

::

    lock                     held by the writer
    0006a5b3c4d00000.seg     entries; the name is the first position, in hexadecimal
    0006a5b3c4d00000.idx     the index of a segment that is full; made again when it is missing or wrong
    spare-0006a5b3c4c00000   a segment that retention has removed, to be used again
"""

import contextlib
import errno
import fcntl
import os
import re
import sys
from pathlib import Path

from rawdaq.disk.finishing import sync_folder
from rawdaq.store.errors import StoreLocked

_SEGMENT = re.compile(r"([0-9a-f]{16})\.seg")
_SPARE = "spare-"
_NEW = ".new"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class File:
    """An open file that is read and written at any place; it is closed when the last that uses it lets it go.

    So a thread may still read what another has removed, and no descriptor is used again while one is in a call.

    Args:
        path: the file.
        flags: as of `os.open`.
    """

    def __init__(self, path: Path, flags: int = os.O_RDONLY) -> None:
        self._fd = -1
        self.path = path
        self._fd = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def __del__(self) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it now; only for one that no other thread may be using."""
        # Nobody may find the number while it is being closed: another file may have it by then.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def read(self, size: int, offset: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end of the file."""
        data = os.pread(self._fd, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        while data:
            offset, size = offset + len(data), size - len(data)
            data = os.pread(self._fd, size, offset)
            parts.append(data)
        return b"".join(parts)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of *data* at *offset*.

        Raises:
            OSError: a part of it may be written.
        """
        written = os.pwrite(self._fd, data, offset)
        while written < len(data):
            written += os.pwrite(self._fd, memoryview(data)[written:], offset + written)

    def cut(self, size: int) -> None:
        """Let the file end at *size*."""
        os.ftruncate(self._fd, size)

    def size(self) -> int:
        """Return how long it is."""
        return os.fstat(self._fd).st_size

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        if sys.platform == "darwin":
            fcntl.fcntl(self._fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._fd)

    def lock(self) -> None:
        """Let nothing else lock it.

        Raises:
            BlockingIOError: something else has.
        """
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_at_its_path(self) -> bool:
        """Return whether its path still leads to it."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except OSError:
            return False


class Folder:
    """The files of a store by their meaning.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def lock(self) -> File:
        """Return the open lock file; the lock ends when it is let go.

        Raises:
            StoreLocked: another process, or another store of this one, has it.
            OSError: the folder cannot be written.
        """
        file = File(self.path / "lock", os.O_RDWR | os.O_CREAT)
        try:
            file.lock()
        except BlockingIOError:
            file.close()
            raise StoreLocked(f"{self.path} is written by another process: stop that, or use another folder") from None
        except OSError as error:
            file.close()
            if error.errno in _NO_LOCKS:
                raise StoreLocked(f"{self.path} is on a disk that knows no locks: use a local disk") from None
            raise
        return file

    def segment_path(self, first: int) -> Path:
        """Return where the segment that begins with position *first* is."""
        return self.path / f"{first:016x}.seg"

    def index_path(self, first: int) -> Path:
        """Return where its index is."""
        return self.path / f"{first:016x}.idx"

    def segments(self) -> list[int]:
        """Return the first positions of all segments, in order."""
        matches = (_SEGMENT.fullmatch(name) for name in os.listdir(self.path))
        return sorted(int(match[1], 16) for match in matches if match)

    def tidy(self) -> None:
        """Remove what an index that was not written to its end has left."""
        for name in os.listdir(self.path):
            if name.endswith(_NEW):
                os.unlink(self.path / name)

    def create(self, first: int) -> File:
        """Return a new file for the segment that begins with position *first*: a spare one where there is one."""
        path = self.segment_path(first)
        for spare in self._spares()[:1]:
            os.rename(spare, path)
        return File(path, os.O_RDWR | os.O_CREAT)

    def retire(self, first: int, is_kept: bool = False) -> None:
        """Remove a segment and its index.

        Args:
            first: its first position.
            is_kept: whether its file is to be used for the next segment, which costs less than a new one.
        """
        self.remove_index(first)
        path = self.segment_path(first)
        with contextlib.suppress(FileNotFoundError):
            if is_kept and not self._spares():
                os.rename(path, self.path / f"{_SPARE}{first:016x}")
            else:
                os.unlink(path)

    def remove_spares(self) -> bool:
        """Remove what is kept for another use; return whether there was something."""
        spares = self._spares()
        for spare in spares:
            os.unlink(spare)
        return bool(spares)

    def remove_index(self, first: int) -> None:
        """Remove the index of a segment, if it has one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.index_path(first))

    def write_index(self, first: int, data: bytes) -> None:
        """Write the index of a segment. It is not synced: one that is lost or wrong is made again."""
        path = self.index_path(first)
        new = path.with_suffix(_NEW)
        try:
            File(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC).write(data, 0)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
        os.rename(new, path)

    def sync(self) -> None:
        """Return when the names of its files are on the disk."""
        sync_folder(self.path)

    def total_bytes(self) -> int:
        """Return how much all its files hold, but what is kept for another use."""
        total = 0
        with os.scandir(self.path) as entries:
            for entry in entries:
                if not entry.name.startswith(_SPARE):
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat().st_size
        return total

    def free_bytes(self) -> tuple[int, int]:
        """Return how much is free on its disk, and how large that is."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def _spares(self) -> list[Path]:
        return sorted(self.path / name for name in os.listdir(self.path) if name.startswith(_SPARE))


def boot_identity() -> str:
    """Return what names this start of the machine; empty where that is not known.

    A kill of the process leaves what it wrote with the system; only another start of the machine can lose that.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
