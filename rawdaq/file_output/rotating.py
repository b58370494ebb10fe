"""`RotatingPublisher`: what all publishers have in common that write one file after the other."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from rawdaq.disk.file_names import FileNames
from rawdaq.disk.finishing import PartFile
from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.remedies import describe_write
from rawdaq.disk.rotation import Rotation, RotationLimits
from rawdaq.disk.threads import Arguments, DiskThread, Result, disk_thread, in_new_thread
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.file_output.found_objects import FileObjects, FoundObjects, ObjectMark, newest_first
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.publisher import NO_CURSOR_MARKS, CursorMarks, Publisher, PublisherUnavailable

File = TypeVar("File", bound=PartFile)

_MB: Final = 1_000_000
_LOOK_S: Final = 3600.0  # a clock may be set meanwhile


class RotatingPublisher(Publisher, Generic[File]):
    """Writes what it gets into files that follow each other; a subclass writes a batch into `files`.

    Behind a journal each object is in them once, also after a crash: a subclass puts `stamp` into each new file, and
    says by `identity` and `contents` what is to be recognised there; `rawdaq.file_output.found_objects` does the rest.

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
        self._names = names
        self._series: str | None = None  # of the numbers of its objects, see `ObjectMark`; None: there is no journal
        self._next = self._delivered = 0  # numbers: of the next object, and up to the last batch that was acknowledged
        self._found: FoundObjects | None = None

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

    @abstractmethod
    def identity(self, item: Packet | Message | bytes) -> bytes | None:
        """Return what a file holds of *item*; None when it holds nothing of it."""

    @abstractmethod
    def contents(self, path: Path) -> AbstractContextManager[FileObjects]:
        """Open the finished file *path* and return what it holds.

        Raises:
            RawdaqError: it cannot be read.
            OSError: the disk refuses it.
        """

    def stamp(self, again: int = 0) -> dict[str, str | int]:
        """Return what a new file has to say of itself, to be found after a crash.

        Args:
            again: how many of the objects before the next one are written into it once more.
        """
        return {} if self._series is None else ObjectMark(self._series, self._next - again).stamp

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
        self._delivered = self._next  # the batch is acknowledged when this returns, and no part of it before
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
        self._next += objects
        self.files.note(objects)

    async def recover(self, marks: CursorMarks, remember: Callable[[CursorMarks], None]) -> FoundObjects | None:
        """Return the objects that are in files beyond the cursor: they are not written once more.

        Raises:
            PublisherUnavailable: the folder cannot be read, or the journal not be written.
        """
        mark = ObjectMark.unpack(marks)
        if mark is None:
            mark = ObjectMark.new()
            await self._submit(remember, mark.pack())
            found = None
        else:
            found = await self._submit(self._find, mark)
        self._series = mark.series
        self._next = self._delivered = mark.number if found is None else found.end
        self._found = found
        return None if found is None or found.is_over else found

    def _find(self, mark: ObjectMark) -> FoundObjects:
        try:
            paths = newest_first(self._names.finished())
        except OSError as error:
            raise PublisherUnavailable(describe_write(error, self.path)) from error
        return FoundObjects.read(paths, mark, self.contents, self.identity, self.log)

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        """Return the number of the first object that was not delivered by this call, when all before it is safe.

        Raises:
            PublisherUnavailable: the disk refuses that.
        """
        marks = self._marks()
        if at_once:
            await self._submit(self._sync)
        elif self._fsync_s:
            await self._late_sync.covered()
        return marks

    def _marks(self) -> CursorMarks:
        if self._series is None:
            return NO_CURSOR_MARKS
        found = self._found
        number = self._delivered if found is None or found.is_over else found.number
        return ObjectMark(self._series, number).pack()

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
