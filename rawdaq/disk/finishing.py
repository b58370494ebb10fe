"""Files that are finished in the background: made safe, and given their names without replacing anything."""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from rawdaq.disk.remedies import describe_write

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class PartFile(Protocol):
    """A file that is written under a name that ends with ``.part``."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its size, with what is not written yet."""
        ...

    def is_in_place(self) -> bool:
        """Return whether its path still leads to it."""
        ...

    def sync(self) -> None:
        """Return when what was written is safe on the disk.

        Raises:
            OSError: the disk refuses that.
        """
        ...

    def finish(self) -> None:
        """Write what is missing, make all of it safe on the disk, and close it; after an error it is still open.

        Raises:
            OSError: the disk refuses that.
        """
        ...

    def close(self) -> None:
        """Close it as it is."""
        ...


@dataclass(slots=True)
class CompleteFile:
    """A file that gets no more objects.

    Attributes:
        file: the file.
        objects: how many it has.
        is_moved: whether its name leads to something else; None: that was not looked at yet.
    """

    file: PartFile
    objects: int
    is_moved: bool | None = None


def give_name(path: Path, names: Iterable[Path]) -> Path:
    """Rename *path* to the first of *names* that is free; return that. Nothing is ever replaced.

    Raises:
        FileExistsError: none is free.
        OSError: the disk refuses it.
    """
    for name in names:
        try:
            os.link(path, name)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if name.exists():  # a file system without links cannot do both at once
                continue
            path.rename(name)
        else:
            path.unlink()
        sync_folder(name.parent)
        return name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* safe from a power cut.

    Raises:
        OSError: the disk refuses that.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems have nothing to do
            raise
    finally:
        os.close(fd)


class Finisher:
    """A thread that finishes one file after the other; those that the disk refuses are tried again.

    Args:
        finish: finishes a file and gives it its name; raises `OSError` when the disk refuses that.
        log: where the first refusal is logged.

    Attributes:
        error: why a file is not finished yet; None when the disk refuses nothing.
    """

    def __init__(self, finish: Callable[[CompleteFile], None], log: logging.Logger) -> None:
        self.error: str | None = None
        self._refusal: OSError | None = None
        self._finish = finish
        self._log = log
        self._queue: SimpleQueue[CompleteFile | None] = SimpleQueue()
        self._unfinished: list[CompleteFile] = []
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()
        self._idle.set()
        self._submitted = self._tried = 0

    def submit(self, file: CompleteFile) -> None:
        """Have *file* finished, and those that were refused before."""
        if self._thread is None:
            # A disk that hangs does not keep the program from ending.
            self._thread = threading.Thread(target=self._work, name="finishing files", daemon=True)
            self._thread.start()
        self._submitted += 1
        self._idle.clear()
        self._queue.put(file)

    def wait(self) -> None:
        """Return when all that was submitted is finished.

        Raises:
            OSError: the disk refuses that.
        """
        self._idle.wait()
        if self._refusal is not None:
            raise self._refusal

    def _work(self) -> None:
        for file in iter(self._queue.get, None):
            self._unfinished.append(file)
            self._try()
            self._tried += 1
            if self._tried == self._submitted:
                self._idle.set()

    def _try(self) -> None:
        """Try all that are not finished."""
        waiting, self._unfinished = self._unfinished, []
        error: OSError | None = None
        path: Path | None = None
        for file in waiting:
            try:
                self._finish(file)
            except OSError as refused:
                self._unfinished.append(file)
                error, path = refused, file.file.path
        text = None if error is None else describe_write(error, path)
        if text is not None and self.error is None:
            self._log.error("a file is not finished: %s; it is tried again with the next one, and at the end", text)
        self.error, self._refusal = text, error

    def close(self) -> list[CompleteFile]:
        """Finish all; return those that the disk still refuses: they keep their ``.part`` until the next start."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._unfinished:
            self._try()
        for file in self._unfinished:
            self._log.error("%s is not finished: %s; it is repaired at the next start", file.file.path, self.error)
            file.file.close()
        refused, self._unfinished = self._unfinished, []
        return refused
