"""The open files of an archive: so many at most, the one that was written longest ago closed first."""

import glob
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from rawdaq.archive.file import ArchiveFile
from rawdaq.disk.mounts import MountedFolder
from rawdaq.disk.set_aside import TORN
from rawdaq.open_files import REMEDY, first_for_sockets
from rawdaq.stream_id import StreamId


class FileCache:
    """Files below one folder that are open for appending, by key (`rawdaq.archive.layout.ArchivePath`).

    When the process has hardly any descriptors left, a file is closed again after it was written.

    Args:
        root: the folder.
        keys_are_patterns: whether a key is a pattern, and a file whose name fits it is continued.
        max_open: how many files stay open.
        log: where torn files are logged.
        clock_ns: the time, for the names of what is set aside.

    Attributes:
        torn_tails: how many torn ends were set aside.
        device: the disk that the folder is on.
    """

    def __init__(
        self, root: Path, keys_are_patterns: bool, max_open: int, log: logging.Logger, clock_ns: Callable[[], int]
    ) -> None:
        self.torn_tails = 0
        self.device = 0
        self._root = root
        self._keys_are_patterns = keys_are_patterns
        self._max_open = max_open
        self._log = log
        self._clock_ns = clock_ns
        self._files: OrderedDict[str, ArchiveFile] = OrderedDict()  # the one written last at the end
        self._key_of: dict[StreamId, str] = {}
        self._folder = MountedFolder(root)
        self._surplus: str | None = None  # key of a file whose descriptor is left to others
        self._is_limit_logged = False
        self._damaged: set[Path] = set()  # files whose bad first bytes were logged

    def __len__(self) -> int:
        return len(self._files)

    @property
    def dirty_count(self) -> int:
        """How many have records that may not be on the disk yet."""
        return sum(file.is_dirty for file in tuple(self._files.values()))

    def watch_folder(self) -> None:
        """Remember on which disk the folder is.

        Raises:
            OSError: it does not exist.
        """
        self._folder.watch()
        self.device = self._folder.device()

    def open(self, key: str, path: str) -> ArchiveFile:
        """Return the file of *key*; one that is not open is opened at *path*, below the folder.

        Raises:
            OSError: that is impossible.
        """
        file = self._files.get(key)
        if file is not None:
            if file.is_in_place():
                self._files.move_to_end(key)
                return file
            self.close(key)
        self._check_folder()
        self.close_surplus()
        while len(self._files) >= self._max_open:
            self.close(next(iter(self._files)))
        if self._keys_are_patterns:
            existing = (name for name in glob.glob(key, root_dir=self._root) if TORN not in name)
            path = max(existing, default=path)
        return self._open(key, self._root / path)

    def _check_folder(self) -> None:
        """Refuse a folder that is gone or not mounted; accept another disk in its place."""
        device = self._folder.device()
        if device != self.device:
            self.close_all()
            self.device = device

    def _open(self, key: str, path: Path) -> ArchiveFile:
        file = self._files[key] = ArchiveFile(path, self._clock_ns(), self._root)
        if file.bad_bytes and path not in self._damaged:
            self._damaged.add(path)  # it may be opened for each batch
            self._log.warning(
                "the first %d bytes of %s are no records; they stay, and records follow the last whole one",
                file.bad_bytes,
                file.path,
            )
        if file.set_aside:
            self.torn_tails += 1
            self._log.warning(
                "%s did not end with a whole record, perhaps after a crash: its last %d bytes are now in %s",
                file.path,
                file.set_aside[1],
                file.set_aside[0].name,
            )
        if file.descriptor >= first_for_sockets():
            self._surplus = key
            self._log_limit()
        return file

    def _log_limit(self) -> None:
        if not self._is_limit_logged:
            self._log.warning(
                "this process has nearly as many open files as it may: some of this archive are opened for each batch, "
                "which is slow; %s, or use more processes",
                REMEDY,
            )
            self._is_limit_logged = True

    def close_surplus(self) -> None:
        """Close the file whose descriptor is left to others; it is written."""
        if self._surplus is not None:
            self.close(self._surplus)
            self._surplus = None

    def close_previous(self, written: Iterable[tuple[StreamId, str]]) -> None:
        """Close the files that streams wrote before those of *written*, streams and keys: yesterday's."""
        previous: list[str] = []
        for stream, key in written:
            before = self._key_of.get(stream)
            if before != key:
                self._key_of[stream] = key
                if before is not None:
                    previous.append(before)
        for key in previous:
            self.close(key)

    def close(self, key: str) -> None:
        """Close the file of *key* if it is open, when its records are on the disk or the disk has refused them."""
        file = self._files.pop(key, None)
        if file is None:
            return
        try:
            file.sync()
        except OSError as error:
            self._log.error("%s: its last records may not be on the disk: %s", error.filename, error.strerror)
        file.close()

    def close_all(self) -> None:
        """Close all of them, as `close` does."""
        for key in tuple(self._files):
            self.close(key)

    def sync(self) -> None:
        """Return when all records are on the disk.

        Raises:
            OSError: the disk refuses those of a file, which the error names; files after it are not tried.
        """
        for file in tuple(self._files.values()):
            file.sync()
