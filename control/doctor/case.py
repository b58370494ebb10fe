"""What can be known of one component: its settings, its status, its folders, and what its device says."""

import errno
import os
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rawdaq.config.document import Problem
from rawdaq.config.settings import ComponentSettings
from rawdaq.control.doctor.probe import Probe, probe
from rawdaq.control.health.problem import Row
from rawdaq.control.names import Target
from rawdaq.disk.mounts import check_mounted
from rawdaq.errors import ComponentError
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.sockets.remedies import cannot_listen

PROBE_TIMEOUT_S = 3.0
_RAW = "RawReceiver"
_LISTENING = {"RawUDPReceiver": socket.SOCK_DGRAM, "ZMQTCPPublisher": socket.SOCK_STREAM}


@dataclass(frozen=True, slots=True)
class Case:
    """Everything about one component; nothing of it needs a further look.

    Attributes:
        title: its name in messages.
        row: its status, see `rawdaq.control.status.rows.statuses`.
        settings: what its station file says; None: no valid file describes it.
        now_ns: this machine's time.
        mistakes: of its station file.
        socket_missing: whether it runs without the file of its command socket.
        folders: why a part of it cannot write where it should, by the part.
        taken: which addresses it cannot listen on, and why, by the part.
        device: what its device says; None: that was not asked.
        log: where its log is.
        changed_ns: when its station file was written last, 0 when that is not known.
        is_foreign: whether it runs from another configuration than the one that is looked at.
    """

    title: str
    row: Row
    settings: ComponentSettings | None
    now_ns: int
    mistakes: Sequence[str] = ()
    socket_missing: bool = False
    folders: dict[str, str] = field(default_factory=dict[str, str])
    taken: dict[str, str] = field(default_factory=dict[str, str])
    device: Probe | None = None
    log: Path | None = None
    is_foreign: bool = False
    changed_ns: int = 0

    @property
    def state(self) -> str:
        """What its files, and it itself, say of it."""
        return str(self.row.get("state"))

    @property
    def is_answering(self) -> bool:
        """Whether its status is its own answer."""
        return "uptime_s" in self.row and not self.row.get("error")


def gather(target: Target, row: Row, runtime: RuntimeFiles, mistakes: Sequence[Problem], configuration: Path) -> Case:
    """Return what can be known of *target*; this blocks, some seconds at most.

    A component that answers is believed; the device and the addresses of one that does not run are tried.
    """
    settings = target.settings
    is_alive = target.running is not None and target.running.is_alive
    stopped = None if is_alive else settings
    file = settings.file if settings else target.started_from
    return Case(
        target.title,
        row,
        settings,
        time.time_ns(),
        [str(mistake) for mistake in mistakes if mistake.file == file],
        is_alive and not runtime.has_socket(target.key),
        {} if settings is None else _folders(settings),
        {} if stopped is None else _taken(stopped),
        None if stopped is None else _device(stopped),
        runtime.log_file(target.key),
        settings is None and file is not None and configuration not in (file, file.parent),
        _changed_ns(file),
    )


def _changed_ns(file: Path | None) -> int:
    try:
        return 0 if file is None else file.stat().st_mtime_ns
    except OSError:
        return 0


def runtime_problem(runtime: RuntimeFiles) -> str | None:
    """Return why the runtime folder cannot be used; None when it can."""
    try:
        runtime.prepare()
    except ComponentError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or runtime.folder}: {error.strerror}"
    return None


def _device(settings: ComponentSettings) -> Probe | None:
    """Return what the device of a receiver that dials says; None for one that listens, or has several."""
    options = settings.receiver.options
    host, port, channels = options.get("host"), options.get("port"), options.get("channels")
    if not isinstance(host, str) or not isinstance(port, int):
        return None
    is_raw = settings.receiver.class_name == _RAW and bool(channels)
    asked = sorted(channels) if is_raw and channels is not None else None
    return probe(host, port, asked, PROBE_TIMEOUT_S, options.get("version", "auto") if is_raw else "auto")


def _paths(settings: ComponentSettings) -> Iterator[tuple[str, Path]]:
    """Yield where the parts of a component write."""
    for publisher in settings.publishers:
        if isinstance(path := publisher.options.get("path"), Path):
            yield publisher.name, path
    if settings.journal is not None:
        yield "journal", settings.journal.path
    if isinstance(capture := settings.receiver.options.get("capture"), Path):
        yield "capture", capture.parent


def _folders(settings: ComponentSettings) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in _paths(settings):
        try:
            check_mounted(path)
            problem = _not_writable(path)
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            found[name] = f"{path}: {problem}"
    return found


def _not_writable(path: Path) -> str | None:
    """Return why nothing can be written at *path*, of which the last folders need not be there yet."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not stat.S_ISDIR(existing.stat().st_mode) and existing != path:
        return f"{existing} is a file, not a folder"
    if not os.access(existing, os.W_OK | (os.X_OK if existing.is_dir() else 0)):
        return f"user {os.geteuid()} may not write in {existing}"
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return f"{existing} is on a disk that is mounted read-only"
    return None


def _taken(settings: ComponentSettings) -> dict[str, str]:
    """Return which of the addresses that a component wants to listen on others have."""
    found: dict[str, str] = {}
    wanted = [("receiver", settings.receiver.class_name, settings.receiver.options)]
    listening = [each for each in settings.publishers if each.options.get("mode") != "remote"]
    wanted += [(each.name, each.class_name, each.options) for each in listening]
    for name, class_name, options in wanted:
        kind, ip, port = _LISTENING.get(class_name), options.get("ip"), options.get("port")
        if kind is not None and isinstance(ip, str) and isinstance(port, int) and port:
            if reason := _cannot_bind(kind, {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(ip, ip), port):
                found[name] = reason
    return found


def _cannot_bind(kind: socket.SocketKind, ip: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, kind) as sock:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((ip, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                return str(cannot_listen(f"{'TCP' if kind is socket.SOCK_STREAM else 'UDP'} {ip}:{port}", error))
        except (ValueError, OverflowError) as error:
            return str(error)
    return None
