"""How far each station was received, in memory and in a file, so that a restart goes on where the last run ended."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rawdaq.errors import ComponentError

_FORMAT = 1  # of the file
_MAX_FILE_BYTES = 256 << 20  # 10 000 stations of 100 streams have 200 MB


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


def load(path: Path) -> Positions:
    """Return what *path* holds; nothing when there is no such file.

    Raises:
        ComponentError: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES)
        return Positions.model_validate_json(text)
    except FileNotFoundError:
        return Positions()
    except OSError as error:
        raise ComponentError(
            f"cannot read the positions in {path}: {error.strerror or error}; make it readable"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ComponentError(
            f"{path} holds no positions of a SeedLink server ({where}: {first['msg']}); name another file, or move it "
            "away to begin anew as `start` says"
        ) from error
