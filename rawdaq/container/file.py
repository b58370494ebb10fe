"""One container file that is written: locked, whole blocks only, each with one write.

It blocks, so a publisher calls it in a thread of the disk.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rawdaq.container.format.blocks import pack_block
from rawdaq.container.format.compression import CompressionChoice, chosen, compressor
from rawdaq.container.format.index import read_index
from rawdaq.container.format.layout import Entry, footer_bytes, pack_file_header, pack_footer
from rawdaq.container.format.objects import Encoded
from rawdaq.container.format.scan import Damage
from rawdaq.container.open_file import OpenFile
from rawdaq.disk.files import append, open_locked
from rawdaq.disk.set_aside import set_aside


class Repaired(NamedTuple):
    """What was found when a file was opened again.

    Attributes:
        cut_bytes: how much of a torn end was cut off.
        kept: where that was moved; None when nothing was cut off.
        damages: what in the middle is damaged, and stays there.
    """

    cut_bytes: int = 0
    kept: Path | None = None
    damages: Sequence[Damage] = ()


class ContainerFile(OpenFile):
    """A file to which blocks are appended.

    Args:
        path: the file. One that exists is continued: a torn end is moved into a file beside it first, the footer of a
            finished one is removed.
        info: what the file says of itself.
        compression: of the blocks.
        is_new: raise `FileExistsError` when there is such a file.
        clock_ns: the time.

    Attributes:
        path: the file.
        objects: number of the next object.
        repaired: what was found in a file that was there.

    Raises:
        NotContainer: the file is something else.
        ContainerTooNew: it has a format that a newer rawdaq has written.
        CompressionMissing: zstd is asked for, and not installed.
        OSError: it cannot be opened, or another program or publisher writes it.
    """

    def __init__(
        self,
        path: Path,
        info: Mapping[str, Any] | None = None,
        compression: CompressionChoice = CompressionChoice.AUTO,
        *,
        is_new: bool = False,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.repaired = Repaired()
        self.objects = self._end = 0
        self._compression = chosen(compression)
        self._compress = compressor(self._compression)
        self._entries: list[Entry] = []
        self._number = 0
        self._fd = _created(path) if is_new else open_locked(path)
        try:
            self._end = os.fstat(self._fd).st_size
            if self._end:
                self._continue(clock_ns())
            if not self._end:
                self._append(pack_file_header(info or {}, clock_ns()))
        except BaseException:
            os.close(self._fd)
            if is_new:
                path.unlink(missing_ok=True)
            raise

    @property
    def size_bytes(self) -> int:
        """Size of the file when it is finished now."""
        return self._end + (0 if self.is_closed else footer_bytes(len(self._entries)))

    @property
    def is_closed(self) -> bool:
        """Whether it was finished or closed."""
        return self._fd < 0

    def is_in_place(self) -> bool:
        """Return whether its path still leads to it: it may have been moved, or its disk may be gone."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def append(self, objects: Sequence[Encoded]) -> None:
        """Append *objects* as one block.

        Raises:
            OSError: the disk does not take it; nothing of it is in the file.
        """
        if not objects:
            return
        offset = self._end = os.fstat(self._fd).st_size  # more, where a torn block could not be cut off
        self._append(pack_block(objects, self._number, self.objects, self._compression, self._compress))
        times = [each.time_ns for each in objects]
        self._entries.append(Entry(offset, self._number, self.objects, len(objects), min(times), max(times)))
        self._number += 1
        self.objects += len(objects)

    def finish(self) -> None:
        """Write the footer and close the file; all of it is on the disk then.

        Raises:
            OSError: the disk refuses that; it is still open.
        """
        if self._fd >= 0:
            before = self._end = os.fstat(self._fd).st_size
            self._append(pack_footer(self._entries, before))
            try:
                os.fsync(self._fd)
            except OSError:
                os.ftruncate(self._fd, before)
                self._end = before
                raise
            self.close()

    def _append(self, data: bytes) -> None:
        append(self._fd, data)
        self._end += len(data)

    def _continue(self, now_ns: int) -> None:
        """Find the blocks that are there, and cut off what is behind them."""
        found = read_index(partial(read_at, self._fd), self._end)
        kept = None
        if found.tail.size_bytes and not found.is_finished:
            kept = set_aside(self._fd, self.path, found.tail.offset, now_ns)
            self.repaired = Repaired(found.tail.size_bytes, kept, found.damages)
        else:
            self.repaired = Repaired(damages=found.damages)
        self._entries = found.entries_with_times(partial(read_at, self._fd))
        os.ftruncate(self._fd, found.tail.offset)
        self._end = found.tail.offset
        if self._entries:
            last = self._entries[-1]
            self._number, self.objects = last.number + 1, last.first + last.objects


def _created(path: Path) -> int:
    """Return a descriptor of the new file *path*, locked.

    Raises:
        OSError: it exists, or cannot be created.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    return open_locked(path)


def read_at(fd: int, offset: int, size_bytes: int) -> bytes:
    """Return up to *size_bytes* of a file from *offset* on; fewer only at its end."""
    data = os.pread(fd, size_bytes, offset)
    while len(data) < size_bytes and (more := os.pread(fd, size_bytes - len(data), offset + len(data))):
        data += more
    return data
