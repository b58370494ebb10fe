"""What a store raises on purpose, and which system error means what.

::

    StoreError
    ├── StoreUnavailable        the disk refuses now; nothing has changed: the same call may be made again
    │   ├── DiskFull            no room, a quota or a file size limit
    │   ├── DiskReadOnly        mounted read-only, or no permission
    │   ├── DiskGone            the folder is no longer there, or its device is not
    │   ├── DiskFailed          the disk answers with an error
    │   └── DiskSlow            the disk does not answer in time
    ├── StoreFull               all that may be kept is kept for cursors that are behind
    ├── StoreLocked             another process writes this store
    ├── StoreClosed             the store was closed
    └── UnknownFormat           the folder was written by another version
"""

import contextlib
import errno
from collections.abc import Generator
from pathlib import Path

from rawdaq.errors import RawdaqError


class StoreError(RawdaqError):
    """The root of what a store raises on purpose."""


class StoreUnavailable(StoreError):
    """The disk refuses now. No position has changed, so the same call may be made again.

    Args:
        path: what was written or read.
        reason: what the system says.
    """

    remedy = "the call may be made again"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        """Return cause and remedy in one line."""
        return f"{self.path}: {self.reason}; {self.remedy}"


class DiskFull(StoreUnavailable):
    """No room is left, or a quota or a limit of the file size is reached."""

    remedy = "free some room"


class DiskReadOnly(StoreUnavailable):
    """The disk is mounted read-only, or permission is missing."""

    remedy = "mount it for writing, or give permission"


class DiskGone(StoreUnavailable):
    """The folder is no longer there, or its device is not."""

    remedy = "mount its disk again"


class DiskFailed(StoreUnavailable):
    """The disk answers with an error."""

    remedy = "check the disk and the system's log"


class DiskSlow(StoreUnavailable):
    """The disk does not answer in time."""

    remedy = "check the disk, or write less"


class StoreFull(StoreError):
    """The store has the size that it may have, and all of it is kept for cursors that are behind.

    Args:
        path: the folder.
        cursors: those that need the oldest segment.
        max_bytes: the size that the store may have.
    """

    def __init__(self, path: str, cursors: tuple[str, ...], max_bytes: int) -> None:
        super().__init__(path, cursors, max_bytes)
        self.path, self.cursors, self.max_bytes = path, cursors, max_bytes

    def __str__(self) -> str:
        """Return cause and remedy in one line."""
        names = ", ".join(self.cursors)
        return f"{self.path}: {self.max_bytes / 1e6:.0f} MB are kept for {names}; let these go on, or allow more"


class StoreLocked(StoreError):
    """Another process, or another `Store` of this one, writes the same folder."""


class StoreClosed(StoreError):
    """The store was closed, or has not been opened."""


class UnknownFormat(StoreError):
    """The folder was written by a version whose format is not known here."""


_TYPES: dict[int, type[StoreUnavailable]] = {
    errno.ENOSPC: DiskFull,
    errno.EDQUOT: DiskFull,
    errno.EFBIG: DiskFull,
    errno.EROFS: DiskReadOnly,
    errno.EACCES: DiskReadOnly,
    errno.EPERM: DiskReadOnly,
    errno.ENOENT: DiskGone,
    errno.ENOTDIR: DiskGone,
    errno.ENODEV: DiskGone,
    errno.ENXIO: DiskGone,
    errno.ESTALE: DiskGone,
    errno.ENOTCONN: DiskGone,
}


def unavailable(error: OSError, path: Path) -> StoreUnavailable:
    """Return what the system's *error* means for who uses the store in *path*.

    The error keeps no frames: these would hold files of a disk open for as long as somebody keeps the error.
    """
    error.__traceback__ = None
    return _TYPES.get(error.errno or 0, DiskFailed)(str(path), error.strerror or str(error))


@contextlib.contextmanager
def typed_errors(path: Path) -> Generator[None]:
    """Turn what the system says of *path* into the errors of this module.

    Raises:
        StoreUnavailable: the system refused something.
    """
    try:
        yield
    except OSError as error:
        raise unavailable(error, path) from error
