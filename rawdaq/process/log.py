"""Where log lines go: the one place that configures logging, called by a program and never by a library.

Every logger is called ``rawdaq.ROOM.NAME``, such as ``rawdaq.receivers.RawReceiver``. A line reads::

    2026-11-21T00:00:00.123Z INFO rawdaq.receivers.RawReceiver text
"""

import json
import logging
import os
import sys
from contextlib import nullcontext, suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler, SysLogHandler
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from rawdaq.process.systemd.journal import JournalFormatter, is_journal
from rawdaq.times import to_iso

#: How a log line is written.
LogForm: TypeAlias = Literal["text", "json"]

MAX_FILE_BYTES = 10_000_000
KEPT_FILES = 5

#: The sockets of the system's log: on Linux, on macOS.
SYSTEM_LOGS = ("/dev/log", "/var/run/syslog")


class LineFormatter(logging.Formatter):
    """One record, one line: text from a peer cannot begin a line of its own. Only tracebacks have more lines."""

    def __init__(self, *, has_time: bool = True) -> None:
        super().__init__(f"{'%(asctime)s ' if has_time else ''}%(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the record's time in UTC with milliseconds."""
        return to_iso(round(record.created * 1000) * 1_000_000, 3)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without line breaks."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


class JsonFormatter(LineFormatter):
    """One record, one line of JSON: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        shown = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            shown["traceback"] = self.formatException(record.exc_info)
        return json.dumps(shown)


def formatter(form: LogForm = "text", *, has_time: bool = True) -> logging.Formatter:
    """Return what makes lines of a *form*; lines of text leave their time out where the reader has it."""
    return JsonFormatter() if form == "json" else LineFormatter(has_time=has_time)


class LogFileHandler(RotatingFileHandler):
    """A rotating file; with *delay* its first line opens it.

    A file that somebody moves or removes, such as logrotate, is made again. A full disk costs lines and nothing else: a
    log must not harm the program that writes it.
    """

    def __init__(self, file: Path, *, delay: bool = False) -> None:
        super().__init__(
            file,
            maxBytes=MAX_FILE_BYTES,
            backupCount=KEPT_FILES,
            encoding="utf-8",
            errors="backslashreplace",
            delay=delay,
        )
        self.setFormatter(LineFormatter())

    def _open(self) -> TextIOWrapper:
        try:
            return super()._open()
        except FileNotFoundError:  # the folder has gone too
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            return super()._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* into the file that is at its path now."""
        self.restore()
        super().emit(record)

    def restore(self) -> None:
        """Open the file again when it was moved or removed; where that fails, lines go on into what is open."""
        with self.lock or nullcontext(), suppress(OSError):
            if self.stream is not None and not self.stream.closed and not self._is_in_place(self.stream):
                before, self.stream = self.stream, self._open()
                before.close()

    def _is_in_place(self, stream: TextIOWrapper) -> bool:
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Leave *record* out when the file cannot take it; write again as soon as it can."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
        elif self.stream is not None and self.stream.closed:  # by a rotation that could not write the rest
            self.stream = None  # the next line opens it


class DaemonFileHandler(LogFileHandler):
    """A rotating file that is also the standard output and error of the process.

    So the output of C libraries and of the interpreter lands in the same file, also after a rotation.
    """

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        for standard in (sys.stdout, sys.stderr):
            with suppress(OSError):  # a full disk: it keeps its buffer
                standard.flush()
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
        return stream


def configure(level: str, file: Path | None = None, *, to_system_log: bool = False, form: LogForm = "text") -> None:
    """Send log lines of *level* and above to *file*, or to standard error when there is none.

    Lines of other libraries are shown from WARNING on. A second call replaces the set-up of the first. Where standard
    error is systemd's journal, lines have its priorities.

    Args:
        level: the least severe messages that are shown.
        file: the log file.
        to_system_log: send them to the system's log instead, where there is one.
        form: what a line looks like.
    """
    handler = _system_log() if to_system_log else None
    lines = formatter(form)
    if handler is None and file is None:
        handler = logging.StreamHandler(sys.stderr)
        if is_journal(sys.stderr, os.environ):
            lines = JournalFormatter(formatter(form, has_time=False))
    elif handler is None and file is not None:
        handler = DaemonFileHandler(file)
    assert handler is not None  # noqa: S101 - one of the three it is
    handler.setFormatter(lines)
    send_to(handler, level)
    if to_system_log and not isinstance(handler, SysLogHandler):
        logging.getLogger("rawdaq.log").warning("this system has no log at %s", " or ".join(SYSTEM_LOGS))


@runtime_checkable
class Restorable(Protocol):
    """A handler whose files can be made again."""

    def restore(self) -> None:
        """Open files again that were moved or removed."""


def restore_files() -> None:
    """Open the log files of this process again that were moved or removed, also when it has nothing to log."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Restorable):
            handler.restore()


def send_to(handler: logging.Handler, level: str) -> None:
    """Send the log lines of this process to *handler* alone: ours from *level* on, others from WARNING on."""
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("rawdaq").setLevel(level)
    logging.captureWarnings(True)


class _SystemLogHandler(SysLogHandler):
    """The system's log; while it is away, such as at its restart, lines go to standard error."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Write *record* to standard error when the system's log does not take it."""
        if isinstance(sys.exc_info()[1], OSError):
            with suppress(OSError):
                sys.stderr.write(f"{self.format(record)}\n")
        else:
            super().handleError(record)


def _system_log() -> logging.Handler | None:
    address = next(filter(os.path.exists, SYSTEM_LOGS), None)
    if address is None:
        return None
    handler = _SystemLogHandler(address, SysLogHandler.LOG_LOCAL0)  # the facility of SeedLink and its plugins
    handler.ident = f"rawdaq[{os.getpid()}]: "
    return handler
