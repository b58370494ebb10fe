"""How far each station was received, in memory and in a file, so that a restart goes on where the last run ended."""

from pydantic import BaseModel, ConfigDict, Field

_FORMAT = 1  # of the file


class LastRecord(BaseModel):
    """The last record of a stream.

    Attributes:
        start_ns: time of its first sample.
        next_ns: when the record after it begins if nothing is missing.
        samples: how many samples are in it.
        version: its data quality, or publication version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    start_ns: int
    next_ns: int
    samples: int
    version: int


class StationPosition(BaseModel):
    """How far a station was received.

    Attributes:
        sequence: number of the last packet.
        start_ns: time of the first sample in it.
        streams: the last record of each stream, by ``NET.STA.LOC.CHA``.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    sequence: int
    start_ns: int
    streams: dict[str, LastRecord]


class Positions(BaseModel):
    """How far everything was received from one server.

    Attributes:
        format: of the file.
        protocol: the version of SeedLink whose sequence numbers these are.
        started_ns: when the server started, as it says.
        contact_ns: this machine's clock when the server last sent something.
        has_caught_up: whether live data came, after all that was stored and wished for.
        by_time: stations whose sequence numbers the server does not know any more.
        stations: by ``NET_STA``.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int = _FORMAT
    protocol: str = ""
    started_ns: int | None = None
    contact_ns: int | None = None
    has_caught_up: bool = False
    by_time: set[str] = Field(default_factory=set[str])
    stations: dict[str, StationPosition] = Field(default_factory=dict[str, StationPosition])
