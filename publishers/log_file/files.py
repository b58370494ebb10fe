"""A file of lines with the ones before it: ``daq.log``, ``daq.log.1``, ``daq.log.2`` and so on."""

import os
from pathlib import Path

from rawdaq.disk.files import append, open_locked


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
