"""What a peer can do wrong in the RAW protocol; each error carries its numbers and survives pickling."""

from collections.abc import Iterable
from dataclasses import dataclass

from rawdaq.errors import RemoteProtocolError, error_text

_SHOWN_CHANNELS = 10


def listed(channels: Iterable[int]) -> str:
    """Return the first channels as text and how many more there are.

    >>> listed(range(1, 13))
    '1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more'
    """
    known = sorted(channels)
    more = len(known) - _SHOWN_CHANNELS
    return ", ".join(map(str, known[:_SHOWN_CHANNELS])) + (f" and {more} more" if more > 0 else "")


@dataclass(eq=False, repr=False)
class VersionRefused(RemoteProtocolError):
    """The device does not speak our version: it answered with another line, or closed (*answer* is None)."""

    version: str
    answer: str | None

    def __str__(self) -> str:
        said = "closed the connection" if self.answer is None else f"answered '{self.answer}'"
        return f"the device was asked for RAW {self.version} and {said}"


@error_text("the peer sent '{line}' where {expected} was expected")
class UnexpectedLine(RemoteProtocolError):
    """The peer sent other words than the protocol has at this place; *line* is elided."""

    line: str
    expected: str


@error_text("the peer sent a line of more than {limit_bytes} bytes that begins '{beginning}'")
class LineTooLong(RemoteProtocolError):
    """The peer sent a line without an end; *beginning* is elided."""

    limit_bytes: int
    beginning: str


@dataclass(eq=False, repr=False)
class BadDescription(RemoteProtocolError):
    """The device described a channel with a value that cannot be; *value* is elided."""

    what = "description"

    channel: int
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.what} '{self.value}' of channel {self.channel} is not {self.expected}"


class BadSamplingRate(BadDescription):
    """A sampling rate that is no number, or one that no record could say."""

    what = "sampling rate"


class UnknownEndianness(BadDescription):
    """A byte order that is neither big nor little."""

    what = "sample endianness"


class UnknownSampleType(BadDescription):
    """A sample type that the agreed version does not have."""

    what = "sample type"


@dataclass(eq=False, repr=False)
class ChannelNotRequested(RemoteProtocolError):
    """The device sent a packet of a channel that was not requested."""

    channel: int
    requested: tuple[int, ...]

    def __str__(self) -> str:
        return f"packet of channel {self.channel}, requested were {listed(self.requested)}"


@error_text("packet of {count} samples of channel {channel}, limit is {limit}")
class PacketTooLarge(RemoteProtocolError):
    """The device announced more samples than a packet may have."""

    channel: int
    count: int
    limit: int


@error_text("the client asked for channel '{channel}': {reason}")
class ChannelRefused(RemoteProtocolError):
    """A client asked the device for a channel that it does not have, or that the client's version cannot say."""

    channel: str
    reason: str


@dataclass(eq=False, repr=False)
class ConnectionCut(RemoteProtocolError):
    """The peer closed in the middle of something."""

    where: str
    missing_bytes: int | None = None

    def __str__(self) -> str:
        lacking = "" if self.missing_bytes is None else f", {self.missing_bytes} bytes missing"
        return f"the peer closed the connection {self.where}{lacking}"
