"""The parameters of requests."""

from typing import Annotated

from pydantic import AfterValidator, Field

from rawdaq.control.web.archive.columns import MAX_COLUMNS
from rawdaq.control.web.messages import Pattern
from rawdaq.control.web.models import Level, Taken
from rawdaq.times import from_iso


def _checked_time(text: str) -> str:
    from_iso(text)
    return text


#: A time, such as ``2026-11-29T12:06:13Z``, with up to nine decimals.
TimeText = Annotated[
    str, Field(max_length=40, json_schema_extra={"format": "date-time"}), AfterValidator(_checked_time)
]


class ListQuery(Taken):
    """What is listed.

    Attributes:
        match: only what this shell-style pattern names.
        problems: only what has a problem.
    """

    match: Pattern | None = None
    problems: bool = False


class ColumnsQuery(Taken):
    """Which columns."""

    start: TimeText
    end: TimeText
    columns: Annotated[int, Field(ge=1, le=MAX_COLUMNS)]


class SpanQuery(Taken):
    """Which time."""

    start: TimeText
    end: TimeText


class LogQuery(Taken):
    """Which lines of a log.

    Attributes:
        lines: how many at most.
        level: the least severe.
        before: those before the byte that an earlier answer says.
    """

    lines: Annotated[int, Field(ge=1, le=1000)] = 200
    level: Level = "DEBUG"
    before: Annotated[int, Field(ge=0, le=1 << 62)] | None = None


class EventsQuery(Taken):
    """Which events.

    Attributes:
        since: from this time on.
        after: those after this serial.
    """

    since: TimeText | None = None
    after: Annotated[int, Field(ge=0, le=1 << 62)] | None = None
