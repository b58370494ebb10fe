"""Rotation of files: one class for all writers, which says into which file the next object goes.

A file is written as ``NAME.part`` and gets its name when it is finished. No file is ever opened for writing twice, and
none replaced. See ``docs/decisions/file-rotation.md``.
"""

import errno
import fcntl
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from rawdaq.disk.file_names import PART, FileNames
from rawdaq.disk.finishing import CompleteFile, Finisher, PartFile, give_name, sync_folder
from rawdaq.disk.mounts import MountedFolder, check_mounted
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.times import NS_PER_S

_MAX_NAMES: Final = 100_000  # tried for one file: bounds a folder that is full of them
_active: set[Path] = set()  # files that this process writes


@dataclass(frozen=True, slots=True)
class RotationLimits:
    """When a file is complete; None or 0: not by this.

    Attributes:
        max_bytes: it would be larger with the next object.
        period_s: a multiple of this time has passed, counted from 1970 UTC: 86400 begins a file at midnight.
        max_count: it has so many objects.
    """

    max_bytes: int | None = None
    period_s: float | None = None
    max_count: int | None = None

    def period(self, now_ns: int) -> int:
        """Return the number of the period of *now_ns*."""
        return now_ns // self._period_ns if self._period_ns else 0

    def period_end_ns(self, now_ns: int) -> int | None:
        """Return when the period of *now_ns* ends; None: never."""
        return (self.period(now_ns) + 1) * self._period_ns if self._period_ns else None

    @property
    def _period_ns(self) -> int:
        return round((self.period_s or 0) * NS_PER_S)


class Room(NamedTuple):
    """What a file can still take."""

    bytes: int
    objects: int


File = TypeVar("File", bound=PartFile)


