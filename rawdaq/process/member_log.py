"""Log lines of components that share a process: each has its own file and level, as if it ran alone.

Which component a line belongs to is known by the context of the task that logs it. Tasks, callbacks and connections
inherit that from what made them; so does a job that is given to `rawdaq.disk.threads`.
"""

import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path

from rawdaq.process.log import DaemonFileHandler, LogFileHandler, install

#: Of what the process itself has to say, and of components that have not said another one.
_LEVEL = "INFO"

_OURS = logging.getLogger("rawdaq")


class MemberLogs(logging.Handler):
    """Hands each line to the component whose task logs it, and to *own* what belongs to none.

    Attributes:
        own: the log of the process itself.
    """

    def __init__(self, own: logging.Handler) -> None:
        super().__init__()
        self.own = own
        self.own.setLevel(_LEVEL)
        self._members: set[MemberLog] = set()

    def add(self, file: Path) -> "MemberLog":
        """Return the log of one more component, which writes to *file*."""
        member = MemberLog(file, self)
        self._members.add(member)
        return member

    def remove(self, member: "MemberLog") -> None:
        """Let go of the log of a component that has ended."""
        self._members.discard(member)
        member.close()
        self.heed()

    def heed(self) -> None:
        """Let our loggers make those lines that anybody wants, and no others."""
        _OURS.setLevel(min(log.level for log in (self.own, *self._members)))

    def emit(self, record: logging.LogRecord) -> None:
        """Hand *record* on; what other libraries say is always of interest."""
        log = _MEMBER.get() or self.own
        if record.levelno >= log.level or record.name.partition(".")[0] != _OURS.name:
            log.handle(record)


class MemberLog(LogFileHandler):
    """The log of one component; its file is open only while a line is written, so that a thousand need none."""

    def __init__(self, file: Path, logs: MemberLogs) -> None:
        super().__init__(file, delay=True)
        self.setLevel(_LEVEL)
        self._logs = logs

    def claim(self) -> None:
        """Get the lines of this task, and of all that it makes, from now on."""
        _MEMBER.set(self)

    def set_level(self, level: str) -> None:
        """Show lines of *level* and above."""
        self.setLevel(level)
        self._logs.heed()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Let the process's log have what this file cannot take, and the reason."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        record.msg, record.args = f"{record.getMessage()} [{self.baseFilename}: {error.strerror}]", ()
        self._logs.own.handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* into the file."""
        super().emit(record)
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):  # `handleError` was told of it: closing only tries again to write the same
                stream.close()


_MEMBER: ContextVar[MemberLog | None] = ContextVar("rawdaq component", default=None)


def configure(file: Path) -> MemberLogs:
    """Send the log lines of this process to its components' files; *file* gets the others, stdout and stderr."""
    logs = MemberLogs(DaemonFileHandler(file))
    install(logs, _LEVEL)
    return logs


def level() -> str:
    """Return the log level of the component whose task asks, of the process when it runs only one."""
    member = _MEMBER.get()
    return logging.getLevelName(member.level if member else _OURS.getEffectiveLevel())


def set_level(level: str) -> None:
    """Set the log level of the component whose task says so, of the process when it runs only one."""
    member = _MEMBER.get()
    if member is None:
        _OURS.setLevel(level)
    else:
        member.set_level(level)
