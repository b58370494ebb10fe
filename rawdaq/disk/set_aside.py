"""The end of a file that a crash has torn, kept beside it before it is cut off."""

import os
from pathlib import Path
from typing import Final

from rawdaq.times import to_iso

#: Part of the name of such a copy, which is never continued as a data file.
TORN: Final = ".torn-"

_COPY_BYTES = 1 << 20


def set_aside(fd: int, path: Path, begin: int, now_ns: int) -> Path:
    """Copy what follows *begin* into a new file beside *path* and return that; it is on the disk then.

    Args:
        fd: the file.
        path: its name.
        begin: offset of the first byte.
        now_ns: the time, for the name of the copy.

    Raises:
        OSError: the disk does not take it; there is no copy then.
    """
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
