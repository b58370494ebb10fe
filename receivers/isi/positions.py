"""How far each stream was received, in memory and in a file, so that a restart goes on where the last run ended."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

_FORMAT = 1  # of the file


class StreamPosition(BaseModel):
    """How far a stream was received.

    Attributes:
        end_ns: time of the last sample in the last packet that came, which is not always the newest one.
        next_ns: when the packet after it begins if nothing is missing: from there on it is asked for again.
        pieces: begin and end of all that came, as far as it is remembered, the oldest first; between them is a gap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    end_ns: StrictInt
    next_ns: StrictInt
    pieces: Annotated[tuple[tuple[StrictInt, StrictInt], ...], Field(min_length=1)]


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
