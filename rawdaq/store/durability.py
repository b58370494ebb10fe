"""What was written but is not known to be on the disk: kept until it is, and written again when a sync fails.

A disk that refuses a sync may have dropped what it was given, and the next sync then succeeds without it.
"""

import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from rawdaq.store.errors import DiskGone, typed_errors
from rawdaq.store.folder import File, Folder
from rawdaq.store.format.drafts import Piece
from rawdaq.store.segments.segment import Segment

_LARGE_BYTES = 16 << 10


class Memory(NamedTuple):
    """Where the bytes of a group are held.

    Args:
        data: the bytes.
        buffer: what they are in, to be used again when they are on the disk; None: they are few.
    """

    data: bytes | memoryview
    buffer: io.BytesIO | None


NO_MEMORY = Memory(b"", None)


class Group(NamedTuple):
    """What one write has brought.

    Args:
        segment: where to.
        offset: the place in its file.
        memory: the bytes.
        position: what comes behind it.
        limit: positions below it may be given out once it is on the disk.
    """

    segment: Segment
    offset: int
    memory: Memory
    position: int
    limit: int


class Durability:
    """Brings to the disk what was written.

    One thread at a time adds; another may sync at the same time.

    Args:
        folder: of the store.
        clock: the time in nanoseconds.

    Attributes:
        position: entries below it are on the disk.
        limit: positions below it may be given out.
        waiting_bytes: what is not known to be on the disk; it is held in memory.
        synced_ns: when the last sync ended; 0 before the first.
        is_gone: whether the folder or its disk has gone; `reopen` comes first then.
    """

    def __init__(self, folder: Folder, clock: Callable[[], int]) -> None:
        self.position = 0
        self.limit = 0
        self.waiting_bytes = 0
        self.synced_ns = 0
        self.is_gone = False
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()  # held while the disk works
        self._state = threading.Lock()  # held for moments
        self._groups: deque[Group] = deque()
        self._free: list[io.BytesIO] = []  # what the last sync has set free
        self._files: dict[Segment, File] = {}
        self._is_folder_changed = False
        self._must_rewrite = False

    def memory(self, pieces: Iterable[Piece], size_bytes: int) -> Memory:
        """Return *pieces* joined, where much is joined in memory that was used before.

        New memory comes from the system page by page, which costs more than the rest of a write.
        """
        if size_bytes < _LARGE_BYTES:
            return Memory(b"".join(pieces), None)
        with self._state:
            buffer = self._free.pop() if self._free else io.BytesIO()
        buffer.seek(0)
        buffer.writelines(pieces)
        return Memory(buffer.getbuffer()[:size_bytes], buffer)

    def add(self, group: Group, new_file: File | None = None) -> None:
        """Hold what was written.

        Args:
            group: what it is.
            new_file: the file of its segment, when that is the first of it.
        """
        with self._state:
            if new_file is not None:
                self._keep({each.segment for each in self._groups})
                self._files[group.segment] = new_file
                self._is_folder_changed = True
            self._groups.append(group)
            self.waiting_bytes += len(group.memory.data)

    def holds(self, segment: Segment) -> bool:
        """Return whether something in *segment* is not known to be on the disk."""
        with self._state:
            return bool(self._groups) and segment.first >= self._groups[0].segment.first

    def sync(self) -> None:
        """Return when all that was written before is on the disk.

        Raises:
            StoreUnavailable: the disk refuses; what was written is held, and written again by the next call.
        """
        with self._lock, typed_errors(self._folder.path):
            with self._state:
                groups, files = list(self._groups), dict(self._files)
                is_folder_changed, self._is_folder_changed = self._is_folder_changed, False
            try:
                self._sync(groups, files, is_folder_changed)
            except OSError:
                self._must_rewrite = True
                self._is_folder_changed = self._is_folder_changed or is_folder_changed
                self.is_gone = not all(file.is_at_its_path() for file in files.values())
                raise
            self._check_paths(files.values())
            if groups:
                self._forget(groups)

    def _sync(self, groups: list[Group], files: dict[Segment, File], is_folder_changed: bool) -> None:
        if self._must_rewrite:
            for group in groups:
                files[group.segment].write(group.memory.data, group.offset)
        for segment in dict.fromkeys(group.segment for group in groups):
            files[segment].sync()
        if is_folder_changed:
            self._folder.sync()
        self._must_rewrite = False

    def _forget(self, groups: list[Group]) -> None:
        """Hold nothing more of what is on the disk, but the file that is written."""
        with self._state:
            self._free.clear()
            for group in groups:
                self._groups.popleft()
                data, buffer = group.memory
                self.waiting_bytes -= len(data)
                if buffer is not None and isinstance(data, memoryview):
                    data.release()
                    self._free.append(buffer)
            self._keep({groups[-1].segment, *(group.segment for group in self._groups)})
        self.position, self.limit, self.synced_ns = groups[-1].position, groups[-1].limit, self._clock()

    def _keep(self, segments: set[Segment]) -> None:
        """Hold the files of *segments* alone."""
        self._files = {segment: file for segment, file in self._files.items() if segment in segments}

    def _check_paths(self, files: Iterable[File]) -> None:
        """See that what is written can be found again: a folder that was removed takes what is written even so."""
        for file in files:
            if not file.is_at_its_path():
                self.is_gone = True
                raise DiskGone(str(file.path), "the file is no longer there")
        self.is_gone = False

    def reopen(self) -> tuple[File, dict[Segment, File]]:
        """Open the files of a folder that has come back, so that the next `sync` writes what is held; no one may add.

        Returns:
            The lock, and the files.

        Raises:
            StoreUnavailable: it has not, or it is another one.
            StoreLocked: another process writes it now.
        """
        with self._lock, typed_errors(self._folder.path):
            os.stat(self._folder.path / "lock")  # it is not made again in a folder that is not ours
            begun = {group.segment for group in self._groups if group.offset == 0}
            files: dict[Segment, File] = {}
            for segment in self._files:
                flags = os.O_RDWR | (os.O_CREAT if segment in begun else 0)
                files[segment] = File(self._folder.segment_path(segment.first), flags)
            lock = self._folder.lock()
            self._files, self._must_rewrite, self._is_folder_changed, self.is_gone = files, True, True, False
            return lock, files

    def close(self) -> None:
        """Hold no file any more; nothing is written or synced."""
        with self._state:
            for file in self._files.values():
                file.close()
            self._files.clear()
