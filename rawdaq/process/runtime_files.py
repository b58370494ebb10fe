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
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs

from rawdaq.errors import ComponentError, RawdaqError

_LOG = logging.getLogger("rawdaq.runtime_files")

#: What the path of a Unix socket may have on Linux (108 with the final zero); macOS has less.
MAX_SOCKET_PATH_BYTES = 103

#: `RuntimeFiles.find` may look at a lock in the very moment in which a component takes it.
_LOCK_PATIENCE_S = 0.5
_POLL_S = 0.02

#: A start may have to wait for another one, of components that do not come up.
_START_PATIENCE_S = 90.0

#: What the runtime files of components are called.
_SUFFIXES = (".pid", ".sock", ".end")


class AlreadyRunning(ComponentError):
    """The component runs already.

    Args:
        key: its ``NET.STA.NAME``.
        pid: its process, 0 when it has not said yet.
    """

    def __init__(self, key: str, pid: int) -> None:
        super().__init__(key, pid)
        self.key, self.pid = key, pid

    def __str__(self) -> str:
        """Return what runs, where, and how to stop it."""
        where = f" (pid {self.pid})" if self.pid else ""
        return f"{self.key} is already running{where}; stop it first: control-rawdaq stop {self.key}"


@dataclass(frozen=True, slots=True)
class Running:
    """What a pid file says of its process.

    Attributes:
        pid: the process, 0 when the file does not say.
        config: the station file it was started with.
        started_ns: when.
        stop_timeout_s: how long it may take to deliver what waits when it stops, and as long again to close.
        is_alive: whether the process still holds the file's lock.
        group: what the process is called when components share it; None when it is the component's own.
    """

    pid: int
    config: Path
    started_ns: int
    stop_timeout_s: float
    is_alive: bool = True
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended that nobody ended in order.

    Attributes:
        pid: its process, 0 when that is not known.
        config: the station file it was started with.
        log_file: where more of it may be.
        error: what it ended with; None: it ended without tidying up.
    """

    pid: int
    config: Path
    log_file: Path
    error: str | None = None

    def __str__(self) -> str:
        """Return which run it was, and why it ended or where that may be."""
        run = f"the last run (pid {self.pid})" if self.pid > 0 else "the last run"
        if self.error is None:
            return f"{run} ended without tidying up; its log may say why: {self.log_file}"
        return f"{run} ended with an error: {self.error}"


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
        """Return the folders of this user, as the environment and the system have them."""
        given = os.environ if environment is None else environment
        if chosen := given.get("RAWDAQ_RUNTIME_DIR"):
            folder, logs = Path(chosen).expanduser(), Path(chosen).expanduser() / "log"
        else:
            folder, logs = _system_folder(given), _system_logs()
        if chosen := given.get("RAWDAQ_LOG_DIR"):
            logs = Path(chosen).expanduser()
        return cls(folder, logs)

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the folder; addresses from `command_address` are void from then on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def prepare(self) -> None:
        """Make the folders; from then on nobody else can enter the runtime folder.

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
        # Never shut a folder that serves others too, such as /tmp.
        if any(path.suffix not in _SUFFIXES and path != self.logs for path in self.folder.iterdir()):
            raise ComponentError(
                f"{self.folder} is open to other users and holds other things; "
                "set RAWDAQ_RUNTIME_DIR to a folder of its own, or make it private (chmod 700)"
            )
        self.folder.chmod(0o700)

    @contextmanager
    def one_start(self) -> Generator[None]:
        """Let nobody else start components with these folders until the context ends.

        Raises:
            ComponentError: somebody does, and is not done within 90 s.
        """
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            end_s = time.monotonic() + _START_PATIENCE_S
            while not _lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > end_s:
                    raise ComponentError("another start of components is not done yet; wait for it, then start again")
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def pid_file(self, key: str) -> Path:
        """Return the pid file of a component."""
        return self.folder / f"{key}.pid"

    def log_file(self, key: str) -> Path:
        """Return the log file of a component."""
        return self.logs / f"{key}.log"

    def command_address(self, key: str) -> str:
        """Return the zmq address of a component's command socket, for binding and for connecting.

        When the path is longer than a socket's may be, the address goes through a descriptor of the folder, which
        stays open until `close`.

        Raises:
            ComponentError: the path is too long and this system has no way around it, or there is no such folder.
        """
        path = self.folder / f"{key}.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return f"ipc://{path}"
        if not Path("/proc/self/fd").is_dir():  # pragma: no cover - only without Linux's /proc
            raise ComponentError(f"{path} is too long for a socket; set RAWDAQ_RUNTIME_DIR to a shorter path")
        with self._opening:
            if self._descriptor is None:
                self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"ipc:///proc/self/fd/{self._descriptor}/{path.name}"

    def keys(self) -> list[str]:
        """Return the keys of all components that have a pid file, running or dead."""
        return sorted(path.name.removesuffix(".pid") for path in self.folder.glob("*.pid") if not path.is_dir())

    def failed_keys(self) -> list[str]:
        """Return the keys of all components that have left an error behind."""
        return sorted(path.name.removesuffix(".end") for path in self.folder.glob("*.end"))

    def running(self, key: str) -> Running | None:
        """Return what the pid file of *key* says and whether its process lives; None when there is no file.

        Raises:
            ComponentError: the file cannot be read.
        """
        path = self.pid_file(key)
        try:
            with path.open(errors="replace") as file:
                is_alive = not _lock(file.fileno(), fcntl.LOCK_SH)
                return _parse(file.read(), is_alive)
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise ComponentError(
                f"{path} cannot be read: {error.strerror}; give it back to this user, or remove it"
            ) from error

    def ended(self, key: str) -> Ended | None:
        """Return how the last run of *key* ended; None when it was ended in order, or runs.

        Raises:
            ComponentError: its pid file cannot be read.
        """
        running = self.running(key)
        if running is None:
            return self._failed(key)
        return None if running.is_alive else self._dead(key, running)

    def _dead(self, key: str, running: Running) -> Ended:
        # When components share a process, the log of that has what it said at its end.
        return Ended(running.pid, running.config, self.log_file(running.group or key))

    def _failed(self, key: str) -> Ended | None:
        """Return what `keep_error` has left; a file that is not whole says nothing."""
        try:
            values = json.loads(self._end_file(key).read_bytes())
            return Ended(int(values["pid"]), Path(values["config"]), self.log_file(key), str(values["error"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def error_at_end(self, key: str, pid: int) -> str | None:
        """Return, once, the error that the process *pid* of *key* ended with; None when it ended in order (or runs)."""
        text = self._said_at_end(key, pid)
        if text is not None:
            self._end_file(key).unlink(missing_ok=True)
        return text

    def has_failed(self, key: str, pid: int) -> bool:
        """Whether the process *pid* has ended *key* with an error, which `error_at_end` tells."""
        return self._said_at_end(key, pid) is not None

    def _said_at_end(self, key: str, pid: int) -> str | None:
        failed = self._failed(key)
        return failed.error if failed and failed.pid == pid else None

    def _end_file(self, key: str) -> Path:
        return self.folder / f"{key}.end"

    def forget(self, key: str) -> None:
        """Remove the files that a dead component left behind."""
        self._end_file(key).unlink(missing_ok=True)
        self._give_back(key)

    def _give_back(self, key: str) -> None:
        for path in (self.pid_file(key), self.folder / f"{key}.sock"):
            path.unlink(missing_ok=True)

    @contextmanager
    def hold(self, key: str, config: Path, stop_timeout_s: float, group: str | None = None) -> Generator[None]:
        """Be the one process that runs *key*: its pid file is locked until the context ends, however it ends.

        An error that ends the context stays behind for `ended` and `error_at_end`: who stops a component is not its
        parent, and has no exit status to look at. What the last run has left behind is logged and removed.

        Raises:
            AlreadyRunning: another process holds it.
            ComponentError: the pid file cannot be written.
        """
        try:
            descriptor = self._take(key)
        except AlreadyRunning:  # what is said of the end belongs to that process
            raise
        except ComponentError as error:
            self.keep_error(key, config, error)
            raise
        try:
            # While it is locked: nobody can have newer ones.
            if ended := self._left_behind(descriptor, key):
                _LOG.warning("%s", ended)
            self._end_file(key).unlink(missing_ok=True)
            try:
                self._sign(descriptor, key, Running(os.getpid(), config, time.time_ns(), stop_timeout_s, group=group))
                yield
            except Exception as error:
                self.keep_error(key, config, error)
                raise
            finally:
                self._give_back(key)
        finally:
            os.close(descriptor)

    def _left_behind(self, descriptor: int, key: str) -> Ended | None:
        """Return how the last run of *key* ended, whose pid file is *descriptor* if it did not remove it."""
        text = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        if text:
            return self._dead(key, _parse(text.decode(errors="replace"), is_alive=False))
        return self._failed(key)

    def _sign(self, descriptor: int, key: str, running: Running) -> None:
        """Write *running* into the pid file."""
        values = asdict(running)
        values.pop("is_alive")
        rest = json.dumps(values, default=str).encode() + b"\n"
        try:
            os.ftruncate(descriptor, 0)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:  # others would see that it runs, but not what to stop
            raise ComponentError(
                f"{self.pid_file(key)} cannot be written: {error.strerror}; make room there, or set RAWDAQ_RUNTIME_DIR"
            ) from error

    def keep_error(self, key: str, config: Path, error: Exception) -> None:
        """Leave *error* behind for those who look why *key*, started from *config*, does not run (any more)."""
        text = str(error) if isinstance(error, RawdaqError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):  # the component's log has it too
            self._end_file(key).write_text(json.dumps({"pid": os.getpid(), "config": str(config), "error": text}))

    def _take(self, key: str) -> int:
        """Return the locked descriptor of the pid file of *key*."""
        path, end_s = self.pid_file(key), time.monotonic() + _LOCK_PATIENCE_S
        while time.monotonic() < end_s:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise ComponentError(f"{path} cannot be written: {error.strerror}; move what is there away") from error
            # The file may have been removed by the one who held it, between our opening and our locking it.
            if _lock(descriptor, fcntl.LOCK_EX) and path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
            os.close(descriptor)
            time.sleep(_POLL_S)
        holder = self.running(key)
        raise AlreadyRunning(key, holder.pid if holder else 0)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(text: str, is_alive: bool) -> Running:
    """Return what *text* says; a file that is not whole (just made, or a disk that was full) says nothing."""
    try:
        values = json.loads(text)
        return Running(
            int(values["pid"]),
            Path(values["config"]),
            int(values["started_ns"]),
            float(values["stop_timeout_s"]),
            is_alive,
            values.get("group"),
        )
    except (ValueError, KeyError, TypeError):
        return Running(0, Path(), 0, 10.0, is_alive)


def _system_folder(given: Mapping[str, str]) -> Path:
    if base := given.get("XDG_RUNTIME_DIR"):
        return Path(base) / "rawdaq"
    return Path("/run/rawdaq") if os.geteuid() == 0 else platformdirs.user_state_path("rawdaq") / "run"


def _system_logs() -> Path:
    return Path("/var/log/rawdaq") if os.geteuid() == 0 else platformdirs.user_log_path("rawdaq")
