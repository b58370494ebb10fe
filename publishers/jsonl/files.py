"""Files with one JSON value a line, open for appending: so many at most, and none for long that is not written.

One that was moved or removed meanwhile, as logrotate does, is made again.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rawdaq.disk.files import append, is_at_path, open_locked

_TAIL_BYTES: Final = 1 << 16
_IDLE_S: Final = 60.0


class LineFiles:
    """The files below a folder.

    Args:
        limit: how many are open at most; then the one that was written longest ago is closed first.
        on_torn: called with the path of a file whose last line was torn, and with that line.
        clock: seconds that only run forward.

    Attributes:
        written_bytes: how much was appended.
    """

    def __init__(
        self, limit: int, on_torn: Callable[[Path, bytes], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.written_bytes = 0
        self._limit = limit
        self._on_torn = on_torn
        self._clock = clock
        self._open: OrderedDict[Path, tuple[int, float]] = OrderedDict()  # the one written last at the end

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def sizes(self, paths: Mapping[Path, object]) -> dict[str, int]:
        """Return how many bytes each of *paths* holds; they are opened, or made, for that.

        Raises:
            OSError: one cannot be; `BlockingIOError` when another program writes it.
        """
        return {str(path): os.fstat(self._descriptor(path)).st_size for path in paths}

    def append(self, path: Path, data: bytes) -> None:
        """Append *data*, whole lines, to a file.

        Raises:
            OSError: nothing of it is there.
        """
        append(self._descriptor(path), data)
        self.written_bytes += len(data)

    def cut(self, sizes: Mapping[str, int]) -> None:
        """Give files the sizes that they had.

        Raises:
            OSError: one cannot be cut.
        """
        for name, size in sizes.items():
            if os.path.exists(name) and os.path.getsize(name) > size:
                os.truncate(name, size)

    def _descriptor(self, path: Path) -> int:
        if path in self._open and not is_at_path(self._open[path][0], path):
            os.fsync(self._open[path][0])  # by its path it is not found any more
            self._close(path)
        found = self._open.get(path)
        descriptor = self._opened(path) if found is None else found[0]
        self._open[path] = descriptor, self._clock()
        self._open.move_to_end(path)
        return descriptor

    def _opened(self, path: Path) -> int:
        while len(self._open) >= self._limit:
            self._close(next(iter(self._open)))
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_locked(path)
        try:
            self._mend(path, descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _mend(self, path: Path, descriptor: int) -> None:
        """Take a last line away that has no end; a crash tore it, or another program is not as careful."""
        begin = size = os.fstat(descriptor).st_size
        tail = b""
        while begin and b"\n" not in tail:
            step = min(begin, _TAIL_BYTES)
            begin -= step
            tail = os.pread(descriptor, step, begin) + tail
        torn = tail[tail.rfind(b"\n") + 1 :]
        if torn:
            os.ftruncate(descriptor, size - len(torn))
            self._on_torn(path, torn)

    def close_idle(self) -> None:
        """Close the files that were not written for a minute."""
        before_s = self._clock() - _IDLE_S
        for path in [path for path, (_, written_s) in self._open.items() if written_s < before_s]:
            self._close(path)

    def _close(self, path: Path) -> None:
        os.close(self._open.pop(path)[0])

    def close(self) -> None:
        """Close all of them."""
        for path in list(self._open):
            self._close(path)
