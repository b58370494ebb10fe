"""What an INFO answer says, whatever its form."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from rawdaq.protocols.seedlink.selectors import StreamKey, matches_glob
from rawdaq.protocols.seedlink.words import SeedLinkVersion


class InfoItem(StrEnum):
    """What can be asked for; version 3 calls it a level."""

    ID = "ID"
    CAPABILITIES = "CAPABILITIES"
    STATIONS = "STATIONS"
    STREAMS = "STREAMS"
    CONNECTIONS = "CONNECTIONS"
    GAPS = "GAPS"
    ALL = "ALL"
    FORMATS = "FORMATS"


#: What each version has.
ITEMS = {
    SeedLinkVersion.V3: frozenset(InfoItem) - {InfoItem.FORMATS},
    SeedLinkVersion.V4: frozenset(InfoItem) - {InfoItem.GAPS, InfoItem.ALL},
}


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream of a station.

    Attributes:
        location: its location code, empty when there is none.
        channel: a SEED code of three letters, or ``BAND_SOURCE_SUBSOURCE``.
        begin_ns: time of the first stored sample; None when nothing is stored.
        end_ns: time of the last stored sample.
        format: the packet format: ``2`` or ``3`` for miniSEED.
        subformat: the kind of records.
        gaps: begin and end of each stretch of time without data.
    """

    location: str
    channel: str
    begin_ns: int | None = None
    end_ns: int | None = None
    format: str = "2"
    subformat: str = "D"
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def key(self) -> StreamKey:
        """What selectors look at."""
        return StreamKey(self.location, self.channel, self.format, self.subformat)


@dataclass(frozen=True, slots=True)
class StationDescription:
    """A station.

    Attributes:
        network: its network code.
        station: its station code.
        description: what people call it.
        begin_sequence: number of the oldest stored packet; None when it is not known, or nothing is stored.
        end_sequence: the number that the next packet will get.
        streams: its streams, as far as they were asked for.
    """

    network: str
    station: str
    description: str = ""
    begin_sequence: int | None = None
    end_sequence: int | None = None
    streams: tuple[StreamDescription, ...] = ()

    @property
    def station_id(self) -> str:
        """``NET_STA``."""
        return f"{self.network}_{self.station}"


@dataclass(frozen=True, slots=True)
class ConnectionDescription:
    """A client of the server.

    Attributes:
        host: its address.
        port: its port.
        connected_ns: when it connected.
        client: how it calls itself.
        protocol: what it speaks.
        current_sequence: number of the packet that it got last.
        sent_packets: how many packets it got.
        sent_bytes: how many bytes.
        received_packets: how many packets it sent.
        received_bytes: how many bytes.
        stream_count: how many streams it asked for.
        lag_s: how much older than the newest packet the one is that it got last.
        is_dial_up: whether it wants only what is stored.
        has_ended: whether all that it wants was sent.
    """

    host: str
    port: int
    connected_ns: int
    client: str = ""
    protocol: str = ""
    current_sequence: int | None = None
    sent_packets: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    stream_count: int = 0
    lag_s: float | None = None
    is_dial_up: bool = False
    has_ended: bool = False


@dataclass(frozen=True, slots=True)
class InfoDocument:
    """A whole answer.

    Attributes:
        software: the first line of HELLO.
        organization: the second line.
        started_ns: when the server started; None when it does not say.
        capabilities: names of what it can do.
        stations: the stations, where these were asked for.
        connections: its clients, where these were asked for.
        formats: MIME type and names of the subformats, by format.
        filters: descriptions, by names, of what records can be converted to.
        error: code and text when the server refuses to answer.
    """

    software: str
    organization: str
    started_ns: int | None = None
    capabilities: tuple[str, ...] = ()
    stations: tuple[StationDescription, ...] = ()
    connections: tuple[ConnectionDescription, ...] = ()
    formats: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    error: tuple[str, str] | None = None


def selected_stations(
    stations: Iterable[StationDescription], station_pattern: str, stream_pattern: str
) -> tuple[StationDescription, ...]:
    """Return what INFO of version 4 asks for: stations that match, with the streams that do.

    Args:
        stations: all that there are.
        station_pattern: ``NET_STA`` with wildcards.
        stream_pattern: a stream id with wildcards, and perhaps ``.`` with format and subformat.
    """
    pattern, _, suffix = stream_pattern.partition(".")
    return tuple(
        replace(station, streams=tuple(each for each in station.streams if _is_meant(each.key, pattern, suffix)))
        for station in stations
        if matches_glob(station_pattern, station.station_id)
    )


def _is_meant(stream: StreamKey, pattern: str, suffix: str) -> bool:
    return matches_glob(pattern, stream.stream_id) and matches_glob(f"{suffix}*", stream.format + stream.subformat)
