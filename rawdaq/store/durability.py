"""What was written but is not known to be on the disk: kept until it is, and written again when a sync fails.

A disk that refuses a sync may have dropped what it was given, and the next sync then succeeds without it.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rawdaq.store.errors import DiskGone, typed_errors
from rawdaq.store.folder import File, Folder
from rawdaq.store.segments.segment import Segment

_LARGE_BYTES = 16 << 10
_CHUNK_BYTES = 16 << 20

Memory: TypeAlias = npt.NDArray[np.uint8]
NO_MEMORY: Memory = np.empty(0, np.uint8)


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
        self._chunk = NO_MEMORY  # what is left of it
        self._files: dict[Segment, File] = {}
        self._is_folder_changed = False
        self._must_rewrite = False

    def memory(self, size_bytes: int) -> Memory:
        """Return an array of *size_bytes*; several are parts of one that is so large that it gets large pages.

        Memory that comes from the system in pages of 4 KB costs more than all the rest of a write.
        """
        if not _LARGE_BYTES <= size_bytes <= _CHUNK_BYTES:
            return np.empty(size_bytes, np.uint8)
        with self._state:
            if self._chunk.size < size_bytes:
                self._chunk = np.empty(_CHUNK_BYTES, np.uint8)
            memory, self._chunk = self._chunk[:size_bytes], self._chunk[size_bytes:]
        return memory

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
            self.waiting_bytes += group.memory.size

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
            for group in groups:
                self._groups.popleft()
                self.waiting_bytes -= group.memory.size
            if not self._groups:
                self._chunk = NO_MEMORY
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
