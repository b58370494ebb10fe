"""What a peer can do wrong in the RAW protocol; each error carries its numbers and survives pickling."""

from collections.abc import Iterable

from rawdaq.errors import RemoteProtocolError

_SHOWN_CHARACTERS = 75
_SHOWN_CHANNELS = 10


def elided(line: bytes | bytearray) -> str:
    """Return *line* printable and at most 75 characters long, so that no peer floods a log."""
    text = repr(bytes(line[: 4 * _SHOWN_CHARACTERS]))[2:-1]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def listed(channels: Iterable[int]) -> str:
    """Return the first channels as text and how many more there are.

    >>> listed(range(1, 13))
    '1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more'
    """
    known = sorted(channels)
    more = len(known) - _SHOWN_CHANNELS
    return ", ".join(map(str, known[:_SHOWN_CHANNELS])) + (f" and {more} more" if more > 0 else "")


class VersionRefused(RemoteProtocolError):
    """The device does not speak our version: it answered with another line, or closed (*answer* is None)."""

    def __init__(self, version: str, answer: str | None) -> None:
        """Store what we asked for and what came back."""
        super().__init__(version, answer)
        self.version, self.answer = version, answer

    def __str__(self) -> str:
        """Return both, so that the reader knows which side to change."""
        said = "closed the connection" if self.answer is None else f"answered '{self.answer}'"
        return f"the device was asked for RAW {self.version} and {said}"


class UnexpectedLine(RemoteProtocolError):
    """The peer sent other words than the protocol has at this place; *line* is elided."""

    def __init__(self, line: str, expected: str) -> None:
        """Store what came and what was right."""
        super().__init__(line, expected)
        self.line, self.expected = line, expected

    def __str__(self) -> str:
        """Return both."""
        return f"the peer sent '{self.line}' where {self.expected} was expected"


class LineTooLong(RemoteProtocolError):
    """The peer sent a line without an end; *beginning* is elided."""

    def __init__(self, limit_bytes: int, beginning: str) -> None:
        """Store the limit and how the line begins."""
        super().__init__(limit_bytes, beginning)
        self.limit_bytes, self.beginning = limit_bytes, beginning

    def __str__(self) -> str:
        """Return both."""
        return f"the peer sent a line of more than {self.limit_bytes} bytes that begins '{self.beginning}'"


class BadDescription(RemoteProtocolError):
    """The device described a channel with a value that cannot be; *value* is elided."""

    what = "description"

    def __init__(self, channel: int, value: str, expected: str) -> None:
        """Store whose value it is, the value, and what was right."""
        super().__init__(channel, value, expected)
        self.channel, self.value, self.expected = channel, value, expected

    def __str__(self) -> str:
        """Return all three."""
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


class ChannelNotRequested(RemoteProtocolError):
    """The device sent a packet of a channel that was not requested."""

    def __init__(self, channel: int, requested: tuple[int, ...]) -> None:
        """Store the packet's channel and those that we asked for."""
        super().__init__(channel, requested)
        self.channel, self.requested = channel, requested

    def __str__(self) -> str:
        """Return both."""
        return f"packet of channel {self.channel}, requested were {listed(self.requested)}"


class PacketTooLarge(RemoteProtocolError):
    """The device announced more samples than a packet may have."""

    def __init__(self, channel: int, count: int, limit: int) -> None:
        """Store whose packet it is, what it announces and what is allowed."""
        super().__init__(channel, count, limit)
        self.channel, self.count, self.limit = channel, count, limit

    def __str__(self) -> str:
        """Return all three."""
        return f"packet of {self.count} samples of channel {self.channel}, limit is {self.limit}"


class ChannelRefused(RemoteProtocolError):
    """A client asked the device for a channel that it does not have, or that the client's version cannot say."""

    def __init__(self, channel: str, reason: str) -> None:
        """Store the channel as it was written and why it is refused."""
        super().__init__(channel, reason)
        self.channel, self.reason = channel, reason

    def __str__(self) -> str:
        """Return both."""
        return f"the client asked for channel '{self.channel}': {self.reason}"


class ConnectionCut(RemoteProtocolError):
    """The peer closed in the middle of something."""

    def __init__(self, where: str, missing_bytes: int | None = None) -> None:
        """Store where it was, and how many bytes its packet lacks (None: it was no packet)."""
        super().__init__(where, missing_bytes)
        self.where, self.missing_bytes = where, missing_bytes

    def __str__(self) -> str:
        """Return both."""
        lacking = "" if self.missing_bytes is None else f", {self.missing_bytes} bytes missing"
        return f"the peer closed the connection {self.where}{lacking}"
