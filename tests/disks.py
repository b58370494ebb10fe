"""Disks that fail, for the tests of what writes to them."""

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Generator
from pathlib import Path

import pytest


class Disk:
    """The disk on which a folder lies, with as much room as a test gives it.

    Attributes:
        room_bytes: how much can still be written; None for as much as one likes.
        error: what a write gives when there is no more room.
        longest_bytes: how much one write takes at most.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room_bytes: int | None = None
        self.error = errno.ENOSPC
        self.longest_bytes = 1 << 30
        self._folder = str(folder)
        self._write = os.write
        monkeypatch.setattr(os, "write", self._limited_write)

    def _limited_write(self, fd: int, data: bytes) -> int:
        if not os.readlink(f"/proc/self/fd/{fd}").startswith(self._folder):
            return self._write(fd, data)
        if self.room_bytes is None:
            return self._write(fd, data[: self.longest_bytes])
        if self.room_bytes == 0:
            raise OSError(self.error, os.strerror(self.error))
        count = self._write(fd, data[: min(self.longest_bytes, self.room_bytes)])
        self.room_bytes -= count
        return count


@contextlib.contextmanager
def file_size_limit(size_bytes: int) -> Generator[None]:
    """Let no file of this process grow beyond *size_bytes*: the system itself stops a write there, with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fail_with(number: int) -> Callable[..., None]:
    """Return a function that fails with the system error *number*."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def let_no_sync_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk refuse to make anything safe."""
    monkeypatch.setattr(os, "fsync", fail_with(errno.EIO))
