"""`RotatingPublisher`: what all publishers have in common that write one file after the other."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from rawdaq.disk.file_names import FileNames
from rawdaq.disk.finishing import PartFile
from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.remedies import describe_write
from rawdaq.disk.rotation import Rotation, RotationLimits
from rawdaq.disk.threads import Arguments, DiskThread, Result, disk_thread, in_new_thread
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.publisher import NO_CURSOR_MARKS, CursorMarks, Publisher, PublisherUnavailable

File = TypeVar("File", bound=PartFile)

_MB: Final = 1_000_000
_LOOK_S: Final = 3600.0  # a clock may be set meanwhile


class RotatingPublisher(Publisher, Generic[File]):
    """Writes what it gets into files that follow each other; a subclass writes a batch into `files`.

    Args:
        names: of the files.
        limits: when a file is complete.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before a batch counts as delivered.
        flush_s: how long what comes is gathered.
        name: how log lines and `status` call it.
        logger: parent of its logger.

    Attributes:
        files: which file the next object goes into.
        refused: how many objects cannot be stored, whatever the disk does.
    """

    must_deliver = True

    def __init__(
        self,
        names: FileNames,
        limits: RotationLimits,
        fsync_s: float,
        flush_s: float,
        name: str,
        logger: logging.Logger | None,
    ) -> None:
        super().__init__(name, logger)
        self.gather_s = flush_s
        self.refused = 0
        self.path = names.folder
        self.files: Rotation[File] = Rotation(names, limits, self.create, self.recover_part, self.log)
        self._fsync_s = fsync_s
        self._late_sync = LateSync(fsync_s, lambda: self._submit(self._sync), self.log)
        self._thread: DiskThread | None = None
        self._written = 0  # items of the batch that is being delivered

    @abstractmethod
    def create(self, part: Path) -> File:
        """Return the new file *part*; see `Rotation`."""

    @abstractmethod
    def recover_part(self, part: Path) -> Path | None:
        """Return a whole file made of *part*, which was found unfinished; see `Rotation`."""

    @abstractmethod
    def write(self, batch: Sequence[Any]) -> None:
        """Write *batch*, in a thread of the disk; `note` says how far it is.

        Raises:
            OSError: the disk does not take the next object.
            ComponentError: there is no file for it.
        """

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* contradict each other: a single file cannot be followed by another."""
        try:
            names = FileNames(Path(options["path"]), options["prefix"], options["suffix"], ".x")
        except InvalidValue as error:
            return str(error)
        limits = [key for key in ("rotate_mb", "rotate_s", "rotate_count") if options[key]]
        if names.is_single and limits:
            return f"{limits[0]} begins a new file, and with suffix none there is one name: choose date or order"
        return None

    async def open(self) -> None:
        """Create the folder and finish what a crash has left there.

        Raises:
            ComponentError: it cannot be written, or the only name that a file can have is taken.
        """
        try:
            await in_new_thread(f"opening {self.name}", self._open)
        except OSError as error:
            raise ComponentError(describe_write(error, error.filename or self.path)) from error
        self._thread = disk_thread(self.path.stat().st_dev)

    def _open(self) -> None:
        self.files.open()

    async def deliver(self, batch: Sequence[Any]) -> None:
        """Write *batch*; return when all of it is in files.

        Raises:
            PublisherUnavailable: the disk is full or gone; what was written of the batch is not given again.
        """
        try:
            await self._submit(self._write, batch)
        except OSError as error:
            raise PublisherUnavailable(describe_write(error, error.filename or self.path), self._written) from error
        except ComponentError as error:
            raise PublisherUnavailable(str(error), self._written) from error
        if self._fsync_s:
            self._late_sync.schedule()

    def _write(self, batch: Sequence[Any]) -> None:
        self._written = 0
        self.write(batch)
        if not self._fsync_s:
            self._written = 0  # all of it is given again when the disk refuses that; it is in the file twice then
            self.files.sync()

    def note(self, objects: int, refused: int = 0, others: int = 0) -> None:
        """Take note that so many of the batch are in the file, cannot be stored at all, or are of no use here."""
        self._written += objects + refused + others
        self.refused += refused
        self.files.note(objects)

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        """Return when all that is delivered is safe.

        Raises:
            PublisherUnavailable: the disk refuses that.
        """
        if at_once:
            await self._submit(self._sync)
        elif self._fsync_s:
            await self._late_sync.covered()
        return NO_CURSOR_MARKS

    async def watch(self) -> None:
        """Finish a file whose time is over though nothing comes."""
        while (left_s := self.files.seconds_left()) is not None:
            await asyncio.sleep(min(left_s, _LOOK_S))
            await self._submit(self.files.complete_if_over)
        await super().watch()

    async def aclose(self) -> None:
        """Finish all files."""
        await super().aclose()
        self._late_sync.close()
        if self._thread is not None:
            closing = self._thread.submit(self.files.close)
            self._thread.give_back()
            self._thread = None
            await closing

    @property
    def problem(self) -> str | None:
        """Why what was written may not be safe on the disk."""
        return self._late_sync.problem or self.files.problem

    def status(self) -> dict[str, object]:
        """Return the file that is written, and what was written in all."""
        return {**self.files.status(), "refused": self.refused, "sync_error": self._late_sync.error}

    def _submit(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> "asyncio.Future[Result]":
        """Let the thread of the disk call *function*; return the future of its end."""
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        return self._thread.submit(function, *args)

    def _sync(self) -> None:
        try:
            self.files.sync()
        except OSError as error:
            raise PublisherUnavailable(describe_write(error, error.filename or self.path)) from error


def limits_of(rotate_mb: float | None, rotate_s: float | None, rotate_count: int | None) -> RotationLimits:
    """Return the limits that these options of a publisher mean."""
    return RotationLimits(None if rotate_mb is None else int(rotate_mb * _MB), rotate_s, rotate_count)
