"""The settings of a station file after validation: frozen values that the rest of rawdaq can trust.

`rawdaq.config.files.load` makes them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from rawdaq.config.decimation import BandCode, DecimationSettings, LocationCode, band_code
from rawdaq.config.options import PathOption
from rawdaq.config.options import Settings as Settings  # receivers describe their own blocks with it
from rawdaq.config.trigger import TriggerSettings
from rawdaq.messages.message import Kind
from rawdaq.publisher import OverflowPolicy
from rawdaq.sockets.endpoint import check_host
from rawdaq.sockets.zeromq.socket import check_zmq_address
from rawdaq.stream_id import StreamId

#: Names become parts of file names, of a Unix socket's path (at most 107 bytes) and of commands.
NAME = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)


def _check_network(code: str) -> str:
    return StreamId(code, "A", "", "HHZ").network


def _check_station(code: str) -> str:
    return StreamId("A", code, "", "HHZ").station


def _check_monitor(address: str) -> str:
    if "*" in check_zmq_address(address):
        raise ValueError(f"{address} is where others can connect to; name the monitor to connect to")
    return address


def _check_log_to(address: str) -> str:
    split_address(address)
    return address


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is no such address.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{address!r} is not HOST:PORT, such as 127.0.0.1:10001")
    return check_host(host.removeprefix("[").removesuffix("]")), int(port)


class StationSettings(Settings):
    """The block ``station``: the codes that name every stream of the file.

    Attributes:
        network: the network's code.
        code: the station's code.
        location: the location of channels that have none of their own; it is written in quotes.
        latitude_deg: where the station is, north of the equator, for maps.
        longitude_deg: likewise, east of Greenwich.
        elevation_m: likewise, above sea level.
    """

    network: Annotated[str, AfterValidator(_check_network)]
    code: Annotated[str, AfterValidator(_check_station)]
    location: LocationCode = ""
    latitude_deg: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude_deg: Annotated[float, Field(ge=-180, le=180)] | None = None
    elevation_m: Annotated[float, Field(ge=-12_000, le=9_000)] | None = None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.latitude_deg is None) != (self.longitude_deg is None):
            raise ValueError("latitude_deg and longitude_deg belong together: give both, or none")
        return self

    def __str__(self) -> str:
        return f"{self.network}.{self.code}"


class DaemonSettings(Settings):
    """The block ``Daemon``: how a component runs as a process.

    Attributes:
        log_level: the least severe messages that its log shows.
        log_format: how its log lines are written: as text, or as a JSON object each.
        core_id: the processor core that it is bound to; None leaves that to the system.
        log_to: ``HOST:PORT`` of a `LogReceiver` that gets the log too; while it is away the component does not wait.
        monitor: zmq address of a `MonitorReceiver`, to which a report is pushed once a second.
        stop_timeout_s: how long a stop may take to deliver what waits; as long again it may take to close files, and
            soon after that the process is killed.
        silent_after_s: seconds without a packet after which a stream is reported as silent; by default five packet
            intervals as observed, at least 10 s.
        latency_limit_s: a packet that comes later after its last sample is late, which `status` reports; by default
            60 s, and no limit where a file is replayed.
    """

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    core_id: Annotated[int, Field(ge=0)] | None = None
    log_to: Annotated[str, AfterValidator(_check_log_to)] | None = None
    monitor: Annotated[str, AfterValidator(_check_monitor)] | None = None
    stop_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    silent_after_s: Annotated[float, Field(gt=0, le=864_000)] | None = None
    latency_limit_s: Annotated[float, Field(gt=0, le=864_000)] | None = None


class JournalSettings(Settings):
    """The block ``Journal``: what was received is written to disk before it is delivered.

    Attributes:
        path: the folder, of this component alone.
        max_gb: how many gigabytes it may take.
        max_days: for how long it keeps what everybody has.
        sync_s: how long after it came a packet survives a power cut; 0: before it is delivered.
    """

    path: PathOption
    max_gb: Annotated[float, Field(ge=0.1, le=1e6)] = 4.0
    max_days: Annotated[float, Field(gt=0, le=36_500)] = 7.0
    sync_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


#: What is measured, and its code after the band code; units stand in ``docs/decisions/state-of-health.md``.
HEALTH_CODES: Mapping[str, str] = {"latency": "XL", "clock": "CQ", "disk": "XD", "cpu": "XC", "memory": "XM"}


class StateOfHealthSettings(Settings):
    """The block ``StateOfHealth``: latency, clock quality, free disk, processor and memory as int32 streams.

    Attributes:
        every_s: seconds from one sample to the next.
        location: their location; components of one station need one each.
        band: their band code; None: the code that FDSN has for the rate.
    """

    every_s: Annotated[int, Field(ge=1, le=86_400)] = 10
    location: LocationCode = ""
    band: BandCode | None = None

    def names(self, station: StationSettings) -> dict[str, StreamId]:
        """Return the stream of each thing that is measured.

        >>> streams = StateOfHealthSettings(every_s=10).names(StationSettings(network="XX", code="A"))
        >>> print(*streams.values())
        XX.A..VXL XX.A..VCQ XX.A..VXD XX.A..VXC XX.A..VXM
        """
        band = self.band or band_code(1 / self.every_s)
        return {
            measured: StreamId(station.network, station.code, self.location, band + code)
            for measured, code in HEALTH_CODES.items()
        }


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """The block ``Receiver``: a registered class and the arguments of its constructor."""

    class_name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """One entry of ``Publishers``; None leaves a value as the publisher's class has it.

    Attributes:
        name: its key in the file.
        class_name: a registered class.
        options: the arguments of its constructor.
        overflow: what its queue does when it is full.
        queue_packets: how many packets may wait in its queue.
        queue_mb: how many megabytes may wait in its queue.
        streams: patterns of the streams that it gets; an empty sequence means all.
        kinds: of messages that it gets, where it takes any; an empty sequence means all.
    """

    name: str
    class_name: str
    options: Mapping[str, Any]
    overflow: OverflowPolicy | None = None
    queue_packets: int | None = None
    queue_mb: float | None = None
    streams: Sequence[str] = ()
    kinds: Sequence[Kind] = ()


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
        decimation: the streams of a lower rate that it publishes too, by name.
        journal: what its publishers deliver is written to disk first; None: it is not.
        state_of_health: the streams of its own state; None: there are none.
        trigger: finds events in its streams; None: nothing does.
    """

    name: str
    station: StationSettings
    receiver: ReceiverSettings
    publishers: tuple[PublisherSettings, ...]
    daemon: DaemonSettings
    file: Path
    decimation: Mapping[str, DecimationSettings] = field(default_factory=dict[str, DecimationSettings])
    journal: JournalSettings | None = None
    state_of_health: StateOfHealthSettings | None = None
    trigger: TriggerSettings | None = None

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
