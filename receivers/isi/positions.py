"""How far each stream was received, in memory and in a file, so that a restart goes on where the last run ended."""

from pydantic import BaseModel, ConfigDict, Field

_FORMAT = 1  # of the file


class ReceivedPacket(BaseModel):
    """A packet that is known again when it comes twice: servers never cut or join packets.

    Attributes:
        start_ns: time of its first sample.
        end_ns: time of its last one.
        samples: how many there are.
        check: a checksum of the samples: a clock that was set back gives others the same times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    start_ns: int
    end_ns: int
    samples: int
    check: int


class StreamPosition(BaseModel):
    """How far a stream was received.

    Attributes:
        last: the last packet that came, which is not always the newest one.
        next_ns: when the packet after it begins if nothing is missing: from there on it is asked for again.
        ahead: packets of before that end later, which come again then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    last: ReceivedPacket
    next_ns: int
    ahead: tuple[ReceivedPacket, ...] = ()


class Positions(BaseModel):
    """How far everything was received from one server.

    Attributes:
        format: of the file.
        listed_ns: this machine's clock when the server last said which streams it has.
        streams: by ``NET.STA.LOC.CHA``.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int = _FORMAT
    listed_ns: int | None = None
    streams: dict[str, StreamPosition] = Field(default_factory=dict[str, StreamPosition])
