"""LogFilePublisher: log records, and other messages, as lines of text in files that rotate."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rawdaq.disk.files import append, open_locked
from rawdaq.disk.mounts import check_mounted
from rawdaq.disk.remedies import describe_write
from rawdaq.disk.threads import DiskThread, disk_thread, in_new_thread
from rawdaq.errors import ComponentError
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind, Message
from rawdaq.packet import Packet
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.times import to_iso


class RotatingFile:
    """Whole lines, appended; a file that is large enough gets a number, and a new one begins.

    One that was moved or removed meanwhile, as logrotate does, is made again.

    Args:
        path: the newest file.
        max_bytes: how large it becomes: a batch that does not fit is the first of the next one. 0: it does not rotate.
        kept: how many older ones are kept.

    Attributes:
        written_bytes: how much was appended.
        rotations: how often a new file was begun.
    """

    def __init__(self, path: Path, max_bytes: int, kept: int) -> None:
        self.written_bytes = self.rotations = 0
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._fd = -1

    def append(self, data: bytes) -> None:
        """Append *data*, whole lines, all of them or none.

        Raises:
            OSError: the disk does not take it, or another program writes the file.
        """
        self.reopen()
        size = os.fstat(self._fd).st_size
        if self._max_bytes and size and size + len(data) > self._max_bytes:
            self._rotate()
        append(self._fd, data)
        self.written_bytes += len(data)

    def reopen(self) -> None:
        """Open the file at its path, unless it is open.

        Raises:
            OSError: it cannot be opened.
        """
        if self._fd >= 0:
            try:
                if os.path.samestat(os.fstat(self._fd), os.stat(self._path)):
                    return
            except FileNotFoundError:
                pass
            self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = open_locked(self._path, 0o644)

    def _rotate(self) -> None:
        for number in range(self._kept, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if not self._kept:
            self._path.unlink()
        self.close()
        self.reopen()
        self.rotations += 1

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LogFilePublisher(Publisher):
    """Writes log records as lines of text, which people and ``grep`` read: time in UTC, level, logger, component, text.

    Only a traceback has more lines, which are indented. Messages of other kinds, where `kinds` selects them, are lines
    of their time, topic and header. Whole batches only: a full disk loses nothing that the queue can hold.

    Args:
        path: the file; a folder that is missing is made.
        rotate_mb: it becomes ``NAME.1`` at so many megabytes, and that one ``NAME.2``; 0: never.
        kept_files: how many of these are kept, the oldest are removed.
        name: how log lines and `status` call it.
        logger: parent of its logger.
    """

    takes_messages = True
    kinds: Sequence[Kind] = (Kind.LOG,)
    gather_bytes = 1 << 20
    gather_s = 0.25

    def __init__(
        self,
        path: Path,
        rotate_mb: Annotated[float, Field(ge=0, le=1e6)] = 10.0,
        kept_files: Annotated[int, Field(ge=0, le=10_000)] = 10,
        name: str = "LogFilePublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(name, logger)
        self.path = Path(path)
        self._file = RotatingFile(self.path, int(rotate_mb * 1e6), kept_files)
        self._thread: DiskThread | None = None
        self._lines = self._refused = 0

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the file, which only one publisher can write."""
        return f"file {options['path']}"

    async def open(self) -> None:
        """Open the file.

        Raises:
            ComponentError: it cannot be written, or another program writes it.
        """
        try:
            device = await in_new_thread(f"opening {self.name}", self._open)
        except OSError as error:
            raise ComponentError(describe_write(error, self.path)) from error
        self._thread = disk_thread(device)

    def _open(self) -> int:
        check_mounted(self.path.parent)
        self._file.reopen()
        return self.path.parent.stat().st_dev

    async def deliver(self, batch: Sequence[Message | Packet | bytes]) -> None:
        """Append the lines of *batch*, all of them or none.

        Raises:
            PublisherUnavailable: the disk does not take them now.
        """
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        lines = [self._line(item) for item in batch if isinstance(item, Message)]
        if lines:
            try:
                await self._thread.submit(self._file.append, "".join(lines).encode("utf-8", "backslashreplace"))
            except OSError as error:
                raise PublisherUnavailable(describe_write(error, self.path)) from error
            self._lines += len(lines)
        self._refused += len(batch) - len(lines)

    @staticmethod
    def _line(message: Message) -> str:
        if message.kind is Kind.LOG:
            try:
                return LogRecord.from_message(message).text() + "\n"
            except MessageMalformed:  # one that was passed on: it is kept as it is
                pass
        return f"{to_iso(message.received_ns, 3)} {message.topic} {message.head.decode()}\n"

    async def aclose(self) -> None:
        """Close the file."""
        await super().aclose()
        thread, self._thread = self._thread, None
        if thread is not None:
            closing: asyncio.Future[None] = thread.submit(self._file.close)
            thread.give_back()
            await closing

    def status(self) -> dict[str, object]:
        """Return the file, what was written, and what is no message."""
        return {
            "path": str(self.path),
            "lines": self._lines,
            "written_bytes": self._file.written_bytes,
            "rotations": self._file.rotations,
            "refused": self._refused,
        }
