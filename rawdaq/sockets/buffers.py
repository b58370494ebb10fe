"""Memory that a connection reads into: what was read is never overwritten, so views of it stay what they are."""

import contextlib
import mmap

import numpy as np

FIRST_BYTES, MAX_BYTES = 1 << 15, 1 << 22
_MIN_READ_BYTES = 1 << 12
_HUGE_PAGE_BYTES = 1 << 21
_QUIET_READS = 8  # which, when they are small, end a backlog: its block is given back


class ReadBlocks:
    """Blocks of memory, one after the other, for one connection.

    They grow while reads fill them: one connection that is behind takes megabytes with a single system call. A quiet
    one, of thousands, holds a small block: after some small reads in a row a large one is given back, used or not. A
    view of what was read keeps its block, but of a large one only as much as was used.

    >>> blocks = ReadBlocks()
    >>> blocks.free()[:5] = b"first"
    >>> first = blocks.take(5)
    >>> blocks.free()[:6] = b"second"
    >>> blocks.take(6).tobytes(), first.tobytes()
    (b'second', b'first')
    """

    def __init__(self) -> None:
        self._size_bytes = FIRST_BYTES
        self._block = memoryview(b"")
        self._used = 0
        self._small_reads = 0

    def free(self) -> memoryview:
        """Return where to read to."""
        if self._small_reads >= _QUIET_READS and self._size_bytes > FIRST_BYTES:
            self._size_bytes = FIRST_BYTES
            self._renew()
        elif len(self._block) - self._used < _MIN_READ_BYTES:
            self._size_bytes = max(self._size_bytes // 2, FIRST_BYTES)
            self._renew()
        return self._block[self._used :]

    def take(self, size_bytes: int) -> memoryview:
        """Return the *size_bytes* that were read, read-only."""
        chunk = self._block[self._used : self._used + size_bytes]
        self._used += size_bytes
        self._small_reads = self._small_reads + 1 if size_bytes < FIRST_BYTES // 2 else 0
        if self._used == len(self._block) and size_bytes >= self._size_bytes // 2:
            # What fills the second block, too, is no backlog of a quiet device, of which there may be thousands.
            growth = 4 if self._size_bytes == FIRST_BYTES else 32
            self._size_bytes = min(growth * self._size_bytes, MAX_BYTES)
            self._renew()
        return chunk.toreadonly()

    def _renew(self) -> None:
        _give_back(self._block, self._used)
        self._block = _memory(self._size_bytes)
        self._used = 0


def _memory(size_bytes: int) -> memoryview:
    """Return new memory, where that is possible in huge pages: a first touch of each small one costs 2 us."""
    if size_bytes < _HUGE_PAGE_BYTES:
        return np.empty(size_bytes, np.uint8).data
    pages = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux
        with contextlib.suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(pages)


def _give_back(block: memoryview, used: int) -> None:
    """Return to the system what is not *used* of a large block, which a view of its beginning may keep for long."""
    begin = -(-used // mmap.PAGESIZE) * mmap.PAGESIZE
    if isinstance(block.obj, mmap.mmap) and begin < len(block) and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError):  # memory that is locked
            block.obj.madvise(mmap.MADV_DONTNEED, begin)