class Rotation(Generic[File]):
    """The files of a writer, one after the other. It blocks, so a publisher calls it in a thread of the disk.

    Args:
        names: of the files.
        limits: when a file is complete.
        create: makes and locks a new file under a name that ends with ``.part``; raises `FileExistsError` where it is.
        recover: makes of a file that was found unfinished a whole one, and returns that, which may be the same path;
            None when nothing is left of it. Raises `BlockingIOError` when somebody writes it, and `RawdaqError` when
            it cannot be made whole.
        log: where finished and recovered files are logged.
        clock_ns: the time.

    Attributes:
        current: the file that is written; None before the first object and after a file was completed.
        finished: how many files were finished.
        last: the file that was finished last.
        objects: in all files.
    """

    def __init__(
        self,
        names: FileNames,
        limits: RotationLimits,
        create: Callable[[Path], File],
        recover: Callable[[Path], Path | None],
        log: logging.Logger,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.current: File | None = None
        self.finished = self.objects = 0
        self.last: Path | None = None
        self._finished_bytes = self._completed = 0
        self._names = names
        self._limits = limits
        self._create = create
        self._recover = recover
        self._log = log
        self._clock_ns = clock_ns
        self._folder = MountedFolder(names.folder)
        self._finisher = Finisher(self._finish, log)
        self._count = 0
        self._began_ns = 0

    def open(self) -> None:
        """Create the folder, and finish what a crash has left in it.

        Raises:
            ComponentError: the only name that a file can have is taken.
            OSError: the folder cannot be written.
        """
        check_mounted(self._names.folder)
        self._names.folder.mkdir(parents=True, exist_ok=True)
        self._folder.watch()
        for part in self._names.parts():
            self._recover_part(part)
        self._check_single()

    def _check_single(self) -> None:
        name = next(self._names.candidates(self._clock_ns())) if self._names.is_single else None
        if name is not None and name.exists():
            raise ComponentError(
                f"{name} exists, and files are never written over: move it, or choose `suffix: date` or `suffix: order`"
            )

    def _recover_part(self, part: Path) -> None:
        if _key(part) in _active:
            return
        if self._has_name(part):
            part.unlink(missing_ok=True)
            return
        try:
            whole = self._recover(part)
        except (BlockingIOError, FileNotFoundError):
            return  # another writer is at it, or has just finished it
        except RawdaqError as error:
            self._log.error("%s was not finished by the last run, and stays as it is: %s", part, error)
            return
        if whole is None:
            self._log.warning("%s has no whole object: it is removed", part)
            part.unlink(missing_ok=True)
            return
        name = give_name(whole, self._free(part.with_name(part.name.removesuffix(PART))))
        if whole != part:
            part.unlink(missing_ok=True)
        self._log.warning("%s was not finished by the last run: it is whole now, as %s", part, name.name)

    def _has_name(self, part: Path) -> bool:
        """Return whether *part* is a finished file under its old name, which a kill has kept from being removed."""
        if part.stat().st_nlink == 1:
            return False
        names = itertools.takewhile(Path.exists, self._free(part.with_name(part.name.removesuffix(PART))))
        return any(name.samefile(part) for name in names)

    def _free(self, wanted: Path) -> Iterator[Path]:
        """Yield *wanted*, and names like it should that be taken meanwhile."""
        yield wanted
        for number in range(2, _MAX_NAMES):
            yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")

    def file_for(self, size_bytes: int, *, begins_new: bool = False) -> File:
        """Return the file that the next object, of *size_bytes*, goes into; the one before may be complete.

        Args:
            size_bytes: of the object.
            begins_new: it is the first of a file, whatever the limits are.

        Raises:
            ComponentError: the only name that a file can have is taken.
            OSError: no file can be made.
        """
        current = self.current
        if current is not None and not current.is_in_place():
            self._folder.device()  # raises when its disk is not mounted
            self._log.error("%s is gone or was moved: writing goes on in a new file", current.path)
            self.complete()
        elif current is not None and ((begins_new and self._count) or self._is_over(current, size_bytes)):
            self.complete()
        return self._begin() if self.current is None else self.current

    def _is_over(self, current: File, size_bytes: int) -> bool:
        limits = self._limits
        if self._count == 0:
            return False  # an object that is larger than all files gets one of its own
        return (
            (limits.max_bytes or sys.maxsize) < current.size_bytes + size_bytes
            or (limits.max_count or sys.maxsize) <= self._count
            or limits.period(self._clock_ns()) != limits.period(self._began_ns)
        )

    @property
    def room(self) -> Room:
        """What the current file can still take before `file_for` must be asked again."""
        if self.current is None:
            return Room(0, 0)
        return Room(
            (self._limits.max_bytes or sys.maxsize) - self.current.size_bytes,
            (self._limits.max_count or sys.maxsize) - self._count,
        )

    def note(self, objects: int) -> None:
        """Take note that so many objects were written into the current file."""
        self._count += objects
        self.objects += objects

    def _begin(self) -> File:
        """Make a new file under the first name that is free.

        Raises:
            ComponentError: none is.
            OSError: it cannot be made.
        """
        self._folder.device()  # raises when its disk is not mounted: nothing must be written below the mount point
        self._began_ns, self._count = self._clock_ns(), 0
        for name in islice(self._names.candidates(self._began_ns), _MAX_NAMES):
            part = name.with_name(name.name + PART)
            # In this order: a file that is finished at this moment has its part, or both, and then only its name.
            if part.exists() or name.exists():
                continue
            try:
                self.current = self._create(part)
            except (FileExistsError, BlockingIOError):
                continue
            _active.add(_key(part))
            sync_folder(name.parent)
            return self.current
        self._check_single()
        why = "another program writes the only one" if self._names.is_single else "move files away"
        raise ComponentError(f"no name is left for a file in {self._names.folder}: {why}, or choose `suffix: date`")

    def complete(self) -> None:
        """Have the current file finished in the background."""
        if self.current is not None:
            self._completed += 1
            self._finisher.submit(CompleteFile(self.current, self._count))
            self.current = None

    def complete_if_over(self) -> None:
        """Have the current file finished when its time is over, though no object comes."""
        if self.current is not None and self._limits.period(self._clock_ns()) != self._limits.period(self._began_ns):
            self.complete()

    def seconds_left(self) -> float | None:
        """Return how long until the time of the current file is over; None: files have no such time."""
        now_ns = self._clock_ns()
        end_ns = self._limits.period_end_ns(now_ns)
        return None if end_ns is None else (end_ns - now_ns) / NS_PER_S

    def _finish(self, complete: CompleteFile) -> None:
        """Finish a file and give it its name.

        Raises:
            OSError: the disk refuses that.
        """
        file, path = complete.file, complete.file.path
        if complete.is_moved is None:  # a closed file cannot be asked
            complete.is_moved = not file.is_in_place()
        size_bytes = file.size_bytes
        file.finish()
        if complete.is_moved:
            self._log.warning("%s was moved or cannot be completed: it keeps the name that it has now", path)
        else:
            name = give_name(path, self._free(path.with_name(path.name.removesuffix(PART))))
            self.last = name
            self._log.info("%s is finished: %d objects, %d bytes", name, complete.objects, size_bytes)
        self.finished += 1
        self._finished_bytes += size_bytes
        _active.discard(_key(path))

    def sync(self) -> None:
        """Return when all that was written is safe on the disk.

        Raises:
            OSError: the disk refuses that.
        """
        if self.current is not None:
            self.current.sync()
        self._finisher.wait()

    @property
    def waiting(self) -> int:
        """How many files get no more objects and are not finished yet."""
        return self._completed - self.finished

    @property
    def problem(self) -> str | None:
        """Why a file is not finished yet, in a sentence; None: there is no such file."""
        return None if self._finisher.error is None else f"a file cannot be finished: {self._finisher.error}"

    def status(self) -> dict[str, object]:
        """Return what `status` shows: the file that is written, and what was written in all."""
        current = self.current
        return {
            "file": None if current is None else str(current.path),
            "files": self.finished,
            "objects": self.objects,
            "bytes": self._finished_bytes + (0 if current is None else current.size_bytes),
        }

    def close(self) -> None:
        """Finish all files; those that the disk refuses are logged, and repaired at the next start."""
        self.complete()
        for refused in self._finisher.close():
            _active.discard(_key(refused.file.path))
        if self.objects:
            self._log.info("%d objects in %d files, %d bytes", self.objects, self.finished, self._finished_bytes)


def _key(path: Path) -> Path:
    return path.parent.resolve() / path.name


def create_held(path: Path) -> int:
    """Return a descriptor of the new file *path*, held so that other processes see that it is written.

    It does not hinder a library that locks the file itself.

    Raises:
        FileExistsError: there is such a file.
        BlockingIOError: another process has found it in the same moment.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        hold(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def recover_as_it_is(part: Path) -> Path | None:
    """Return *part*, a file that only its writer knows how to repair; None when it is empty.

    Raises:
        BlockingIOError: another process writes it.
        OSError: it cannot be opened.
    """
    fd = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        hold(fd)
        return part if os.fstat(fd).st_size else None
    finally:
        os.close(fd)


def hold(fd: int) -> None:
    """Hold the file of *fd* while that is open.

    Raises:
        BlockingIOError: another process does.
    """
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(error.errno, os.strerror(error.errno)) from error
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
