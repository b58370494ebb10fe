"""`AppendingPublisher`: what publishers have in common that append to one file, a batch whole or not at all."""

import asyncio
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rawdaq.disk.files import append, is_at_path, open_locked
from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.mounts import MountedFolder, check_mounted
from rawdaq.disk.remedies import describe, describe_write
from rawdaq.disk.threads import Arguments, DiskThread, Result, disk_thread, in_new_thread
from rawdaq.errors import ComponentError
from rawdaq.file_output.found_bytes import FilePlace, FoundBytes, pack_places, unpack_places
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.publisher import CursorMarks, Publisher, PublisherUnavailable


class AppendingPublisher(Publisher):
    """Appends to a file what a subclass makes of each item, in `contents`.

    A file that was renamed or removed meanwhile, as logrotate does, is created again. Behind a journal all is written
    once, also after a crash: `rawdaq.file_output.found_bytes` recognises it.

    Args:
        path: the file.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before a batch counts as delivered.
        name: how log lines and `status` call it.
        logger: parent of its logger.

    Attributes:
        makes_folder: whether `open` makes the folder of the file when it is missing.
    """

    makes_folder = False
    must_deliver = True
    takes_messages = True

    def __init__(self, path: Path, fsync_s: float, name: str, logger: logging.Logger | None) -> None:
        super().__init__(name, logger)
        self.path, self.fsync_s = Path(path), fsync_s
        self._fd = -1
        self._written_bytes = 0
        self._late_sync = LateSync(fsync_s, lambda: self._submit(self._sync), self.log)
        self._thread: DiskThread | None = None
        self._is_open = False
        self._folder = MountedFolder(self.path.parent)
        self._remember: Callable[[CursorMarks], None] | None = None
        self._begins: dict[int, FilePlace] = {}  # of files, by inode: where what no cursor knows of may begin
        self._place: dict[int, FilePlace] = {}  # of the file that is written, as of the last delivery
        self._found: FoundBytes | None = None

    @abstractmethod
    def contents(self, item: Packet | Message | bytes) -> bytes | memoryview:
        """Return what the file holds of *item*."""

    def make_way(self, size_bytes: int, more_bytes: int) -> bool:
        """Give the file at `path` another name, or remove it, when its time is over; by default that is never.

        Called in a thread of the disk before so many bytes are appended to so many.

        Returns:
            Whether that was done.

        Raises:
            OSError: it is impossible.
        """
        return False

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

    async def deliver(self, batch: Sequence[Packet | Message | bytes]) -> None:
        """Append *batch*, all of it or nothing.

        Raises:
            PublisherUnavailable: the disk is full or gone; nothing of the batch is in the file.
        """
        data = b"".join(map(self.contents, batch))
        try:
            self._place = await self._submit(self._append, data)
        except OSError as error:
            raise PublisherUnavailable(describe_write(error, self.path)) from error
        if self.fsync_s:
            self._late_sync.schedule()

    async def recover(self, marks: CursorMarks, remember: Callable[[CursorMarks], None]) -> FoundBytes | None:
        """Return what was written beyond the cursor: it is not written once more.

        Raises:
            PublisherUnavailable: the files cannot be read.
        """
        self._begins = unpack_places(marks)
        try:
            found = await self._submit(FoundBytes.read, self.path.parent, self._begins, self.contents, self.log)
            self._remember = remember
            self._place = await self._submit(self._note_file)
        except OSError as error:
            raise PublisherUnavailable(f"cannot read {error.filename}: {describe(error)}") from error
        self._found = None if found.is_over else found
        return self._found

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        """Return the size of the file as of this call, when all that is delivered is safe.

        Raises:
            PublisherUnavailable: the disk refuses it.
        """
        found = self._found
        if found is not None and (not found.is_over or found.torn_bytes > 0):
            passed, places = 0, {**self._begins, **found.places}
        else:
            self._found = None
            passed = max((place.order for place in self._place.values()), default=0)
            # What a delivery that has not returned has begun stays as it is.
            later = {inode: place for inode, place in self._begins.copy().items() if place.order > passed}
            places = {**self._place, **later}
        if at_once:
            await self._submit(self._sync)
        elif self.fsync_s:
            await self._late_sync.covered()
        await self._submit(self._forget_before, passed)
        return pack_places(places)

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

    def _submit(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> "asyncio.Future[Result]":
        """Let the thread of the disk call *function*; return the future of its end."""
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        return self._thread.submit(function, *args)

    # What follows runs in the thread of the disk.

    def _open(self) -> None:
        check_mounted(self.path.parent)
        if self.makes_folder:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._folder.watch()
        self._reopen()
        if not self._is_open:  # the disk hung until the open was given up
            self._close()

    def _reopen(self) -> None:
        """Open the file unless it is the one that is open already."""
        if self._fd >= 0:
            if is_at_path(self._fd, self.path):
                return
            self._close()
        self._folder.device()  # raises when its disk is not mounted: nothing must be written below the mount point
        self._fd = open_locked(self.path, 0o644)

    def _append(self, data: bytes) -> dict[int, FilePlace]:
        self._reopen()
        self._cut_torn()
        if self.make_way(os.fstat(self._fd).st_size, len(data)):
            self._reopen()
        self._note_file()
        append(self._fd, data, must_sync=not self.fsync_s)
        self._written_bytes += len(data)
        return self._note_file()

    def _note_file(self) -> dict[int, FilePlace]:
        """Return the place of the file; have it kept first when that is new, or has become shorter."""
        if self._remember is None:
            return {}
        status = os.fstat(self._fd)
        inode, size = status.st_ino, status.st_size
        begin = self._begins.get(inode)
        # A new file may have the inode of one that was removed.
        if begin is None or size < begin.size or inode != max(self._begins, key=lambda each: self._begins[each]):
            newest = max((place.order for place in self._begins.values()), default=0)
            begin = FilePlace(newest + 1, size)
            before = self._begins
            self._begins = {**before, inode: begin}  # first, so that `settled` does not leave it out
            try:
                self._remember(pack_places({inode: begin}))
            except PublisherUnavailable:
                self._begins = before
                raise
        return {inode: begin._replace(size=size)}

    def _forget_before(self, order: int) -> None:
        """Forget the files that all is safe of."""
        self._begins = {inode: place for inode, place in self._begins.items() if place.order >= order}

    def _cut_torn(self) -> None:
        """Remove the beginning of a message that a crash has left, and that is written again now."""
        found = self._found
        if found is not None and found.torn_bytes:
            status = os.fstat(self._fd)
            if found.is_end(status.st_ino, status.st_size):
                os.ftruncate(self._fd, status.st_size - found.torn_bytes)
            found.torn_bytes = 0

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
