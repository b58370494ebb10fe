"""Where running components leave their pid files, command sockets and logs; see ``docs/decisions/runtime-files.md``."""

import fcntl
import json
import logging
import os
import stat
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs

from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.runs import AlreadyRunning, Ended, Running

_LOG = logging.getLogger("rawdaq.runtime_files")

#: The longest path of a Unix socket: 108 bytes with the final zero on Linux, fewer on macOS.
MAX_SOCKET_PATH_BYTES = 103

_LOCK_PATIENCE_S = 0.5  # `RuntimeFiles.running` may test a lock in the very moment in which a component takes it
_START_PATIENCE_S = 90.0  # a start may have to wait for another one, of components that do not come up
_POLL_S = 0.02

_SUFFIXES = (".pid", ".sock", ".end")


class RuntimeFiles:
    """The runtime folder, the log folder, and the names of the files in them.

    Building one touches nothing. A component's files are called by its key, ``NET.STA.NAME``.

    Args:
        folder: where pid files and command sockets are.
        logs: where log files are.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder = folder.absolute()
        self.logs = logs.absolute()
        self._descriptor: int | None = None
        self._opening = threading.Lock()  # components start side by side

    @classmethod
    def find(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return the folders of this user, by the environment and the system."""
        given = os.environ if environment is None else environment
        if chosen := given.get("RAWDAQ_RUNTIME_DIR"):
            folder = Path(chosen).expanduser()
            logs = folder / "log"
        else:
            folder, logs = _user_folders(given)
        if chosen := given.get("RAWDAQ_LOG_DIR"):
            logs = Path(chosen).expanduser()
        return cls(folder, logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder; addresses from `command_address` are invalid from then on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    # ------------------------------------------------------------------ the folders

    def prepare(self) -> None:
        """Make the folders; from then on only this user can enter the runtime folder.

        Raises:
            ComponentError: the runtime folder is not safe, or a folder cannot be made.
        """
        for folder, mode in ((self.folder, 0o700), (self.logs, 0o755)):
            try:
                folder.mkdir(mode=mode, parents=True, exist_ok=True)
            except OSError as error:
                raise ComponentError(
                    f"{folder} cannot be made: {error.strerror}; set RAWDAQ_RUNTIME_DIR (and RAWDAQ_LOG_DIR) to others"
                ) from error
        self._make_private()

    def _make_private(self) -> None:
        about = self.folder.stat()
        if about.st_uid != os.geteuid():
            raise ComponentError(
                f"{self.folder} belongs to another user; set RAWDAQ_RUNTIME_DIR to a folder of your own"
            )
        if stat.S_IMODE(about.st_mode) & 0o077 == 0:
            return
        # A folder that others use too, such as /tmp, must stay open.
        if any(path.suffix not in _SUFFIXES and path != self.logs for path in self.folder.iterdir()):
            raise ComponentError(
                f"{self.folder} is open to other users and holds other things; "
                "set RAWDAQ_RUNTIME_DIR to a folder of its own, or make it private (chmod 700)"
            )
        self.folder.chmod(0o700)

    @contextmanager
    def one_start(self) -> Generator[None]:
        """Keep all other processes from starting components with these folders until the context ends.

        Raises:
            ComponentError: another start is not done within 90 s.
        """
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            end_s = time.monotonic() + _START_PATIENCE_S
            while not _try_lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > end_s:
                    raise ComponentError("another start of components is not done yet; wait for it, then start again")
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(descriptor)

    # ------------------------------------------------------------------ names

    def pid_file(self, key: str) -> Path:
        """Return the pid file of a component."""
        return self.folder / f"{key}.pid"

    def log_file(self, key: str) -> Path:
        """Return the log file of a component."""
        return self.logs / f"{key}.log"

    def _socket(self, key: str) -> Path:
        return self.folder / f"{key}.sock"

    def _end_file(self, key: str) -> Path:
        return self.folder / f"{key}.end"

    def command_address(self, key: str) -> str:
        """Return the zmq address of a component's command socket, for binding and for connecting.

        When the path is longer than a socket's may be, the address goes through a descriptor of the folder, which
        stays open until `close`.

        Raises:
            ComponentError: the path is too long and this system has no way around it, or there is no such folder.
        """
        path = self._socket(key)
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return f"ipc://{path}"
        if not Path("/proc/self/fd").is_dir():  # pragma: no cover - only without Linux's /proc
            raise ComponentError(f"{path} is too long for a socket; set RAWDAQ_RUNTIME_DIR to a shorter path")
        with self._opening:
            if self._descriptor is None:
                self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"ipc:///proc/self/fd/{self._descriptor}/{path.name}"

    # ------------------------------------------------------------------ what runs, and what has ended

    def keys(self) -> list[str]:
        """Return the keys of all components that have a pid file, running or dead."""
        return sorted(path.name.removesuffix(".pid") for path in self.folder.glob("*.pid") if not path.is_dir())

    def failed_keys(self) -> list[str]:
        """Return the keys of all components that ended with an error."""
        return sorted(path.name.removesuffix(".end") for path in self.folder.glob("*.end"))

    def running(self, key: str) -> Running | None:
        """Return what the pid file of *key* says and whether its process lives; None when there is no file.

        Raises:
            ComponentError: the file cannot be read.
        """
        path = self.pid_file(key)
        try:
            with path.open(errors="replace") as file:
                is_alive = not _try_lock(file.fileno(), fcntl.LOCK_SH)
                return Running.decode(file.read(), is_alive=is_alive)
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise ComponentError(
                f"{path} cannot be read: {error.strerror}; give it back to this user, or remove it"
            ) from error

    def ended(self, key: str) -> Ended | None:
        """Return how the last run of *key* ended; None when it was stopped in order, or runs.

        Raises:
            ComponentError: its pid file cannot be read.
        """
        running = self.running(key)
        if running is None:
            return self._failed(key)
        return None if running.is_alive else self._dead(key, running)

    def _dead(self, key: str, running: Running) -> Ended:
        # The last output of a process that components share is in the log of the process.
        return Ended(running.pid, running.config, self.log_file(running.group or key))

    def _failed(self, key: str) -> Ended | None:
        """Return what `keep_error` has written; None when the file is missing or incomplete."""
        try:
            values = json.loads(self._end_file(key).read_bytes())
            return Ended(int(values["pid"]), Path(values["config"]), self.log_file(key), str(values["error"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def has_failed(self, key: str, pid: int) -> bool:
        """Whether *key* has ended with an error in the process *pid*; `take_error` returns it."""
        failed = self._failed(key)
        return failed is not None and failed.pid == pid

    def take_error(self, key: str, pid: int) -> str | None:
        """Return, once, the error that ended *key* in the process *pid*; None when it ended in order, or runs."""
        failed = self._failed(key)
        if failed is None or failed.pid != pid:
            return None
        self._end_file(key).unlink(missing_ok=True)
        return failed.error

    def keep_error(self, key: str, config: Path, error: Exception) -> None:
        """Write down *error*, which is why *key*, started from *config*, does not run (any more)."""
        text = str(error) if isinstance(error, RawdaqError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):  # the component's log has it too
            self._end_file(key).write_text(json.dumps({"pid": os.getpid(), "config": str(config), "error": text}))

    def forget(self, key: str) -> None:
        """Remove the files that a dead component left behind."""
        self._end_file(key).unlink(missing_ok=True)
        self._remove(key)

    def _remove(self, key: str) -> None:
        for path in (self.pid_file(key), self._socket(key)):
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ the process of a component

    @contextmanager
    def hold(self, key: str, config: Path, stop_timeout_s: float, group: str | None = None) -> Generator[None]:
        """Make this the one process that runs *key*: its pid file is locked until the context ends, however it ends.

        An error that ends the context is written down for `ended` and `take_error`: the program that stops a component
        is not its parent, and gets no exit status. How the last run ended is logged, and its files are removed.

        Raises:
            AlreadyRunning: another process holds it.
            ComponentError: the pid file cannot be written.
        """
        try:
            descriptor = self._lock_pid_file(key)
        except AlreadyRunning:  # the other process writes down how it ends
            raise
        except ComponentError as error:
            self.keep_error(key, config, error)
            raise
        try:
            # Under the lock: files of a newer run cannot come in between.
            if ended := self._ended_before(descriptor, key):
                _LOG.warning("%s", ended)
            self._end_file(key).unlink(missing_ok=True)
            try:
                self._write(descriptor, key, Running(os.getpid(), config, time.time_ns(), stop_timeout_s, group))
                yield
            except Exception as error:
                self.keep_error(key, config, error)
                raise
            finally:
                self._remove(key)
        finally:
            os.close(descriptor)

    def _lock_pid_file(self, key: str) -> int:
        """Return the locked descriptor of the pid file of *key*."""
        path, end_s = self.pid_file(key), time.monotonic() + _LOCK_PATIENCE_S
        while time.monotonic() < end_s:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise ComponentError(f"{path} cannot be written: {error.strerror}; move what is there away") from error
            # Its former holder may have removed the file, and another process made a new one, before we had the lock.
            if _try_lock(descriptor, fcntl.LOCK_EX) and _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)
            time.sleep(_POLL_S)
        holder = self.running(key)
        raise AlreadyRunning(key, holder.pid if holder else 0)

    def _ended_before(self, descriptor: int, key: str) -> Ended | None:
        """Return how the last run of *key* ended; its pid file is open as *descriptor* if it did not remove it."""
        text = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        if text:
            return self._dead(key, Running.decode(text.decode(errors="replace"), is_alive=False))
        return self._failed(key)

    def _write(self, descriptor: int, key: str, running: Running) -> None:
        """Write *running* into the pid file."""
        rest = running.encode()
        try:
            os.ftruncate(descriptor, 0)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:  # others would see that it runs, but not what to stop
            raise ComponentError(
                f"{self.pid_file(key)} cannot be written: {error.strerror}; make room there, or set RAWDAQ_RUNTIME_DIR"
            ) from error


def _try_lock(descriptor: int, kind: int) -> bool:
    """Take the lock of a file if no other process has it; return whether it was taken."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that is open as *descriptor* is the one at *path*."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _user_folders(given: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the runtime folder and the log folder that this user has without a variable of ours."""
    is_root = os.geteuid() == 0
    logs = Path("/var/log/rawdaq") if is_root else platformdirs.user_log_path("rawdaq")
    if base := given.get("XDG_RUNTIME_DIR"):
        return Path(base) / "rawdaq", logs
    return Path("/run/rawdaq") if is_root else platformdirs.user_state_path("rawdaq") / "run", logs
