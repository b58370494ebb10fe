"""What a client wants: windows of time of streams, and how they are to be sent."""

import struct
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from rawdaq.protocols.isi.errors import WrongSize
from rawdaq.protocols.isi.frames import FrameType
from rawdaq.protocols.isi.packets import Compression
from rawdaq.protocols.isi.values import NAME_BYTES, IsiName, from_seconds, to_seconds

_WINDOW = struct.Struct(f">{NAME_BYTES}sdd")
_U32 = struct.Struct(">I")


class Place(Enum):
    """A place among what a server holds of a stream; the values stand for a time in frames."""

    UNDEFINED = -1.0
    OLDEST = -2.0
    NEWEST = -3.0
    KEEP_UP = -4.0


_PLACES: Final = {place.value: place for place in Place}


class Format(IntEnum):
    """What data are sent as."""

    GENERIC = 1
    NATIVE = 2
    MINISEED = 3


class Policy(IntEnum):
    """What a client wants after an interruption; servers do not use it."""

    NONE = 1
    MIN_GAP = 2
    MIN_DELAY = 3


class Report(IntEnum):
    """What a client may ask about streams; the values are the types of the frames."""

    HEALTH = FrameType.REQUEST_HEALTH
    CONFIGURATION = FrameType.REQUEST_CONFIGURATION
    WFDISC = FrameType.REQUEST_WFDISC


class Window(NamedTuple):
    """A window of time of a stream, or of streams.

    Attributes:
        name: whose; parts may be ``*``.
        begin: a time, or a place.
        end: a time, or a place; `Place.KEEP_UP` has no end.
    """

    name: IsiName
    begin: int | Place = Place.NEWEST
    end: int | Place = Place.KEEP_UP

    def encode(self) -> bytes:
        """Return the payload of a frame.

        Raises:
            NameInvalid: a part of the name is too long.
        """
        return _WINDOW.pack(self.name.encode(), _number(self.begin), _number(self.end))

    @classmethod
    def decode(cls, payload: bytes) -> "Window":
        """Return what a payload says.

        Raises:
            WrongSize: it is not what the protocol says.
            TimeUnreadable: a time is none.
        """
        if len(payload) != _WINDOW.size:
            raise WrongSize("a window of time", len(payload), _WINDOW.size)
        name, begin, end = _WINDOW.unpack(payload)
        return cls(IsiName.decode(name), _read(begin), _read(end))


def _number(when: int | Place) -> float:
    return when.value if isinstance(when, Place) else to_seconds(when)


def _read(seconds: float) -> int | Place:
    place = _PLACES.get(seconds)
    return from_seconds(seconds) if place is None else place


class DataRequest(NamedTuple):
    """Which data a client wants, and how.

    Attributes:
        windows: of which streams and times.
        format: of `Format`, or a number that is none.
        compression: of `Compression`, or a number that is none.
        policy: of `Policy`, or a number that is none.
        options: bits, of which none is defined.
    """

    windows: tuple[Window, ...]
    format: int = Format.GENERIC
    compression: int = Compression.IDA
    policy: int = Policy.MIN_GAP
    options: int = 0

    def settings(self) -> list[tuple[FrameType, bytes]]:
        """Return what stands in front of the windows: types of frames and their payloads."""
        named = [
            (FrameType.FORMAT, self.format),
            (FrameType.COMPRESSION, self.compression),
            (FrameType.OPTIONS, self.options),
            (FrameType.POLICY, self.policy),
        ]
        return [(kind, _U32.pack(value)) for kind, value in named if value or kind is not FrameType.OPTIONS]


#: The fields of a request that stand in frames of their own.
SETTINGS: Final[dict[int, str]] = {
    FrameType.FORMAT: "format",
    FrameType.COMPRESSION: "compression",
    FrameType.POLICY: "policy",
    FrameType.OPTIONS: "options",
}


def decode_number(payload: bytes, what: str) -> int:
    """Return the number that a payload is.

    Raises:
        WrongSize: it is none.
    """
    if len(payload) != _U32.size:
        raise WrongSize(what, len(payload), _U32.size)
    return int(_U32.unpack(payload)[0])
