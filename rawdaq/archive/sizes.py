"""How long the files of an archive are, so that after a crash it is known which records came after a certain moment.

This runs in a thread of the disk, with the archive.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rawdaq.archive.file import ArchiveFile

#: By then its last records are long on the disk, and the cursor has moved on.
_FORGET_S = 600.0

#: Names of files below the archive's folder, and their sizes in bytes; None: nothing is appended to it any more.
Sizes = Mapping[str, int | None]


class FileSizes:
    """The sizes of the files that records are appended to.

    Args:
        root: the archive's folder.
        known: sizes that are kept already.
        keep: called with the sizes of files before they are appended to for the first time, and of those that have
            become shorter; what it raises keeps records from being written.
    """

    def __init__(self, root: Path, known: Mapping[str, int], keep: Callable[[Mapping[str, int]], None]) -> None:
        self._root = root
        self._keep = keep
        self._sizes = dict(known)
        self._names: dict[str, str] = {}  # by key
        self._left: dict[str, float] = {}  # when files were left by their last stream
        self._unkept: dict[str, int] = {}
        self._changed: dict[str, int | None] = {}

    def has(self, key: str) -> bool:
        """Return whether the file of *key* was opened before."""
        return key in self._names

    def open(self, key: str, file: ArchiveFile) -> None:
        """Take note of a file that is to be appended to; `keep` must follow."""
        name = self._names[key] = str(file.path.relative_to(self._root))
        self._left.pop(name, None)
        size = self._sizes.get(name)
        if size is None or file.size_bytes < size:
            self._sizes[name] = self._unkept[name] = file.size_bytes

    def keep(self) -> None:
        """Have the sizes kept that must be."""
        if self._unkept:
            self._keep(self._unkept)
            self._changed |= self._unkept
            self._unkept = {}

    def wrote(self, key: str, file: ArchiveFile) -> None:
        """Take note of what was appended to a file."""
        name = self._names[key]
        self._sizes[name] = self._changed[name] = file.size_bytes

    def leave(self, keys: Iterable[str]) -> None:
        """Take note of files that a stream has left, such as yesterday's; they are forgotten some time after that."""
        for key in keys:
            name = self._names.pop(key, None)
            if name is not None:
                self._left[name] = time.monotonic()

    def take_changed(self) -> Sizes:
        """Return what has changed since the last call."""
        now_s = time.monotonic()
        for name in [name for name, left_s in self._left.items() if now_s - left_s > _FORGET_S]:
            del self._left[name]  # one that is written again is kept again
            if self._sizes.pop(name, None) is not None:
                self._changed[name] = None
        changed, self._changed = self._changed, {}
        return changed
