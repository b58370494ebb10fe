"""Files that are appended to, open and locked, or replaced: written whole or not at all."""

import errno
import fcntl
import os
import stat
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def open_locked(path: Path, mode: int = 0o666) -> int:
    """Return a descriptor that reads *path* and appends to it; the file is created if need be, and locked.

    A file system without locks is used without.

    Args:
        path: the file.
        mode: the permissions of a new file.

    Raises:
        BlockingIOError: another program or publisher has locked it.
        OSError: it cannot be opened, or is not a plain file.
    """
    # O_NONBLOCK: opening a named pipe must not wait for its other end.
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENODEV, "it is not a plain file")
        _lock(fd)
    except OSError as error:
        os.close(fd)
        error.filename = str(path)
        raise
    return fd


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def replace_file(path: Path, data: bytes) -> None:
    """Replace *path* by *data*, so that after a power cut either the old content is there or the new one.

    Raises:
        OSError: that is impossible; the old file is as it was.
    """
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def is_at_path(fd: int, path: Path) -> bool:
    """Return whether *path* still leads to an open file; logrotate moves files, and people remove them."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def sync_file(path: Path) -> None:
    """Return when what a file holds is on the disk; one that is no longer there is somebody else's.

    Raises:
        OSError: the disk refuses it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def append(fd: int, data: bytes, *, must_sync: bool = False) -> None:
    """Append all of *data*.

    Args:
        fd: the file.
        data: what to append.
        must_sync: return when it is on the disk.

    Raises:
        OSError: the disk does not take all of it; none of it is in the file.
    """
    end = os.fstat(fd).st_size
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
        if must_sync:
            os.fsync(fd)
    except OSError:
        os.ftruncate(fd, end)  # a part would be there twice after the next attempt
        raise
