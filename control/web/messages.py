"""Every JSON message of the WebSockets after the first of each side; ``docs/web.md`` has an example of each."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from rawdaq.control.web.models import ComponentDetail, Event, Level, LogLine, Problem, Taken, Time

MAX_PATTERNS = 3000
Pattern = Annotated[str, Field(min_length=1, max_length=64)]
Patterns = Annotated[list[Pattern], Field(max_length=MAX_PATTERNS)]


class ProblemMessage(BaseModel):
    """A message of the client was wrong; the connection goes on."""

    problem: Problem


# ---------------------------------------------------------------------- WebSocket /live


class LiveRequest(Taken):
    """What a viewer wants to see; each one replaces the one before.

    Attributes:
        streams: patterns of ``NET.STA.LOC.CHA``; none: no streams.
        window_s: how much of the past is sent first.
        column_ms: how much time a column of pixels stands for.
    """

    streams: Patterns
    window_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    column_ms: Annotated[float, Field(ge=1, le=3_600_000)] = 160.0


class LiveStream(BaseModel):
    """An entry of the table of streams.

    Attributes:
        i: what stands for it in blocks, until the next table.
        id: ``NET.STA.LOC.CHA``.
        rate_hz: samples per second.
        kind: whether blocks hold samples, or the smallest and the largest of each column.
        sample_type: of the numbers in its blocks.
        column_ms: the width of a column, at most what was asked for: 10 ms times a power of two; None for samples.
        history_s: how much of the past this server can have at most.
    """

    i: int
    id: str
    rate_hz: float
    kind: Literal["samples", "columns"]
    sample_type: Literal["int32", "float32"]
    column_ms: int | None
    history_s: float


class LiveTable(BaseModel):
    """Which streams follow; sent after each request, and whenever a stream comes, goes or changes its rate.

    Attributes:
        streams: those that are sent.
        missing: components that a pattern may mean and that have no live publisher, or whose live publisher does not
            answer, with the reason.
        left_out: how many streams more than may be sent the patterns select.
    """

    streams: list[LiveStream]
    missing: dict[str, str]
    left_out: int


class LiveSkipped(BaseModel):
    """The client was too slow: so much was not sent.

    Attributes:
        skipped_s: seconds.
    """

    skipped_s: float


# ---------------------------------------------------------------------- WebSocket /changes


class ChangesRequest(Taken):
    """What somebody looks at; each one replaces the one before.

    Attributes:
        components: patterns of the keys of components whose changes are sent.
        streams: patterns of streams whose changes are sent, and whose components are asked every 2 s.
        details: keys of components that are sent as `ComponentDetail`, and asked every 2 s.
    """

    components: Patterns = Field(default_factory=lambda: ["*"])
    streams: Patterns = Field(default_factory=list)
    details: Annotated[list[str], Field(max_length=16)] = Field(default_factory=list)


class Changes(BaseModel):
    """What has changed; the first after each request has everything.

    Attributes:
        time: of this machine's clock.
        is_all: whether this replaces all that was known; else it changes it.
        components: whole objects of `Component` when `is_all`, or of one that is new; else ``key`` and what changed.
        streams: likewise of `Stream`, with ``id``.
        details: likewise of `ComponentDetail`: always whole.
        gone: keys of components that are there no more.
        gone_streams: names of streams that are there no more.
        events: the events since the last message.
    """

    time: Time
    is_all: bool
    components: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    details: list[ComponentDetail]
    gone: list[str]
    gone_streams: list[str]
    events: list[Event]


# ---------------------------------------------------------------------- WebSocket /log/{key}


class LogRequest(Taken):
    """Which lines are wanted; each one begins anew.

    Attributes:
        lines: how many of the past are sent first.
        level: the least severe that is sent.
    """

    lines: Annotated[int, Field(ge=0, le=1000)] = 20
    level: Level = "DEBUG"


class LogMessage(BaseModel):
    """Lines that follow those before.

    Attributes:
        lines: the lines.
        note: what a reader must know, such as that the log is of an earlier run; None: nothing new.
        skipped: how many lines were left out because they came too fast.
    """

    lines: list[LogLine]
    note: str | None
    skipped: int
