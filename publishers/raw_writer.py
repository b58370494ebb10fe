"""RawWriter: bytes to one file, as they come; a batch is in it whole or not at all."""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rawdaq.disk.files import append, open_locked
from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.mounts import MountedFolder, check_mounted
from rawdaq.disk.remedies import describe_write
from rawdaq.disk.threads import Arguments, DiskThread, disk_thread, in_new_thread
from rawdaq.errors import ComponentError
from rawdaq.packet import Packet
from rawdaq.protocols.message import sample_bytes
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.stream_id import StreamId


class RawWriter(Publisher):
    """Appends what a receiver publishes to a file.

    Plain bytes are written unchanged, one after another. Of a packet the samples alone are written, little-endian:
    ``numpy.fromfile(path, "<i4")`` reads a stream of int32 back. Samples of several streams could not be distinguished,
    so a receiver of several streams is refused. A file that was renamed or removed meanwhile, as logrotate does, is
    created again.

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
        self._is_open = False
        self._folder = MountedFolder(self.path.parent)

    @classmethod
    def check_streams(cls, streams: Collection[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why the samples of *streams* cannot share a file, None when they can."""
        if len(streams) < 2:
            return None
        return f"the samples of {len(streams)} streams cannot be distinguished in {options.get('path', 'one file')}"

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the file, which only one publisher can write."""
        return f"file {options['path']}"

    async def open(self) -> None:
        """Open the file.

        Raises:
            ComponentError: it cannot be written, is not a plain file, or another program writes it.
        """
        self._is_open = True
        try:
            await in_new_thread(f"opening {self.name}", self._open)
        except OSError as error:
            raise ComponentError(describe_write(error, self.path)) from error
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
            raise PublisherUnavailable(describe_write(error, self.path)) from error
        if self.fsync_s:
            self._late_sync.schedule()

    async def aclose(self) -> None:
        """Make what was written safe and close the file."""
        self._is_open = False
        await super().aclose()
        self._late_sync.close()
        if self._thread is not None:
            closing = self._thread.submit(self._close)
            self._thread.give_back()
            self._thread = None
            await closing

    @property
    def problem(self) -> str | None:
        """Why what was written may not be safe on the disk."""
        return self._late_sync.problem

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
        check_mounted(self.path.parent)
        self._folder.watch()
        self._reopen()
        if not self._is_open:  # the disk hung until the open was given up
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
        self._folder.device()  # raises when its disk is not mounted: nothing must be written below the mount point
        self._fd = open_locked(self.path, 0o644)

    def _append(self, data: bytes) -> None:
        self._reopen()
        append(self._fd, data, must_sync=not self.fsync_s)
        self._written_bytes += len(data)

    def _sync(self) -> None:
        try:
            if self._fd >= 0:
                os.fsync(self._fd)
        except OSError as error:
            raise PublisherUnavailable(describe_write(error, self.path)) from error

    def _close(self) -> None:
        if self._fd < 0:
            return
        try:
            self._sync()
        except PublisherUnavailable as error:
            self.log.error("what was written last may not be on the disk: %s", error)
        os.close(self._fd)
        self._fd = -1
