"""What runtime files say of the runs of components: which run now, and how the last one ended."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Running:
    """The content of a pid file.

    Attributes:
        pid: the process, 0 when the file does not say.
        config: the station file that it was started from.
        started_ns: when.
        stop_timeout_s: how long a stop may take to deliver what waits, and as long again to close.
        group: the name of the process when components share it; None when the component has it to itself.
        is_alive: whether the process still holds the lock of the file.
    """

    pid: int
    config: Path
    started_ns: int
    stop_timeout_s: float
    group: str | None = None
    is_alive: bool = True

    def encode(self) -> bytes:
        """Return the file's content."""
        values = {name: value for name, value in asdict(self).items() if name != "is_alive"}
        return json.dumps(values, default=str).encode() + b"\n"

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
                is_alive,
            )
        except (ValueError, KeyError, TypeError):
            return cls(0, Path(), 0, 10.0, is_alive=is_alive)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run that was not stopped in order.

    Attributes:
        pid: its process, 0 when that is not known.
        config: the station file that it was started from.
        log_file: the log that may say more.
        error: the error that ended it; None: the process ended without a word.
    """

    pid: int
    config: Path
    log_file: Path
    error: str | None = None

    def __str__(self) -> str:
        run = f"the last run (pid {self.pid})" if self.pid > 0 else "the last run"
        if self.error is None:
            return f"{run} ended without tidying up; its log may say why: {self.log_file}"
        return f"{run} ended with an error: {self.error}"
