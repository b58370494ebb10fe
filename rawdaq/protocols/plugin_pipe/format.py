"""What a frame of the SeedLink plugin pipe looks like, and what a reader gets of each."""

import struct
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from rawdaq.packet import Samples

#: The C structure: type, station, channel, year, day of year, hour, minute, second, microsecond, correction in
#: microseconds, timing quality, data size. No padding: all that is not text has 4 bytes.
HEADER = struct.Struct("=i10s10s6i3i")

MAX_ID_BYTES = 10  # the server compares no more, so a longer identifier could name another station
MAX_SAMPLES = 1000  # of 4 bytes; the server ends a plugin that sends a longer frame
MAX_LOG_BYTES = 448  # CR LF included
MSEED_BYTES = 512

#: What Linux writes to a pipe at once or not at all (its PIPE_BUF); every frame is shorter.
ATOMIC_BYTES = 4096

MAX_GAP = 2**31 - 1
UNKNOWN_QUALITY = -1
LINE_END = b"\r\n"


class FrameType(IntEnum):
    """What a frame is; the values are the wire's."""

    SAMPLES = 8
    CONTINUED = 9
    GAP = 10
    FLUSH = 11
    LOG = 12
    MSEED = 13


class SamplesFrame(NamedTuple):
    """Integer samples for the server's own filters and encoders.

    Attributes:
        station: the server's key of the station, ``NET.STA`` in SeisComP.
        channel: the name of the server's input.
        start_ns: time of the first sample; None when it follows the channel's samples before.
        timing_quality: 0 to 100 percent, None when unknown or when *start_ns* is None.
        correction_us: the time correction that the plugin reports.
        samples: read-only int32.
    """

    station: str
    channel: str
    start_ns: int | None
    timing_quality: int | None
    correction_us: int
    samples: Samples


class GapFrame(NamedTuple):
    """So many samples of a channel are missing."""

    station: str
    channel: str
    missing_samples: int


class FlushFrame(NamedTuple):
    """The server shall give out the record of this channel that is not full yet."""

    station: str
    channel: str


class LogFrame(NamedTuple):
    """A line for the station's log."""

    station: str
    time_ns: int
    text: str


class MseedFrame(NamedTuple):
    """A miniSEED record of 512 bytes."""

    station: str
    data: bytes


PipeEvent: TypeAlias = SamplesFrame | GapFrame | FlushFrame | LogFrame | MseedFrame
