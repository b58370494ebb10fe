"""The files of an archive that are open: so many at most, found by what their records have in common."""

import contextlib
import glob
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rawdaq.archive.file import ArchiveFile, Opened, open_all, sync_all
from rawdaq.archive.layout import TORN
from rawdaq.stream_id import StreamId

_AT_FIRST = 4  # so many files are opened before one looks how many more the process may open
_SHARED_BY = 8  # of these an archive takes one part at a time: others open files in the same moment


class OpenFiles:
    """Files below one folder that are open for appending, by the keys of their `rawdaq.archive.layout.Place`.

    Those for which the process has hardly room are open only while they are written.

    Args:
        root: the folder.
        adopts: whether keys are patterns, by which files are looked for that are there already.
        log: where torn files are told.
        clock_ns: the time, for the names of what is set aside.

    Attributes:
        limit: how many are open at most; then the one that was written longest ago is closed first.
        first_kept: the number from which on descriptors belong to others.
        torn_tails: torn ends that were set aside.
    """

    def __init__(self, root: Path, adopts: bool, limit: int, log: logging.Logger, clock_ns: Callable[[], int]) -> None:
        self.limit = limit
        self.first_kept = sys.maxsize
        self.torn_tails = 0
        self._root = root
        self._adopts = adopts
        self._log = log
        self._clock_ns = clock_ns
        self._files: OrderedDict[str, ArchiveFile] = OrderedDict()  # the one written last at the end
        self._key_of: dict[StreamId, str] = {}
        self._borrowed: list[str] = []  # keys of files whose descriptors belong to others
        self._has_told = False

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, key: str) -> bool:
        return key in self._files

    def __getitem__(self, key: str) -> ArchiveFile:
        return self._files[key]

    @property
    def dirty(self) -> list[ArchiveFile]:
        """Those with records that may not be on the disk yet."""
        return [file for file in tuple(self._files.values()) if file.is_dirty]

    def open_new(self, places: Sequence[tuple[str, str]]) -> None:
        """Open the files of *places*, keys and paths of some that are not open, all at once and without closing others.

        Not all of them may be open then; to `open` one of the others alone tells why.
        """
        if self._adopts:
            return
        wanted = [(key, self._root / path) for key, path in places[: self.limit - len(self._files)]]
        count = _AT_FIRST
        while wanted:
            some, wanted = wanted[:count], wanted[count:]
            outcomes = open_all([path for _, path in some])
            for (key, path), opened in zip(some, outcomes, strict=False):
                with contextlib.suppress(OSError):
                    self._add(key, path, opened)
            if self._borrowed or any(opened.error for opened in outcomes):
                return
            left = self.first_kept - max(opened.descriptor for opened in outcomes)
            count = max(_AT_FIRST, left // _SHARED_BY)

    def open(self, key: str, path: str) -> ArchiveFile:
        """Return the file of *key*; one that is not open is opened at *path*, below the folder.

        Raises:
            OSError: that is impossible.
        """
        if key in self._files:
            return self._files[key]
        self.give_back()
        while len(self._files) >= self.limit:
            self.close(next(iter(self._files)))
        if self._adopts:
            existing = (name for name in glob.glob(key, root_dir=self._root) if TORN not in name)
            path = max(existing, default=path)
        return self._add(key, self._root / path)

    def _add(self, key: str, path: Path, opened: Opened | None = None) -> ArchiveFile:
        file = self._files[key] = ArchiveFile(path, self._clock_ns(), opened)
        if file.set_aside:
            self.torn_tails += 1
            self._log.warning(
                "%s did not end with a whole record, perhaps after a crash: its last %d bytes are now in %s",
                file.path,
                file.set_aside[1],
                file.set_aside[0].name,
            )
        if file.descriptor >= self.first_kept:
            self._borrow(key)
        return file

    def _borrow(self, key: str) -> None:
        self._borrowed.append(key)
        if not self._has_told:
            self._log.warning(
                "this process has nearly as many open files as it may: some of this archive are opened for each batch "
                "anew, which is slow; raise the limit (ulimit -Hn, LimitNOFILE= in systemd), or use more processes"
            )
            self._has_told = True

    def give_back(self) -> None:
        """Close the files whose descriptors belong to others; they are written."""
        if self._borrowed:
            self.close(*self._borrowed)
            self._borrowed.clear()

    def keep(self, key: str) -> None:
        """Remember that the file of *key* was written just now."""
        self._files.move_to_end(key)

    def close_left(self, written: Iterable[tuple[str, Iterable[StreamId]]]) -> None:
        """Close the files that streams wrote before those of *written*, keys and streams: yesterday's."""
        left: list[str] = []
        for key, streams in written:
            for stream in streams:
                before = self._key_of.get(stream)
                if before == key:
                    continue
                if before is not None:
                    left.append(before)
                self._key_of[stream] = key
        self.close(*left)

    def close(self, *keys: str) -> None:
        """Close the files of *keys* that are open, when their records are on the disk or it has refused them."""
        files = [file for key in keys if (file := self._files.pop(key, None))]
        dirty = [file for file in files if file.is_dirty]
        while error := sync_all(dirty):
            self._log.error("%s: its last records may not be on the disk: %s", error.filename, error.strerror)
            dirty = [file for file in dirty if file.is_dirty][1:]
        for file in files:
            file.close()

    def close_all(self) -> None:
        """Close all of them, as `close` does."""
        self.close(*self._files)

    def sync(self) -> OSError | None:
        """See that all records are on the disk; return why the first of them are not."""
        return sync_all(self.dirty)
