"""A log record as a value, as a message ``~log``, and as a line of text."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from rawdaq.messages.message import Kind, Message, topic_of
from rawdaq.protocols.json_header import text_value, whole_number, wrong_value
from rawdaq.times import from_calendar, to_iso

_TOPIC = topic_of(Kind.LOG)
_FIRST_NS = 0
_END_NS = from_calendar(2200, 1, 0, 0, 0)
_MAX_LEVEL = 1_000_000
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a program's log.

    Attributes:
        time_ns: when it was logged, nanoseconds since 1970 UTC.
        level: as Python's logging counts: 10 debug, 20 info, 30 warning, 40 error, 50 critical; others are possible.
        name: of the logger.
        message: the text.
        component: the component that logged it, if any.
        host: the machine.
        pid: the process.
        file: the source file.
        line: the line in it.
        exception: the traceback; empty without one.
    """

    time_ns: int
    level: int
    name: str
    message: str
    component: str = ""
    host: str = ""
    pid: int = 0
    file: str = ""
    line: int = 0
    exception: str = ""

    @classmethod
    def from_header(cls, header: Mapping[str, Any], now_ns: int = 0) -> Self:
        """Return the record in the keys of a line or of a message; only ``message`` must be there.

        Args:
            header: the keys; those that are not known are ignored.
            now_ns: the time of one that has none.

        Raises:
            MessageMalformed: a value is not what it should be; the text says which.
        """
        if "message" not in header:
            raise wrong_value(header, "message", "text")
        texts = {key: text_value(header, key) for key in ("name", "message", "component", "host", "file", "exception")}
        return cls(
            time_ns=whole_number(header, "time_ns", now_ns, _FIRST_NS, _END_NS),
            level=_level(header),
            pid=whole_number(header, "pid"),
            line=whole_number(header, "line"),
            **texts,
        )

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Return the record that *message* carries.

        Raises:
            MessageMalformed: it carries none.
        """
        return cls.from_header(message.header, message.received_ns)

    def message_of(self) -> Message:
        """Return this as a message ``~log``."""
        header = asdict(self)
        if not self.exception:
            del header["exception"]
        return Message(_TOPIC, header)

    @property
    def level_name(self) -> str:
        """The word for the level, such as WARNING; ``Level 17`` for one that has none."""
        return logging.getLevelName(self.level)

    def text(self) -> str:
        """Return this as a line of text; only a traceback has more lines.

        >>> print(LogRecord(1795219200123000000, 17, "daq.trigger", "started", "XX.DEMO.Triggers").text())
        2026-11-21T00:00:00.123Z Level 17 daq.trigger [XX.DEMO.Triggers] started
        """
        component = f" [{one_line(self.component)}]" if self.component else ""
        name = f" {one_line(self.name)}" if self.name else ""
        line = f"{to_iso(self.time_ns, 3)} {self.level_name}{name}{component} {one_line(self.message)}"
        if not self.exception:
            return line
        return "\n".join([line, *(f"    {each}" for each in self.exception.splitlines())])


def one_line(text: str) -> str:
    """Return *text* such that it cannot begin a line, or move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _level(header: Mapping[str, Any]) -> int:
    value = header.get("level", logging.INFO)
    if isinstance(value, str) and value.upper() in _LEVELS:
        return _LEVELS[value.upper()]
    if type(value) is not int or not 0 <= value <= _MAX_LEVEL:
        raise wrong_value(header, "level", f"a whole number from 0, or one of {', '.join(_LEVELS)}")
    return value
