"""Log lines for systemd's journal: each begins with its priority, and leaves out the time, which the journal has."""

import logging
import os
from collections.abc import Mapping
from typing import TextIO

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether *stream* goes to the journal: ``$JOURNAL_STREAM`` names its device and inode; see systemd.exec(5)."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):  # it is closed, or in memory
        return False
    return environment.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


class JournalFormatter(logging.Formatter):
    """Puts the priority of sd-daemon(3) before every line that *inner* makes."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of *record*, each with its priority: a traceback has many."""
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).split("\n"))
