"""Where log lines go: the one place that configures logging, called by a program and never by a library.

Every logger is called ``rawdaq.ROOM.NAME``, such as ``rawdaq.receivers.RawReceiver``. A line reads::

    2026-11-21T00:00:00.123Z INFO rawdaq.receivers.RawReceiver text
"""

import logging
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler, SysLogHandler
from pathlib import Path

from rawdaq.times import to_iso

MAX_FILE_BYTES = 10_000_000
KEPT_FILES = 5

#: Where the system's log listens: on Linux, on macOS.
SYSTEM_LOGS = ("/dev/log", "/var/run/syslog")


class LineFormatter(logging.Formatter):
    """One record, one line: text from a peer cannot begin a line of its own. Only tracebacks have more lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the record's time in UTC with milliseconds."""
        return to_iso(round(record.created * 1000) * 1_000_000, 3)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without line breaks."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


class LogFileHandler(RotatingFileHandler):
    """A rotating file; with *delay* it is opened by its first line.

    On a full disk lines are lost, and nothing else: a log must not harm what it tells of.
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

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Go on without *record* when the file cannot take it, and with it again as soon as it can."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
        elif self.stream is not None and self.stream.closed:  # by a rotation that could not write what was left
            self.stream = None  # the next line opens it


class DaemonFileHandler(LogFileHandler):
    """A rotating file that is also the process's standard output and error.

    So what C libraries and the interpreter print lands in the same file, also after a rotation.
    """

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        for standard in (sys.stdout, sys.stderr):
            with suppress(OSError):  # a full disk: it keeps what it has
                standard.flush()
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
        return stream


def configure(level: str, file: Path | None = None, *, to_system_log: bool = False) -> None:
    """Send log lines of *level* and above to *file*, or to standard error when there is none.

    Other libraries are heard from WARNING on. Calling it again replaces what an earlier call set up.

    Args:
        level: the least severe messages that are shown.
        file: the log file.
        to_system_log: send them to the system's log instead, as long as there is one.
    """
    handler = _system_log() if to_system_log else None
    if handler is None:
        handler = logging.StreamHandler(sys.stderr) if file is None else DaemonFileHandler(file)
    handler.setFormatter(LineFormatter())
    install(handler, level)
    if to_system_log and not isinstance(handler, SysLogHandler):
        logging.getLogger("rawdaq.log").warning("this system has no log at %s", " or ".join(SYSTEM_LOGS))


def install(handler: logging.Handler, level: str) -> None:
    """Send the log lines of this process to *handler*, and nowhere else: ours of *level*, others from WARNING on."""
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("rawdaq").setLevel(level)
    logging.captureWarnings(True)


def _system_log() -> logging.Handler | None:
    address = next(filter(os.path.exists, SYSTEM_LOGS), None)
    if address is None:
        return None
    handler = SysLogHandler(address, SysLogHandler.LOG_LOCAL0)  # where SeedLink and its plugins log
    handler.ident = f"rawdaq[{os.getpid()}]: "
    return handler
