"""`OpenFile`: what has one file open until it is closed."""

import os
from typing import Self


class OpenFile:
    """Has a file open until `close`, or to the end of a ``with``."""

    _fd = -1

    def sync(self) -> None:
        """Return when all that was written is safe from a power cut.

        Raises:
            OSError: the disk refuses that.
        """
        if self._fd >= 0:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file as it is; a second time does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()
