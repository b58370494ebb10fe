"""What a component says of itself once a second, as a value and as a message ``~monitor``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast

from rawdaq.messages.message import Kind, Message, topic_of
from rawdaq.protocols.json_header import whole_number, wrong_value
from rawdaq.times import from_calendar

TOPIC: Final = topic_of(Kind.MONITOR)
#: The state of a component that says nothing any more.
OFFLINE: Final = "offline"

_END_NS: Final = from_calendar(2200, 1, 0, 0, 0)
_MAX_NAME: Final = 200  # characters

#: Fields of a report that are counts, in the header as in the report.
_COUNTS: Final = "pid streams silent gaps overlaps dropped refused waiting waiting_bytes memory_bytes".split()


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """What is known of a component at a time; what its sender does not say is None, or 0 of counters.

    Attributes:
        name: ``NET.STA.NAME``, or what a program calls itself.
        host: the machine.
        pid: the process; components may share one.
        time_ns: when it was said, nanoseconds since 1970 UTC.
        state: ``running``, ``paused``, ``stopping``, `OFFLINE`, or ``running`` of a sender that does not say it.
        since_ns: of one that is offline, when it was heard last.
        has_data: whether anything came since the report before.
        packets_per_s: waveform packets, or what `ReceiverMonSender` counts.
        samples_per_s: samples.
        messages_per_s: messages that are no waveforms.
        streams: how many streams there are.
        silent: how many of them are silent.
        gaps: how often samples were missing, so far.
        overlaps: how often they came twice, so far.
        dropped: what publishers dropped so far.
        refused: what they could not use so far.
        waiting: what waits in their queues.
        waiting_bytes: its size.
        latency_s: the largest of all streams, from a sample's time to its arrival.
        uptime_s: since the start.
        cpu_percent: of one core, of the whole process.
        memory_bytes: of the whole process.
        problems: what publishers complain about.
        values: all that was said, by key.
    """

    name: str
    host: str = ""
    pid: int = 0
    time_ns: int = 0
    state: str = "running"
    since_ns: int | None = None
    has_data: bool = False
    packets_per_s: float | None = None
    samples_per_s: float | None = None
    messages_per_s: float | None = None
    streams: int = 0
    silent: int = 0
    gaps: int = 0
    overlaps: int = 0
    dropped: int = 0
    refused: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    latency_s: float | None = None
    uptime_s: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int = 0
    problems: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)

    @property
    def is_online(self) -> bool:
        """Whether it was heard lately."""
        return self.state != OFFLINE

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same component: machine, name and process."""
        return self.host, self.name, self.pid

    @classmethod
    def from_header(cls, header: Mapping[str, Any], now_ns: int = 0) -> Self:
        """Return the report in the keys of a message, of a component or of `ReceiverMonSender`.

        Args:
            header: the keys; those that are not known are in `values` only.
            now_ns: the time of one that has none.

        Raises:
            MessageMalformed: a value is not what it should be; the text says which.
        """
        name = _text(header, "name", "")
        if not name:
            raise wrong_value(header, "name", "the name of a component")
        rate = _number(header, "packets_per_s")
        if rate is None:
            rate = _number(header, "data_packets_per_s")
        return cls(
            name=name,
            host=_text(header, "host", ""),
            time_ns=whole_number(header, "time_ns", now_ns, end=_END_NS),
            state=_text(header, "state", "running"),
            since_ns=whole_number(header, "since_ns", end=_END_NS) or None,
            has_data=header.get("data") is True or ("data" not in header and bool(rate)),
            packets_per_s=rate,
            samples_per_s=_number(header, "samples_per_s"),
            messages_per_s=_number(header, "messages_per_s"),
            latency_s=_number(header, "latency_s"),
            uptime_s=_number(header, "uptime_s"),
            cpu_percent=_number(header, "cpu_percent"),
            problems=_texts(header, "problems"),
            values=header,
            **{key: whole_number(header, key) for key in _COUNTS},
        )

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Return the report that *message* carries.

        Raises:
            MessageMalformed: it carries none.
        """
        return cls.from_header(message.header, message.received_ns)


def _text(header: Mapping[str, Any], key: str, default: str) -> str:
    value = header.get(key, default)
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise wrong_value(header, key, f"text of at most {_MAX_NAME} characters")
    return value


def _texts(header: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = header.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise wrong_value(header, key, "a list of texts")
    return tuple(map(str, cast("list[object]", value)))


def _number(header: Mapping[str, Any], key: str) -> float | None:
    value = header.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong_value(header, key, "a number")
    return float(value)
