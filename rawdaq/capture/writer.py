"""The files of a capture on disk: they grow by whole entries, and rotate."""

import contextlib
import os
from pathlib import Path

from rawdaq.capture.file import MAGIC, FileReader, NotACapture, files_of
from rawdaq.disk.files import append, open_locked

#: A larger file is not read through at the start; a new one begins instead.
_MAX_CHECKED_BYTES = 16_000_000


class CaptureWriter:
    """Appends to the newest file of a capture, and begins new ones; a disk that hangs blocks the caller.

    Args:
        path: the newest file.
        max_files: how many are kept.
    """

    def __init__(self, path: Path, max_files: int) -> None:
        self._path, self._max_files = path, max_files
        self._fd = -1

    def open(self) -> int:
        """Open the newest file; return its size.

        A file that does not end with a whole entry, or is not a capture, is kept under the next number, and a new one
        begins.

        Raises:
            OSError: it cannot be opened.
        """
        self._open()
        size_bytes = os.fstat(self._fd).st_size
        if size_bytes > len(MAGIC) and (size_bytes > _MAX_CHECKED_BYTES or not _is_whole(self._path)):
            self._rotate()
        return os.fstat(self._fd).st_size

    def _open(self) -> None:
        fd = open_locked(self._path, 0o640)
        try:
            if os.fstat(fd).st_size <= len(MAGIC):
                os.ftruncate(fd, 0)
                append(fd, MAGIC)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def write(self, batch: list[bytes | None]) -> None:
        """Append *batch*, in which None begins a new file.

        Raises:
            OSError: not all of it could be written; no part of an entry is left behind.
        """
        if self._fd < 0:
            self.open()
        while None in batch:
            at = batch.index(None)
            self._append(batch[:at])
            self._rotate()
            batch = batch[at + 1 :]
        self._append(batch)

    def _append(self, pieces: list[bytes | None]) -> None:
        append(self._fd, b"".join(piece for piece in pieces if piece is not None))

    def _rotate(self) -> None:
        """Give each file the next number, remove those beyond the last, and begin a new one."""
        self.close()
        older = [file for file in files_of(self._path) if file != self._path]
        for file in older:  # oldest first
            number = int(file.suffix[1:]) + 1
            if number >= self._max_files:
                file.unlink()
            else:
                file.rename(self._numbered(number))
        with contextlib.suppress(FileNotFoundError):  # it was moved away
            if self._max_files > 1:
                self._path.rename(self._numbered(1))
            else:
                self._path.unlink()
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _is_whole(path: Path) -> bool:
    reader = FileReader(path)
    try:
        for _ in reader:
            pass
    except NotACapture:
        return False
    return reader.is_whole
