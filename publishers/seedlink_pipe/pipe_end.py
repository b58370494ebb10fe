"""The writing end of a pipe in a program with an event loop: it waits without blocking, and tears nothing."""

import asyncio
import errno
import fcntl
import os
import stat
import sys
import termios
import time
from pathlib import Path

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols.plugin_pipe.writer import ATOMIC_BYTES
from rawdaq.seedlink_plugin import check_descriptor


class PipeEnd:
    """Writes to an inherited descriptor or to a named pipe.

    Pieces of at most `piece_bytes` enter a pipe at once or not at all, so several ends of one pipe can be written to
    independently, as long as they are in one thread.

    Args:
        fd: the inherited descriptor; it stays open when this end is closed.
        path: a named pipe, instead.

    Attributes:
        where: the descriptor or the path, for people.
        is_pipe: whether it is a pipe, once it is open; an inherited descriptor may be a file.
        written_bytes: how much was written.
        last_write_s: when, on the monotonic clock; at first when it was opened.
    """

    def __init__(self, fd: int, path: Path | None) -> None:
        self.where = f"descriptor {fd}" if path is None else str(path)
        self.is_pipe = path is not None
        self.written_bytes = 0
        self.last_write_s = 0.0
        self._source = fd
        self._path = path
        self._fd = -1
        self._capacity_bytes = ATOMIC_BYTES

    def open(self) -> None:
        """Take hold of the pipe; a named one without a reader is opened by `connect`.

        Raises:
            ComponentError: there is no named pipe (yet); the text names cause and remedy.
            InvalidValue: there is no inherited pipe, and there never will be one.
        """
        self.last_write_s = time.monotonic()
        if self._path is None:
            self._take_over()
            return
        try:
            is_pipe = stat.S_ISFIFO(os.stat(self._path).st_mode)
        except OSError as error:
            raise ComponentError(f"cannot write {self._path}: {error.strerror}; mkfifo makes it") from error
        if not is_pipe:
            raise ComponentError(f"{self._path} is no named pipe; mkfifo makes one")
        self.connect()

    def _take_over(self) -> None:
        try:
            check_descriptor(self._source)
        except ComponentError as error:
            raise InvalidValue(str(error)) from error
        if not os.get_inheritable(self._source):
            # What Python itself opens is closed in children: then it is a file of ours that has this number by chance.
            raise InvalidValue(f"{self.where} belongs to this program itself; let seedlink start it")
        # A descriptor of its own, so that several ends of one pipe can wait at the same time.
        self._fd = os.dup(self._source)
        self.is_pipe = stat.S_ISFIFO(os.fstat(self._fd).st_mode)
        os.set_blocking(self._fd, False)
        self._capacity_bytes = _capacity_bytes(self._fd)

    def connect(self) -> bool:
        """Return whether the pipe has a reader, as far as that is known before writing.

        Raises:
            ComponentError: the named pipe cannot be opened.
        """
        if self._fd >= 0 or self._path is None:
            return True
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return False
            raise ComponentError(f"cannot write {self._path}: {error.strerror}") from error
        self._capacity_bytes = _capacity_bytes(self._fd)
        return True

    async def closed(self) -> None:
        """Return when an inherited pipe has no reader any more; never where the system cannot say.

        The writing end becomes readable when the other one is closed.
        """
        loop = asyncio.get_running_loop()
        is_closed = asyncio.Event()
        try:
            loop.add_reader(self._fd, is_closed.set)
        except (OSError, ValueError):  # a file, or not open
            await asyncio.Event().wait()
        try:
            await is_closed.wait()
        finally:
            if self._fd >= 0:
                loop.remove_reader(self._fd)

    @property
    def piece_bytes(self) -> int:
        """The largest piece that the pipe now takes at once or not at all: as much as it has room for."""
        if self._capacity_bytes == ATOMIC_BYTES:
            return ATOMIC_BYTES
        unread_bytes = int.from_bytes(fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        # A pipe consists of pages. Of two that follow each other half is filled at least, the ends may hold little.
        used_bytes = 2 * (unread_bytes + os.sysconf("SC_PAGE_SIZE")) if unread_bytes else 0
        return max(ATOMIC_BYTES, self._capacity_bytes - used_bytes)

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the pipe has taken *data*.

        Raises:
            BrokenPipeError: it has no reader any more.
            OSError: it cannot be written.
        """
        rest = memoryview(data)
        while rest:
            if not (taken := self._write(rest)):
                await self._room()
            rest = rest[taken:]  # a pipe takes all of it, a file on a full disk perhaps not

    def write_now(self, data: bytes | memoryview) -> bool:
        """Return whether the pipe has taken *data*, at most 4096 bytes; a file on a full disk may take a part.

        Raises:
            BrokenPipeError: it has no reader any more.
            OSError: it cannot be written.
        """
        return self._write(data) > 0

    def _write(self, data: bytes | memoryview) -> int:
        """Return how much of *data* the pipe has taken: nothing when it is full."""
        try:
            taken = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        self.written_bytes += taken
        self.last_write_s = time.monotonic()
        return taken

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        fd, ready = self._fd, asyncio.Event()
        loop.add_writer(fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(fd)

    def close(self) -> None:
        """Let go of the pipe; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _capacity_bytes(fd: int) -> int:
    """Return what the pipe holds, or, where the system does not say, what is always taken at once."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except (OSError, AttributeError):
        return ATOMIC_BYTES
