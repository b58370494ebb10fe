"""What a station file says, once it is validated: frozen values that the rest of rawdaq can trust.

`rawdaq.config.files` makes them; nothing else does.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rawdaq.config.decimated_names import preview_stream
from rawdaq.errors import RawdaqError
from rawdaq.publisher import OverflowPolicy
from rawdaq.stream_id import StreamId

#: Names become parts of file names, of a Unix socket's path (at most 107 bytes) and of commands.
NAME = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)

_BAND = re.compile("[A-Z]")
_ZMQ_ADDRESS = re.compile(r"tcp://[^\s:/]+:\d{1,5}|tcp://\[[0-9A-Fa-f:.]+\]:\d{1,5}|ipc://\S+")


class Problem(NamedTuple):
    """One mistake in a station file.

    Attributes:
        file: the file (or folder) that has it.
        line: its line from 1, None when it belongs to no line.
        key: the path of the key, such as ``RawReceiver.Receiver.port``; empty for the file as a whole.
        text: what is wrong, and what would be right.
    """

    file: Path
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        """Return ``FILE:LINE: KEY: text``."""
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return ": ".join(part for part in (where, self.key, self.text) if part)


class ConfigError(RawdaqError):
    """The configuration is wrong; carries every mistake that was found, one a line.

    Args:
        problems: the mistakes, in the order of the files and their lines.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Return one line for each problem."""
        return "\n".join(map(str, self.problems))


def _network(code: str) -> str:
    return StreamId(code, "A", "", "HHZ").network


def _station(code: str) -> str:
    return StreamId("A", code, "", "HHZ").station


def _location(code: str) -> str:
    return StreamId("A", "A", code, "HHZ").location


def _monitor(address: str) -> str:
    if not _ZMQ_ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is not a zmq address; it should look like tcp://127.0.0.1:9010")
    return address


class Settings(BaseModel):
    """Settings that refuse unknown keys and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StationSettings(Settings):
    """The block ``station``: the codes that name every stream of the file."""

    network: Annotated[str, AfterValidator(_network)]
    code: Annotated[str, AfterValidator(_station)]
    location: Annotated[str, AfterValidator(_location)] = ""

    def __str__(self) -> str:
        """Return ``NET.STA``."""
        return f"{self.network}.{self.code}"


def _band(code: str) -> str:
    if not _BAND.fullmatch(code):
        raise ValueError(f"{code!r} is no band code; it should be one capital letter, such as D")
    return code


class PreviewSettings(Settings):
    """One entry of ``Previews``: streams at a lower rate, published as streams of their own.

    >>> PreviewSettings(rate_hz=1000, streams=["XX.AE.*.JH?"]).type
    'float32'

    Attributes:
        rate_hz: their rate, of which that of the sources is a whole multiple.
        streams: shell-style patterns of the sources; none means all.
        band: their band code; None is what their rate asks for.
        location: their location; None is that of the source.
        type: their sample type.
    """

    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    streams: list[str] = Field(default_factory=list)
    band: Annotated[str, AfterValidator(_band)] | None = None
    location: Annotated[str, AfterValidator(_location)] | None = None
    type: Literal["float32", "float64", "int32"] = "float32"

    def names(self, sources: Iterable[StreamId]) -> dict[StreamId, StreamId]:
        """Return what the preview of each of *sources* that has one is called."""
        return {
            source: preview_stream(source, self.rate_hz, self.band, self.location)
            for source in sources
            if source.matches(self.streams)
        }


class DaemonSettings(Settings):
    """The block ``Daemon``: how a component runs as a process.

    Attributes:
        log_level: the least severe messages that its log shows.
        core_id: the processor core that it is bound to; None leaves that to the system.
        monitor: zmq address to which monitoring messages are pushed.
        stop_timeout_s: how long a stop may take to deliver what waits; as long again it may take to close files, and
            soon after that the process is killed.
    """

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    core_id: Annotated[int, Field(ge=0)] | None = None
    monitor: Annotated[str, AfterValidator(_monitor)] | None = None
    stop_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 10.0


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """The block ``Receiver``: a registered class and the arguments of its constructor."""

    class_name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """One entry of ``Publishers``; what is None is as the publisher's class has it.

    Attributes:
        name: its key in the file.
        class_name: a registered class.
        options: the arguments of its constructor.
        overflow: what its queue does when it is full.
        queue_packets: how many packets may wait in its queue.
        queue_mb: how many megabytes may wait in its queue.
        streams: patterns of the streams that it gets; none means all.
    """

    name: str
    class_name: str
    options: Mapping[str, Any]
    overflow: OverflowPolicy | None = None
    queue_packets: int | None = None
    queue_mb: float | None = None
    streams: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """One receiver with its publishers, which run as one process.

    Attributes:
        name: its key in the station file.
        station: the station that it belongs to.
        receiver: where its packets come from.
        publishers: where they go.
        daemon: how it runs.
        file: the station file.
        previews: what is published at a lower rate, too, by name.
    """

    name: str
    station: StationSettings
    receiver: ReceiverSettings
    publishers: tuple[PublisherSettings, ...]
    daemon: DaemonSettings
    file: Path
    previews: Mapping[str, PreviewSettings] = field(default_factory=dict[str, PreviewSettings])

    @property
    def key(self) -> str:
        """``NET.STA.NAME``: unique in a configuration, and the stem of its runtime files."""
        return f"{self.station}.{self.name}"


@dataclass(frozen=True, slots=True)
class StationFile:
    """A whole station file."""

    path: Path
    station: StationSettings
    components: tuple[ComponentSettings, ...]
