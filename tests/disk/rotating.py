"""Plain files for tests of rotation: one line for each object."""

import os
from pathlib import Path

from rawdaq.disk.rotation import create_held


class Lines:
    """A file with one object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = create_held(path)
        self.size_bytes = 0

    @property
    def path(self) -> Path:
        return self._path

    def is_in_place(self) -> bool:
        return self.path.exists() and os.path.samestat(os.fstat(self.fd), self.path.stat())

    def write(self, data: bytes) -> None:
        self.size_bytes += os.write(self.fd, data + b"\n")

    def sync(self) -> None:
        os.fsync(self.fd)

    def finish(self) -> None:
        if self.fd >= 0:
            os.fsync(self.fd)
            self.close()

    def close(self) -> None:
        os.close(self.fd)
        self.fd = -1
