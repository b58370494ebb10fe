"""Every JSON that the web server sends or takes by HTTP; ``docs/web.md`` has an example of each.

Those of WebSockets are in `rawdaq.control.web.messages`.

Times are texts, ISO 8601 UTC with nanoseconds; None stands for what is not known. A component is named by its key,
``NET.STA.NAME``, a stream by ``NET.STA.LOC.CHA``.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from rawdaq.control.machine import log

#: ISO 8601 UTC with nanoseconds, such as ``2026-11-29T12:06:13.250000000Z``.
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

#: What a person sees first: number below 400, what is over by itself; 400-799; 800 and more; stopped by a person.
Condition = Literal["well", "late", "no data", "stopped"]

#: A problem from 0 (none) to 1000 (dead): the worst stands first.
Number = Annotated[int, Field(ge=0, le=1000)]

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Command = Literal["start", "stop", "restart", "pause", "resume", "log-level"]


class Taken(BaseModel):
    """What is sent to us: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


# ---------------------------------------------------------------------- errors


class Problem(BaseModel):
    """The body of every refusal.

    Attributes:
        error: what is wrong.
        remedy: what would be right; None where the error says it.
    """

    error: str
    remedy: str | None = None


# ---------------------------------------------------------------------- health, components and streams


class Health(BaseModel):
    """How many components are in which condition; all that is said without a token.

    Attributes:
        time: of this machine's clock.
        number: of the worst component.
        well: how many components are well.
        late: how many have a problem, and deliver.
        no_data: how many are dead, failed or without data.
        stopped: how many were stopped by a person.
    """

    time: Time
    number: Number
    well: int
    late: int
    no_data: int
    stopped: int


class Judged(BaseModel):
    """What is wrong with something.

    Attributes:
        condition: in a word.
        number: 0: nothing is wrong; larger is worse.
        sentence: the worst problem, for people; empty when there is none.
        since: since when that is the problem, or since when there is none; None when that was before this server ran.
    """

    condition: Condition
    number: Number
    sentence: str
    since: Time | None


class Coordinates(BaseModel):
    """Where a station is."""

    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    elevation_m: float | None = None


class Component(Judged):
    """A component in a list.

    Attributes:
        key: ``NET.STA.NAME``.
        title: its name for people, such as ``STA/NAME``.
        name: its name in the station file.
        station: ``NET.STA``.
        state: ``running``, ``paused``, ``stopped``, ``starting``, ``stopping``, ``dead``, ``failed`` or ``hung``.
        problems: all that is wrong, the worst first; `sentence` is the first of them.
        receiver: the class of its receiver.
        publishers: names of its publishers.
        group: the process that it shares, such as ``group.1``; None when it has its own.
        pid: its process.
        file: its station file.
        uptime_s: for how long it has run.
        streams: its streams.
        latency_s: the largest latency of a stream, of the newest packet; without decimated ones, whose filters wait.
        readers: how many subscribers its live publishers have now.
        dropped: packets that its publishers dropped since it started.
        gaps: gaps of all its streams since it started.
        waiting: packets that wait in queues.
        has_live: whether it has a live publisher, so that `/live` can show its streams.
        has_archive: whether it has an archive, so that there are columns, helicorders and miniSEED of the past.
        coordinates: of its station, where the station file or a StationXML file beside it gives them.
        asked: when it answered last.
        answer_s: how long that took.
    """

    key: str
    title: str
    name: str
    station: str
    state: str
    problems: list[str]
    receiver: str | None
    publishers: list[str]
    group: str | None
    pid: int | None
    file: str | None
    uptime_s: float | None
    streams: list[str]
    latency_s: float | None
    readers: int
    dropped: int
    gaps: int
    waiting: int
    has_live: bool
    has_archive: bool
    coordinates: Coordinates | None
    asked: Time | None
    answer_s: float | None


class Stream(Judged):
    """A stream in a list.

    Attributes:
        id: ``NET.STA.LOC.CHA``.
        component: the key of the component that publishes it.
        station: ``NET.STA``.
        rate_hz: its rate as the device or file says it; None before the first packet.
        sample_type: such as ``int32``; empty before the first packet.
        last_sample: time of the newest sample.
        age_s: how old that is, when the component answered.
        latency_s: from the newest sample of a packet to its arrival, of the newest packet.
        latency_max_s: the largest of these since the component started.
        silent_s: for how long packets have been missing; None when they come.
        clock: what is wrong with its clock; None when nothing is.
        timing_quality: of the newest packet, in percent; None when the device does not say.
        packets: since the component started.
        samples: likewise.
        bytes: likewise, of samples.
        gaps: likewise.
        gap_s: their length in total.
        gaps_hour: gaps of the last hour, as far as this server has run.
        gaps_day: gaps of the last 24 h, likewise.
        overlaps: since the component started.
        overlap_s: their length in total.
        backwards: packets that began before the one before them.
        rate_mismatches: how often the time stamps advanced at another rate than said.
        has_live: whether `/live` can show it.
        has_archive: whether there are columns and miniSEED of its past.
    """

    id: str
    component: str
    station: str
    rate_hz: float | None
    sample_type: str
    last_sample: Time | None
    age_s: float | None
    latency_s: float | None
    latency_max_s: float | None
    silent_s: float | None
    clock: str | None
    timing_quality: int | None
    packets: int
    samples: int
    bytes: int
    gaps: int
    gap_s: float
    gaps_hour: int
    gaps_day: int
    overlaps: int
    overlap_s: float
    backwards: int
    rate_mismatches: int
    has_live: bool
    has_archive: bool


