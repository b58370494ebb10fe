"""`ContainerReader`: the objects of a container file, also of one that grows or is damaged."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from rawdaq.container.errors import BlockDamaged
from rawdaq.container.file import read_at
from rawdaq.container.format.index import Index, continued, load_block, read_index
from rawdaq.container.format.layout import FILE_HEADER_BYTES, Entry, unpack_info
from rawdaq.container.format.objects import Item, decode
from rawdaq.container.format.scan import Damage
from rawdaq.container.sequence import BlockSequence, Loaded, Stored

_POLL_S: Final = 0.1


class ContainerInfo(NamedTuple):
    """What a container file is.

    Attributes:
        path: the file.
        size_bytes: its size.
        created_ns: when it was made; None when its header is damaged.
        about: what it says of itself.
        blocks: how many there are.
        objects: how many they hold.
        first_ns: the earliest time of an object; in a file without footer, of those in the first block.
        last_ns: the latest one; in a file without footer, of those in the last block.
        is_finished: whether it has a footer; without, it is still written, or a crash has ended it.
        torn_bytes: how much at the end is the beginning of a block.
        damaged: how many damages are known.
    """

    path: Path
    size_bytes: int
    created_ns: int | None
    about: dict[str, Any]
    blocks: int
    objects: int
    first_ns: int | None
    last_ns: int | None
    is_finished: bool
    torn_bytes: int
    damaged: int


class ContainerReader(BlockSequence[Item]):
    """The objects of a container file: by index, slice and time, in order, and as they come.

    ::

        with ContainerReader("day.rdc") as reader:
            print(len(reader), reader[-1], reader[10:20], reader[[3, 1, 2]])
            for item in reader.between(start_ns, end_ns):
                ...

    A file can be read while it is written: `refresh` finds what has come, `follow` waits for it. All checksums are
    checked; what is damaged is passed over, logged, and stands in `damaged`.

    Args:
        path: the file.
        logger: where damages are logged.

    Raises:
        ContainerError: it is no container, or one of a newer rawdaq.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | Path, logger: logging.Logger | None = None) -> None:
        self.path = Path(path)
        super().__init__(str(path), logger or logging.getLogger("rawdaq.container"))
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._read = partial(read_at, self._fd)
        self._stopped = threading.Event()
        try:
            self._index = self._begin()
            self._about = self._read_about()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> Index:
        index = read_index(self._read, os.fstat(self._fd).st_size)
        for damage in index.damages:
            self._tell(damage)
        self._add_blocks(entry.objects for entry in index.blocks)
        return index

    def _read_about(self) -> dict[str, Any]:
        header = self._index.header
        if header is None or header.size_bytes > os.fstat(self._fd).st_size:
            return {}
        try:
            return unpack_info(self._read(FILE_HEADER_BYTES, header.size_bytes - FILE_HEADER_BYTES))
        except BlockDamaged as error:
            self._tell(Damage(FILE_HEADER_BYTES, header.info_bytes, None, error.reason))
            return {}

    @property
    def info(self) -> ContainerInfo:
        """What the file is."""
        index = self._index
        first = self._times(index.blocks[0]) if index.blocks else None
        last = self._times(index.blocks[-1]) if index.blocks else None
        if index.is_finished and index.blocks:
            first = min(entry.first_ns for entry in index.blocks), 0
            last = 0, max(entry.last_ns for entry in index.blocks)
        return ContainerInfo(
            self.path,
            os.fstat(self._fd).st_size,
            index.header.created_ns if index.header else None,
            self._about,
            len(index.blocks),
            len(self),
            first[0] if first else None,
            last[1] if last else None,
            index.is_finished,
            0 if index.is_finished else index.tail.size_bytes,
            len(self.damaged),
        )

    @property
    def end(self) -> int:
        """The number that the next object would get: how many were written, those included that are lost."""
        last = self._index.blocks[-1] if self._index.blocks else None
        return last.first + last.objects if last else 0

    def _times(self, entry: Entry) -> tuple[int, int] | None:
        """Return the earliest and the latest time in a block; None when it is damaged."""
        if self._index.is_finished:
            return entry.first_ns, entry.last_ns
        try:
            times = load_block(entry, self._read).times_ns
        except BlockDamaged:
            return None
        return min(times, default=0), max(times, default=0)

    def _load(self, block: int) -> Loaded[Item]:
        entry = self._index.blocks[block]
        loaded = load_block(entry, self._read)

        def stored(place: int) -> Stored[Item]:
            return Stored(entry.first + place, loaded.times_ns[place], decode(loaded.objects[place]))

        return stored

    def _place(self, block: int) -> Damage:
        entry = self._index.blocks[block]
        blocks = self._index.blocks
        end = blocks[block + 1].offset if block + 1 < len(blocks) else self._index.tail.offset
        return Damage(entry.offset, end - entry.offset, entry.number, "")

    def between(self, start_ns: int, end_ns: int) -> Iterator[Item]:
        """Yield the objects with a time from *start_ns* on and before *end_ns*; what is damaged is passed over."""
        for block, entry in enumerate(self._index.blocks):
            if self._index.is_finished and not (entry.first_ns < end_ns and entry.last_ns >= start_ns):
                continue
            for stored in self._good(block):
                if stored.time_ns is not None and start_ns <= stored.time_ns < end_ns:
                    yield stored.item

    def refresh(self) -> int:
        """Look for blocks that were written since; return how many objects have come."""
        before, known = len(self), self._index
        size_bytes = os.fstat(self._fd).st_size
        if known.is_finished or size_bytes <= known.tail.offset:
            return 0
        self._index = continued(known, self._read, size_bytes)
        if not self._about:
            self._about = self._read_about()
        for damage in self._index.damages:
            self._tell(damage)
        self._add_blocks(entry.objects for entry in self._index.blocks[len(known.blocks) :])
        return len(self) - before

    def follow(self, timeout_s: float | None = None, start: int = 0) -> Iterator[Item]:
        """Yield the objects that are there and those that come, until the file is finished.

        Args:
            timeout_s: end when nothing came for so long; None: wait until the file is finished, or `stop` is called.
            start: index of the first one; ``len(reader)`` for new ones only.
        """
        return (stored.item for stored in self.follow_stored(timeout_s, start))

    def follow_stored(self, timeout_s: float | None = None, start: int = 0) -> Iterator[Stored[Item]]:
        """Yield what `follow` does, with numbers and times."""
        came_s = time.monotonic()
        while not self._stopped.is_set():
            end = len(self)
            for stored in self.walk(start):
                yield stored
                if self._stopped.is_set():
                    return
                came_s = time.monotonic()
            start = end
            is_finished = self._index.is_finished
            if not self.refresh():
                if is_finished or (timeout_s is not None and time.monotonic() - came_s >= timeout_s):
                    return
                self._stopped.wait(_POLL_S)

    def stop(self) -> None:
        """End what `follow` yields; any thread may call it."""
        self._stopped.set()

    def close(self) -> None:
        """Close the file, where nothing reads it; a second time does nothing."""
        self._stopped.set()
        super().close()
