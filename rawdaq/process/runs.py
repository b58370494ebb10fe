"""What runtime files say of the runs of components: which run now, and how the last one ended."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rawdaq.errors import ComponentError


class AlreadyRunning(ComponentError):
    """The component runs already.

    Args:
        key: its ``NET.STA.NAME``.
        pid: its process, 0 when its pid file does not say yet.
    """

    def __init__(self, key: str, pid: int) -> None:
        super().__init__(key, pid)
        self.key, self.pid = key, pid

    def __str__(self) -> str:
        where = f" (pid {self.pid})" if self.pid else ""
        return f"{self.key} is already running{where}; stop it first: control-rawdaq stop {self.key}"


def process_key(group: str, configuration: Path | None) -> str:
    """Return how the files of a process that components share are called.

    Two configurations, such as two folders of station files, never share a name. No component has such a name.

    Args:
        group: what users call the process, such as ``group.1``.
        configuration: the station file, or the folder of them, that the process was started for; None without one.

    >>> process_key("group.1", Path("/etc/alps.yaml"))
    'group.1@alps-0c77dc'
    """
    if configuration is None:
        return group
    stem = re.sub("[^A-Za-z0-9_-]", "-", configuration.stem)[:32]
    return f"{group}@{stem}-{hashlib.sha256(str(configuration).encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True)
class Running:
    """The content of a pid file.

    Attributes:
        pid: the process, 0 when the file does not say.
        config: the station file that it was started from.
        started_ns: when.
        stop_timeout_s: how long a stop may take to deliver what waits, and as long again to close.
        group: what users call the process when components share it, such as ``group.1``; None when the component has
            it to itself.
        configuration: the station file, or the folder of them, that a shared process was started for.
        log_file: where the component logs; None when its lines go to standard error or to the system's log.
        is_alive: whether the process still holds the lock of the file.
    """

    pid: int
    config: Path
    started_ns: int
    stop_timeout_s: float
    group: str | None = None
    configuration: Path | None = None
    log_file: Path | None = None
    is_alive: bool = True

    @property
    def process(self) -> str | None:
        """How the files of the shared process are called; None when the component has its process to itself."""
        return None if self.group is None else process_key(self.group, self.configuration)

    @property
    def process_log(self) -> Path | None:
        """The log of the process, which has the output of C libraries and of the interpreter."""
        if self.log_file is None or self.process is None:
            return self.log_file
        return self.log_file.with_name(f"{self.process}.log")

    def ended(self) -> "Ended":
        """Return what is known when the process has ended without removing the file."""
        return Ended(self.pid, self.config, self.process_log)

    def encode(self) -> bytes:
        """Return the file's content."""
        return _encode(self, but="is_alive")

    @classmethod
    def decode(cls, text: str, *, is_alive: bool) -> "Running":
        """Return what *text* says; an incomplete file (just made, or from a full disk) says nothing."""
        try:
            values = json.loads(text)
            return cls(
                int(values["pid"]),
                Path(values["config"]),
                int(values["started_ns"]),
                float(values["stop_timeout_s"]),
                values.get("group"),
                _path(values, "configuration"),
                _path(values, "log_file"),
                is_alive,
            )
        except (ValueError, KeyError, TypeError):
            return cls(0, Path(), 0, 10.0, is_alive=is_alive)


def _path(values: Mapping[str, Any], name: str) -> Path | None:
    return Path(values[name]) if name in values else None


def _encode(run: "Running | Ended", but: str = "") -> bytes:
    values = {name: value for name, value in asdict(run).items() if name != but and value is not None}
    return json.dumps(values, default=str).encode() + b"\n"


def log_hint(log_file: Path | None) -> str:
    """Return where to look for more: *log_file*, or in words when the component was not started in the background."""
    return str(log_file or "the log of what started it (of rawdaq-plugin that is seedlink's)")


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run that was not stopped in order.

    Attributes:
        pid: its process, 0 when that is not known.
        config: the station file that it was started from.
        log_file: the log that may say more; None: it did not log to a file of ours.
        error: the error that ended it; None: the process ended without a word.
    """

    pid: int
    config: Path
    log_file: Path | None = None
    error: str | None = None

    def __str__(self) -> str:
        run = f"the last run (pid {self.pid})" if self.pid > 0 else "the last run"
        if self.error is None:
            return f"{run} ended without tidying up; its log may say why: {log_hint(self.log_file)}"
        return f"{run} ended with an error: {self.error}"

    def encode(self) -> bytes:
        """Return the content of an end file."""
        return _encode(self)

    @classmethod
    def decode(cls, text: str) -> "Ended | None":
        """Return what an end file says; None when it is not complete."""
        try:
            values = json.loads(text)
            return cls(int(values["pid"]), Path(values["config"]), _path(values, "log_file"), str(values["error"]))
        except (ValueError, KeyError, TypeError):
            return None
