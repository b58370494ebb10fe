"""The locked pid file of a component: locked means running, however its process ends."""

import fcntl
import os
import time
from pathlib import Path

from rawdaq.errors import ComponentError
from rawdaq.process.runs import AlreadyRunning, Running

LOCK_PATIENCE_S = 0.5  # others may test the lock in the very moment in which a component takes it
POLL_S = 0.02


class PidFile:
    """A pid file that this process has locked.

    Args:
        key: the component, or the process that components share.
        path: the file.

    Raises:
        AlreadyRunning: another process has it.
        ComponentError: the file cannot be opened.
    """

    def __init__(self, key: str, path: Path) -> None:
        self.key, self.path = key, path
        self._content = b""
        self._descriptor = self._lock(LOCK_PATIENCE_S)

    @property
    def inode(self) -> int:
        """The number of the file in its file system; no other file has it while this one is open."""
        return os.fstat(self._descriptor).st_ino

    def read(self) -> str:
        """Return what the last run left in the file."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode(errors="replace")

    def write(self, running: Running) -> None:
        """Write *running* into the file.

        Raises:
            ComponentError: there is no room; others would see that it runs, but not what to stop.
        """
        self._content = running.encode()
        self._write_content()

    def restore(self) -> None:
        """Put the file back after somebody removed it, or put another in its place.

        Raises:
            AlreadyRunning: another process has been started meanwhile.
            ComponentError: the file cannot be written.
        """
        removed, self._descriptor = self._descriptor, self._lock(0)
        os.close(removed)
        self._write_content()

    def is_in_place(self) -> bool:
        """Whether nobody has removed or replaced the file."""
        return is_at(self._descriptor, self.path)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        os.close(self._descriptor)

    def _lock(self, patience_s: float) -> int:
        end_s = time.monotonic() + patience_s
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise ComponentError(
                    f"{self.path} cannot be written: {error.strerror}; move what is there away"
                ) from error
            # Its former holder may have removed the file, and another process made a new one, before we had the lock.
            if try_lock(descriptor, fcntl.LOCK_EX) and is_at(descriptor, self.path):
                return descriptor
            os.close(descriptor)
            if time.monotonic() >= end_s:
                holder = read_pid_file(self.path)
                raise AlreadyRunning(self.key, holder.pid if holder else 0)
            time.sleep(POLL_S)

    def _write_content(self) -> None:
        rest = self._content
        try:
            os.ftruncate(self._descriptor, 0)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise ComponentError(
                f"{self.path} cannot be written: {error.strerror}; make room there, or set RAWDAQ_RUNTIME_DIR"
            ) from error


def read_pid_file(path: Path) -> Running | None:
    """Return what the pid file at *path* says and whether its process lives; None when there is no file.

    Raises:
        ComponentError: the file cannot be read.
    """
    try:
        with path.open(errors="replace") as file:
            is_alive = not try_lock(file.fileno(), fcntl.LOCK_SH)
            return Running.decode(file.read(), is_alive=is_alive)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        raise ComponentError(
            f"{path} cannot be read: {error.strerror}; give it back to this user, or remove it"
        ) from error


def try_lock(descriptor: int, kind: int) -> bool:
    """Take the lock of a file if no other process has it; return whether it was taken."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that is open as *descriptor* is the one at *path*."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False