class LatencyHistory(BaseModel):
    """The largest latency of each minute; at most 24 h, and not before this server ran.

    Attributes:
        begin: the beginning of the first minute.
        minutes_s: seconds; None for a minute in which nothing was known.
    """

    begin: Time
    minutes_s: list[float | None]


class StreamDetail(Stream):
    """A stream alone.

    Attributes:
        latency: its latency over the last 24 h.
    """

    latency: LatencyHistory


class Endpoint(BaseModel):
    """A connection of a receiver.

    Attributes:
        address: where it listens, or what it connects to.
        connected: whether it is connected; None where that says nothing, as of one that listens.
        last_failure: why it is not connected.
        more: all else that the component says of it.
    """

    address: str
    connected: bool | None
    last_failure: str | None
    more: dict[str, Any]


class Publisher(BaseModel):
    """A publisher of a component.

    Attributes:
        name: its name in the station file.
        class_name: its class.
        state: ``running``, ``paused``, ``failed`` or ``hung``.
        reason: why it is not running.
        problem: what else is wrong.
        delivered: packets or records since the start.
        waiting: in its queue.
        waiting_bytes: likewise.
        dropped: since the start.
        address: of a live publisher, where to subscribe.
        readers: how many do.
        folder: of an archive, where it is.
        more: all else that the component says of it.
    """

    name: str
    class_name: str
    state: str
    reason: str | None
    problem: str | None
    delivered: int
    waiting: int
    waiting_bytes: int
    dropped: int
    address: str | None
    readers: int | None
    folder: str | None
    more: dict[str, Any]


class ComponentDetail(Component):
    """A component alone.

    Attributes:
        endpoints: the connections of its receiver.
        receiver_more: all else that it says of its receiver.
        publisher_list: its publishers.
        journal: what it says of its journal; None without one.
        disks: for each part that writes to a disk: ``path``, ``size_bytes``, ``free_bytes``, ``grows_bytes_per_day``,
            ``left_s`` until it is full (None: it does not grow, or it is too early to say); or ``failure``.
        stream_list: its streams.
    """

    endpoints: list[Endpoint]
    receiver_more: dict[str, Any]
    publisher_list: list[Publisher]
    journal: dict[str, Any] | None
    disks: dict[str, Any]
    stream_list: list[Stream]


class Components(BaseModel):
    """The components of this machine, and what the configuration does not allow to be known.

    Attributes:
        time: of this machine's clock.
        host: the name of this machine.
        version: of rawdaq.
        components: the worst first.
        mistakes: in station files, one line each; their components are missing unless they run.
    """

    time: Time
    host: str
    version: str
    components: list[Component]
    mistakes: list[str]


class Streams(BaseModel):
    """The streams of this machine, by name."""

    time: Time
    streams: list[Stream]


# ---------------------------------------------------------------------- events


class Event(BaseModel):
    """A component whose condition, or whose worst problem, has changed.

    Attributes:
        serial: grows by one with each event of this server.
        time: when it was seen.
        component: its key.
        title: its name for people.
        condition: from then on.
        before: until then; None when it was first seen.
        number: from then on.
        sentence: from then on.
    """

    serial: int
    time: Time
    component: str
    title: str
    condition: Condition
    before: Condition | None
    number: Number
    sentence: str


class Events(BaseModel):
    """Events, the oldest first.

    Attributes:
        events: at most the newest 10 000.
        is_complete: whether none that was asked for has been forgotten.
    """

    events: list[Event]
    is_complete: bool


# ---------------------------------------------------------------------- logs


class LogLine(BaseModel):
    """A line of a log.

    Attributes:
        time: as in the line; None for lines without one, such as of a traceback.
        level: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``; None likewise.
        logger: which part logged it; None likewise.
        text: the rest.
    """

    time: Time | None
    level: str | None
    logger: str | None
    text: str

    @classmethod
    def of(cls, line: log.LogLine) -> Self:
        """Return *line* as JSON has it."""
        return cls(**line._asdict())


class Log(BaseModel):
    """Lines of a log, the oldest first.

    Attributes:
        lines: the lines.
        before: give it to get the lines before these; None when there are none.
        file: the file.
        note: what a reader of it must know; None: nothing.
    """

    lines: list[LogLine]
    before: int | None
    file: str
    note: str | None


# ---------------------------------------------------------------------- commands


class NoBody(Taken):
    """What a command without arguments takes: an empty object."""


class LogLevelBody(Taken):
    """The log level that a component is to have."""

    level: Level


class Done(BaseModel):
    """What a command did.

    Attributes:
        component: its key.
        command: the command.
        result: what happened, for people.
    """

    component: str
    command: Command
    result: str
