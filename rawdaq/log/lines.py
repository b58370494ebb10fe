"""A log record as one line of JSON, of at most 64 KiB."""

import json
import logging
import os
import socket
import time
import traceback
from functools import lru_cache

#: What a receiver takes at most.
MAX_LINE_BYTES = 1 << 16

_CUT_TEXT = 4000  # characters of message and exception of a line that is too long: six bytes each at most
_CUT_NAME = 500


def record_line(record: logging.LogRecord, component: str) -> bytes:
    """Return *record* as a line; long texts are cut where it would have more than `MAX_LINE_BYTES`."""
    values: dict[str, object] = {
        "time_ns": int(record.created) * 1_000_000_000 + round(record.created % 1 * 1e9),
        "level": record.levelno,
        "name": record.name,
        "message": _message_of(record),
        "component": component,
        "host": host_name(),
        "pid": record.process or os.getpid(),
        "file": record.pathname,
        "line": record.lineno,
    }
    if exception := _exception_of(record):
        values["exception"] = exception
    return _line(values)


def dropped_line(count: int, away_s: float, component: str) -> bytes:
    """Return the line that says how many records were dropped, and for how long nothing could be sent."""
    away = f": the receiver was away for {away_s:.1f} s" if away_s else ": they came faster than they could be sent"
    values: dict[str, object] = {
        "time_ns": time.time_ns(),
        "level": logging.WARNING,
        "name": "rawdaq.log",
        "message": f"{count} log record{'s' * (count != 1)} dropped{away}",
        "component": component,
        "host": host_name(),
        "pid": os.getpid(),
        "file": "",
        "line": 0,
    }
    return _line(values)


def _line(values: dict[str, object]) -> bytes:
    line = _encoded(values)
    if len(line) > MAX_LINE_BYTES:
        line = _encoded({key: _cut(key, value) for key, value in values.items()})
    return line


def _encoded(values: dict[str, object]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _cut(key: str, value: object) -> object:
    limit = _CUT_TEXT if key in ("message", "exception") else _CUT_NAME
    if not isinstance(value, str) or len(value) <= limit:
        return value
    return f"{value[:limit]}... ({len(value) - limit} more characters)"


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # arguments that do not fit: what was meant is said all the same
        return f"{record.msg} {record.args!r} ({type(error).__name__}: {error})"


def _exception_of(record: logging.LogRecord) -> str:
    if record.exc_text:
        return record.exc_text
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return record.stack_info or ""


@lru_cache(maxsize=1)
def host_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()
