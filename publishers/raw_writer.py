"""Bytes to one file, as they come: nothing is added, nothing is left out, and no batch is ever half in it."""

import asyncio
import errno
import logging
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.lock import lock
from rawdaq.disk.mounts import device_below
from rawdaq.disk.threads import Arguments, DiskThread, disk_thread, in_new_thread
from rawdaq.errors import ComponentError
from rawdaq.packet import Packet
from rawdaq.protocols.message import sample_bytes
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.stream_id import StreamId


class RawWriter(Publisher):
    """Appends what a receiver publishes to a file.

    Plain bytes are written unchanged, one after another. Of a packet the samples alone are written, little-endian:
    ``numpy.fromfile(path, "<i4")`` reads a stream of int32 back. Samples of several streams could not be told apart,
    so a receiver of several streams is refused. A file that was renamed or removed meanwhile, as logrotate does, is
    created anew.

    Args:
        path: the file; its folder must exist.
        name: how log lines and `status` call it.
        logger: parent of its logger.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before a batch counts as delivered.
    """

    def __init__(
        self,
        path: Path,
        name: str = "RawWriter",
        logger: logging.Logger | None = None,
        fsync_s: Annotated[float, Field(ge=0, le=3600)] = 5.0,
    ) -> None:
        super().__init__(name, logger)
        self.path, self.fsync_s = Path(path), fsync_s
        self._fd = -1
        self._written_bytes = 0
        self._late_sync = LateSync(fsync_s, lambda: self._submit(self._sync), self.log)
        self._thread: DiskThread | None = None
        self._is_wanted = False
        self._device_below: int | None = None

    @classmethod
    def check_streams(cls, streams: Collection[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why the samples of *streams* cannot share a file, None when they can."""
        if len(streams) < 2:
            return None
        return f"the samples of {len(streams)} streams cannot be told apart in {options.get('path', 'one file')}"

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the file, which only one publisher can write."""
        return f"file {options['path']}"

    async def open(self) -> None:
        """Open the file.

        Raises:
            ComponentError: it cannot be written, is no plain file, or another program writes it.
        """
        self._is_wanted = True
        try:
            await in_new_thread(f"opening {self.name}", self._open)
        except OSError as error:
            raise ComponentError(f"cannot write {self.path}: {_told(error)}") from error
        self._thread = disk_thread(os.fstat(self._fd).st_dev)

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        """Append *batch*, all of it or nothing.

        Raises:
            PublisherUnavailable: the disk is full or gone; nothing of the batch is in the file.
        """
        data = b"".join(item if isinstance(item, bytes) else sample_bytes(item.samples) for item in batch)
        try:
            await self._submit(self._append, data)
        except OSError as error:
            raise PublisherUnavailable(f"cannot write {self.path}: {_told(error)}") from error
        if self.fsync_s:
            self._late_sync.written()

    async def aclose(self) -> None:
        """Make what was written safe and close the file."""
        self._is_wanted = False
        await super().aclose()
        self._late_sync.close()
        if self._thread is not None:
            closing = self._thread.submit(self._close)
            self._thread.give_back()
            self._thread = None
            await closing

    def status(self) -> dict[str, object]:
        """Return the file, how much was written to it, and why that may not be on the disk."""
        return {"path": str(self.path), "written_bytes": self._written_bytes, "sync_error": self._late_sync.error}

    def _submit(self, function: Callable[[*Arguments], None], *args: *Arguments) -> "asyncio.Future[None]":
        """Let the thread of the disk call *function*; return the future of its end."""
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        return self._thread.submit(function, *args)

    # What follows runs in the thread of the disk.

    def _open(self) -> None:
        self._device_below = device_below(self.path.parent)
        self._reopen()
        if not self._is_wanted:  # the disk hung until nobody waited for it any more
            self._close()

    def _reopen(self) -> None:
        """Open the file unless it is the one that is open already."""
        if self._fd >= 0:
            try:
                if os.path.samestat(os.fstat(self._fd), os.stat(self.path)):
                    return
            except FileNotFoundError:
                pass
            self._close()
        if os.stat(self.path.parent).st_dev == self._device_below:  # its disk is not mounted: do not write below it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(0, "it is no plain file")
            lock(fd)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def _append(self, data: bytes) -> None:
        self._reopen()
        end = os.fstat(self._fd).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            if not self.fsync_s:
                os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, end)  # what is half there would be there twice after the next try
            raise
        self._written_bytes += len(data)

    def _sync(self) -> None:
        try:
            if self._fd >= 0:
                os.fsync(self._fd)
        except OSError as error:
            raise PublisherUnavailable(f"cannot write {self.path}: {_told(error)}") from error

    def _close(self) -> None:
        if self._fd < 0:
            return
        try:
            self._sync()
        except PublisherUnavailable as error:
            self.log.error("what was written last may not be on the disk: %s", error)
        os.close(self._fd)
        self._fd = -1


def _told(error: OSError) -> str:
    """Return cause and remedy."""
    match error:
        case FileNotFoundError():
            return "its folder does not exist; create it, or mount its disk"
        case PermissionError():
            return "no permission; let this user write there"
        case IsADirectoryError():
            return "it is a folder; name a file in it"
        case BlockingIOError():
            return "another program writes it; give each writer its own file"
        case _:
            return f"{error.strerror}; look at the disk with df and dmesg, or choose another path"
