"""A disk that a test lets fail, hang, or lose what was not synced."""

import errno
import os
import random
import threading
from pathlib import Path

import pytest

BLOCK_BYTES = 512


class Gate:
    """Where calls of the system wait while it is shut."""

    def __init__(self) -> None:
        self.waiting = 0
        self._open = threading.Event()
        self._open.set()

    def shut(self) -> None:
        """Let calls wait."""
        self._open.clear()

    def open(self) -> None:
        """Let them go on."""
        self._open.set()

    def __call__(self) -> None:
        """Wait while it is shut."""
        if not self._open.is_set():
            self.waiting += 1
            assert self._open.wait(30), "the gate was not opened"


class FaultyDisk:
    """The disk that a store in a folder ``log...`` writes.

    Attributes:
        write_error: what a write gives; None: it works.
        read_error: what a read gives.
        sync_error: what a sync gives.
        room_bytes: how much can still be written; None: as much as one likes.
        writes: where writes wait.
        syncs: where syncs wait.
        synced: what a power cut leaves in each file, by its number.
        names: what a power cut leaves of the names in each folder.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write_error: int | None = None
        self.read_error: int | None = None
        self.sync_error: int | None = None
        self.room_bytes: int | None = None
        self.writes, self.syncs = Gate(), Gate()
        self.synced: dict[int, bytes] = {}
        self.names: dict[str, int] = {}
        self._folder = str(folder / "log")
        self._pwrite, self._pread = os.pwrite, os.pread
        monkeypatch.setattr(os, "pwrite", self._write)
        monkeypatch.setattr(os, "pread", self._read)
        monkeypatch.setattr(os, "fdatasync", self._sync_file)
        monkeypatch.setattr(os, "fsync", self._sync_folder)

    def _write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self.writes()
        _fail(self.write_error)
        view = memoryview(data)
        if self.room_bytes is None:
            return self._pwrite(fd, view, offset)
        grows = max(0, offset + len(view) - os.fstat(fd).st_size)
        if grows > self.room_bytes:
            if not self.room_bytes:
                _fail(errno.ENOSPC)
            view = view[: len(view) - grows + self.room_bytes]
            grows = self.room_bytes
        self.room_bytes -= grows
        return self._pwrite(fd, view, offset)

    def _read(self, fd: int, size: int, offset: int) -> bytes:
        _fail(self.read_error)
        return self._pread(fd, size, offset)

    def _sync_file(self, fd: int) -> None:
        self.syncs()
        _fail(self.sync_error)
        if self._is_watched(fd):
            status = os.fstat(fd)
            self.synced[status.st_ino] = self._pread(fd, status.st_size, 0)

    def _sync_folder(self, fd: int) -> None:
        _fail(self.sync_error)
        if self._is_watched(fd):
            path = f"/proc/self/fd/{fd}"
            self.names = {name: os.stat(f"{path}/{name}").st_ino for name in os.listdir(path)}

    def _is_watched(self, fd: int) -> bool:
        return os.readlink(f"/proc/self/fd/{fd}").startswith(self._folder)

    def forget(self) -> None:
        """Forget what was synced: another log is written."""
        self.synced, self.names = {}, {}

    def after_power_cut(self, folder: Path, target: Path, chance: random.Random) -> None:
        """Write to *target* what a power cut now may leave of *folder*.

        Of what was written since the last sync of a file, any blocks may have reached the disk. Names are as they were
        when the folder was synced, or as they are.
        """
        now = {os.stat(path).st_ino: path.read_bytes() for path in folder.iterdir()}
        names = {path.name: os.stat(path).st_ino for path in folder.iterdir()}
        if self.names and chance.random() < 0.5:
            names = self.names
        target.mkdir()
        for name, number in names.items():
            (target / name).write_bytes(_mixed(self.synced.get(number, b""), now.get(number, b""), chance))


def _mixed(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """Return *new* with some blocks as they were."""
    size = max(len(old), len(new))
    old, new = old.ljust(size, b"\0"), new.ljust(size, b"\0")
    blocks = ((old[at : at + BLOCK_BYTES], new[at : at + BLOCK_BYTES]) for at in range(0, size, BLOCK_BYTES))
    return b"".join(chance.choice(block) for block in blocks)


def _fail(number: int | None) -> None:
    if number is not None:
        raise OSError(number, os.strerror(number))
