"""What to do about an error of a disk: one table for all that write files."""

import errno
import os
from collections.abc import Mapping

from rawdaq.open_files import REMEDY

_REMEDIES: Mapping[int | None, str] = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space or raise the quota",
    errno.EROFS: "mount that disk for writing",
    errno.EIO: "check the disk and its cable",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.ENOENT: "create the folder, or mount its disk",
    errno.ENOTDIR: "move the file that stands in the way of a folder, or choose another path",
    errno.EEXIST: "move the file that stands in the way of a folder, or choose another path",
    errno.EISDIR: "move the folder that has this name, or choose another path",
    errno.ENODEV: "choose another path",
    errno.EMFILE: f"{REMEDY}, or run fewer components in one process",
    errno.EWOULDBLOCK: "give each its own path",
}
_CAUSES: Mapping[int | None, str] = {  # where the system's own words do not help
    errno.EWOULDBLOCK: "another program or publisher writes it",
}


def describe(error: OSError) -> str:
    """Return cause and remedy of *error* in one line, without the name of the file.

    >>> describe(OSError(errno.ENOSPC, "No space left on device"))
    'No space left on device; free space on that disk'
    """
    cause = _CAUSES.get(error.errno) or error.strerror or os.strerror(error.errno or errno.EIO)
    return f"{cause}; {_REMEDIES.get(error.errno, 'look at the disk with df and dmesg, or choose another path')}"


def describe_write(error: OSError, path: object = None) -> str:
    """Return that *path*, by default the file of *error*, cannot be written, with cause and remedy."""
    return f"cannot write {path or error.filename}: {describe(error)}"
