"""Where running components leave their pid files, command sockets and logs; see ``docs/decisions/runtime-files.md``."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.pid_file import POLL_S, PidFile, is_at, read_pid_file, try_lock
from rawdaq.process.runs import AlreadyRunning, Ended, Running
from rawdaq.process.user_folders import find_folders, make_folder, make_runtime_folder

_LOG = logging.getLogger("rawdaq.runtime_files")

#: The longest path of a Unix socket: 108 bytes with the final zero on Linux, fewer on macOS.
MAX_SOCKET_PATH_BYTES = 103

_START_PATIENCE_S = 90.0  # a start may have to wait for another one, of components that do not come up


class Lost(NamedTuple):
    """What somebody removed of the files of components that run in this process.

    Attributes:
        pid_files: the keys whose pid file was missing and is there again.
        errors: why others are not there again.
        sockets: the keys that have no command socket.
    """

    pid_files: list[str]
    errors: list[ComponentError]
    sockets: set[str]


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
        self._held: dict[str, PidFile] = {}

    @classmethod
    def find(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return the folders of this user; see `find_folders`."""
        return cls(*find_folders(os.environ if environment is None else environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        make_runtime_folder(self.folder, self.logs)
        make_folder(self.logs)

    @contextmanager
    def one_start(self) -> Generator[None]:
        """Make the folders, and keep all other processes from starting components there until the context ends.

        Raises:
            ComponentError: a folder cannot be made or is not safe, or another start is not done within 90 s.
        """
        end_s = time.monotonic() + _START_PATIENCE_S
        while (descriptor := self._lock_folder()) is None:
            if time.monotonic() > end_s:
                raise ComponentError("another start of components is not done yet; wait for it, then start again")
            time.sleep(POLL_S)
        try:
            yield
        finally:
            os.close(descriptor)

    def _lock_folder(self) -> int | None:
        """Return the locked descriptor of the runtime folder; None while another start has it."""
        self.prepare()
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if try_lock(descriptor, fcntl.LOCK_EX) and is_at(descriptor, self.folder):
            return descriptor
        os.close(descriptor)
        return None

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

    def has_socket(self, key: str) -> bool:
        """Whether the file of a component's command socket is there."""
        return self._socket(key).exists()

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
        return read_pid_file(self.pid_file(key))

    def ended(self, key: str) -> Ended | None:
        """Return how the last run of *key* ended; None when it was stopped in order, or runs.

        Raises:
            ComponentError: its pid file cannot be read.
        """
        running = self.running(key)
        if running is None:
            return self._failed(key)
        return None if running.is_alive else running.ended()

    def ended_ns(self, key: str) -> int | None:
        """Return when *key* wrote down its error, else when it last logged: its last sign of life; None without one."""
        for path in (self._end_file(key), self.log_file(key)):
            with suppress(OSError):
                return path.stat().st_mtime_ns
        return None

    def _failed(self, key: str) -> Ended | None:
        """Return what `keep_error` has written; None when the file is missing or incomplete."""
        try:
            return Ended.decode(self._end_file(key).read_text(errors="replace"))
        except OSError:
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

    def keep_error(self, key: str, config: Path, error: Exception, log_file: Path | None = None) -> None:
        """Write down *error*, which is why *key*, started from *config*, does not run (any more)."""
        text = str(error) if isinstance(error, RawdaqError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):  # the component's log has it too
            self._end_file(key).write_bytes(Ended(os.getpid(), config, log_file, text).encode())

    def forget(self, key: str) -> None:
        """Remove the files that a dead component left behind."""
        self._end_file(key).unlink(missing_ok=True)
        self._remove(key)

    def _remove(self, key: str) -> None:
        for path in (self.pid_file(key), self._socket(key)):
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ the process of a component

    @contextmanager
    def hold(
        self,
        key: str,
        config: Path,
        stop_timeout_s: float,
        group: str | None = None,
        *,
        configuration: Path | None = None,
        log_file: Path | None = None,
    ) -> Generator[None]:
        """Make this the one process that runs *key*: its pid file is locked until the context ends, however it ends.

        An error that ends the context is written down for `ended` and `take_error`: the program that stops a component
        is not its parent, and gets no exit status. How the last run ended is logged, and its files are removed.

        Args:
            key: the component, or the process that components share.
            config: the station file that it was started from.
            stop_timeout_s: how long a stop may take to deliver what waits.
            group: what users call the process, when components share it.
            configuration: what that process was started for.
            log_file: where it logs; None: to standard error or to the system's log.

        Raises:
            AlreadyRunning: another process holds it.
            ComponentError: the pid file cannot be written.
        """
        try:
            pid_file = PidFile(key, self.pid_file(key))
        except AlreadyRunning:  # the other process writes down how it ends
            raise
        except ComponentError as error:
            self.keep_error(key, config, error, log_file)
            raise
        try:
            # Under the lock: files of a newer run cannot come in between.
            if ended := self._ended_before(pid_file):
                _LOG.warning("%s", ended)
            self._end_file(key).unlink(missing_ok=True)
            pid_file.write(Running(os.getpid(), config, time.time_ns(), stop_timeout_s, group, configuration, log_file))
            self._held[key] = pid_file
            yield
        except Exception as error:
            self.keep_error(key, config, error, log_file)
            raise
        finally:
            self._held.pop(key, None)
            if pid_file.is_in_place():  # or the files are those of another process by now
                self._remove(key)
            pid_file.close()

    def _ended_before(self, pid_file: PidFile) -> Ended | None:
        """Return how the last run ended; its pid file has its content if it did not remove it."""
        if text := pid_file.read():
            return Running.decode(text, is_alive=False).ended()
        return self._failed(pid_file.key)

    def restore(self) -> Lost:
        """Put back the folders and pid files of this process's components that somebody removed."""
        lost = Lost([], [], set())
        inodes = self._inodes() if self._held else None
        if inodes is None:
            return lost
        removed = [held for key, held in self._held.items() if inodes.get(f"{key}.pid") != held.inode]
        for pid_file in removed:
            try:
                make_runtime_folder(self.folder, self.logs)
                pid_file.restore()
                lost.pid_files.append(pid_file.key)
            except AlreadyRunning as error:
                if error.pid:  # else somebody is just looking at the file
                    lost.errors.append(error)
            except ComponentError as error:
                lost.errors.append(error)
            except OSError as error:
                lost.errors.append(ComponentError(f"{pid_file.path} cannot be put back: {error.strerror}"))
        self._open_folder_again()
        lost.sockets.update(key for key in self._held if f"{key}.sock" not in inodes)
        return lost

    def _inodes(self) -> dict[str, int] | None:
        """Return the number of each file of the runtime folder, in one go for a thousand components.

        None: nothing can be known now, such as without a descriptor.
        """
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name: entry.inode() for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError:
            return None

    def _open_folder_again(self) -> None:
        """Let addresses of `command_address` lead to the folder that is there now."""
        if self._descriptor is None or is_at(self._descriptor, self.folder):
            return
        with suppress(OSError):  # the folder is missing: the next time, then
            opened = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            os.dup2(opened, self._descriptor, inheritable=False)
            os.close(opened)
