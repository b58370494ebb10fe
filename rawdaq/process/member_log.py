"""Log lines of components that share a process: each has its own file and level, as if it ran alone.

The context of the task that logs a line says which component it belongs to. Tasks, callbacks and connections inherit
the context of the task that made them; so does a job that is given to `rawdaq.disk.threads`.
"""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from rawdaq.process.log import DaemonFileHandler, LogFileHandler, LogForm, formatter, send_to

#: The level of the process itself, and of components until they set one.
_LEVEL = "INFO"

_OURS = logging.getLogger("rawdaq")


class MemberLogs(logging.Handler):
    """Hands each line to the log of the component whose task logs it, and all other lines to *own*.

    Attributes:
        own: the log of the process itself.
    """

    def __init__(self, own: LogFileHandler) -> None:
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
        """Close the log of a component that has ended."""
        self._members.discard(member)
        member.close()
        self.update_level()

    def update_level(self) -> None:
        """Set the level of our loggers to the lowest of all logs, so that no line is made in vain."""
        _OURS.setLevel(min(log.level for log in (self.own, *self._members)))

    def restore(self) -> None:
        """Open the log of the process again when it was moved or removed; each line opens that of its component."""
        self.own.restore()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand *record* to the log that it belongs to; lines of other libraries pass at any level."""
        log = _MEMBER.get() or self.own
        if record.levelno >= log.level or record.name.partition(".")[0] != _OURS.name:
            log.handle(record)


class MemberLog(LogFileHandler):
    """The log of one component; its file is open only while a line is written, so that a thousand need no descriptor.

    Args:
        file: the log file.
        logs: the logs of the process.

    Attributes:
        copies: what gets each line besides.
    """

    def __init__(self, file: Path, logs: MemberLogs) -> None:
        super().__init__(file, delay=True)
        self.setLevel(_LEVEL)
        self._logs = logs
        self.copies: list[logging.Handler] = []

    def attach(self) -> None:
        """Take the lines of this task from now on, and of all tasks and callbacks that it makes."""
        _MEMBER.set(self)

    def change_level(self, level: str) -> None:
        """Show lines of *level* and above."""
        self.setLevel(level)
        self._logs.update_level()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Write *record*, with the reason, into the log of the process when this file cannot take it."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        record.msg, record.args = f"{record.getMessage()} [{self.baseFilename}: {error.strerror}]", ()
        self._logs.own.handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* into the file, and hand it to those who get copies."""
        for copy in self.copies:
            copy.handle(record)
        super().emit(record)
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):  # `handleError` has reported it: closing only tries to write the same again
                stream.close()


_MEMBER: ContextVar[MemberLog | None] = ContextVar("rawdaq component", default=None)


def configure_shared(file: Path) -> MemberLogs:
    """Send the lines of this process to its components' logs; *file* gets all others, and stdout and stderr."""
    logs = MemberLogs(DaemonFileHandler(file))
    send_to(logs, _LEVEL)
    return logs


@contextmanager
def copied_to(handler: logging.Handler) -> Generator[None]:
    """Let *handler* have the lines of the component whose task asks, of the process when it has no such logs."""
    member, root = _MEMBER.get(), logging.getLogger()
    if member is None:
        root.addHandler(handler)
    else:
        member.copies.append(handler)
    try:
        yield
    finally:
        if member is None:
            root.removeHandler(handler)
        else:
            member.copies.remove(handler)


def level() -> str:
    """Return the log level of the component whose task asks; of the process when it has no such logs."""
    member = _MEMBER.get()
    return logging.getLevelName(member.level if member else _OURS.getEffectiveLevel())


def set_level(level: str) -> None:
    """Set the log level of the component whose task asks; of the process when it has no such logs."""
    member = _MEMBER.get()
    if member is None:
        _OURS.setLevel(level)
    else:
        member.change_level(level)


def set_format(form: LogForm) -> None:
    """Set how the log lines of the component whose task asks are written; of the process when it has no such logs."""
    member = _MEMBER.get()
    for handler in [member] if member else logging.getLogger().handlers:
        handler.setFormatter(formatter(form))
