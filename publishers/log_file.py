"""LogFilePublisher: log records, and other messages, as lines of text in files that rotate."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from rawdaq.file_output.appending import AppendingPublisher
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind, Message
from rawdaq.packet import Packet
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.times import to_iso


class LogFilePublisher(AppendingPublisher):
    """Writes log records as lines of text, which people and ``grep`` read: time in UTC, level, logger, component, text.

    Only a traceback has more lines, which are indented. Messages of other kinds, where `kinds` selects them, are lines
    of their time, topic and header. Whole batches only: a full disk loses nothing that the queue can hold. Behind a
    journal each line is written once, also after a crash, unless the file that has it was removed or compressed.

    Args:
        path: the file; a folder that is missing is made.
        rotate_mb: it becomes ``NAME.1`` at so many megabytes, and that one ``NAME.2``; 0: never.
        kept_files: how many of these are kept, the oldest are removed.
        name: how log lines and `status` call it.
        logger: parent of its logger.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before a batch counts as delivered.
    """

    makes_folder = True
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
        fsync_s: Annotated[float, Field(ge=0, le=3600)] = 5.0,
    ) -> None:
        super().__init__(path, fsync_s, name, logger)
        self._max_bytes, self._kept = int(rotate_mb * 1e6), kept_files
        self._lines = self._refused = self._rotations = 0

    async def deliver(self, batch: Sequence[Message | Packet | bytes]) -> None:
        """Append the lines of *batch*, all of them or none.

        Raises:
            PublisherUnavailable: the disk does not take them now.
        """
        await super().deliver(batch)
        messages = sum(isinstance(item, Message) for item in batch)
        self._lines += messages
        self._refused += len(batch) - messages

    def contents(self, item: Packet | Message | bytes) -> bytes:
        """Return the line of a message; nothing of what is no message."""
        if not isinstance(item, Message):
            return b""
        return _line(item).encode("utf-8", "backslashreplace")

    def make_way(self, size_bytes: int, more_bytes: int) -> bool:
        """Number the files anew when a batch does not fit into the newest."""
        if not self._max_bytes or not size_bytes or size_bytes + more_bytes <= self._max_bytes:
            return False
        for number in range(self._kept, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if not self._kept:
            self.path.unlink()
        self._rotations += 1
        return True

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def status(self) -> dict[str, object]:
        """Return the file, what was written, and what is no message."""
        counts = {"lines": self._lines, "rotations": self._rotations, "refused": self._refused}
        return {**super().status(), **counts}


def _line(message: Message) -> str:
    if message.kind is Kind.LOG:
        try:
            return LogRecord.from_message(message).text() + "\n"
        except MessageMalformed:  # one that was passed on: it is kept as it is
            pass
    return f"{to_iso(message.received_ns, 3)} {message.topic} {message.head.decode()}\n"
