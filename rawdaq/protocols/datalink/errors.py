"""What can go wrong between a DataLink client and a server; each error carries its numbers and survives pickling."""

from dataclasses import dataclass

from rawdaq.errors import LocalProtocolError, RemoteProtocolError

_SHOWN_CHARACTERS = 75


def elided(data: bytes) -> str:
    r"""Return *data* printable and at most 75 characters long, so that no peer floods a log.

    >>> elided(b"OK 1" + bytes(2))
    'OK 1\\x00\\x00'
    """
    text = repr(bytes(data[: 4 * _SHOWN_CHARACTERS]))[2:-1]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


@dataclass(eq=False, repr=False)
class BadMagic(RemoteProtocolError):
    """A packet does not begin with ``DL``: the peer speaks another protocol, or bytes were lost."""

    beginning: str

    def __str__(self) -> str:
        return f"this is not DataLink: a packet begins with '{self.beginning}' instead of 'DL'"


@dataclass(eq=False, repr=False)
class HeaderTooShort(RemoteProtocolError):
    """A packet announces a header of 0 or 1 bytes."""

    size_bytes: int

    def __str__(self) -> str:
        return f"a DataLink header of {self.size_bytes} bytes; the shortest has 2"


@dataclass(eq=False, repr=False)
class UnknownReply(RemoteProtocolError):
    """The server sent a packet whose first word is not a DataLink reply; *header* is elided."""

    header: str

    def __str__(self) -> str:
        return f"unknown DataLink reply '{self.header}'"


@dataclass(eq=False, repr=False)
class MalformedReply(RemoteProtocolError):
    """The words of a reply are wrong; *header* is elided."""

    header: str
    expected: str

    def __str__(self) -> str:
        return f"malformed DataLink reply '{self.header}', expected '{self.expected}'"


@dataclass(eq=False, repr=False)
class PayloadTooLarge(RemoteProtocolError):
    """The peer announced more data than we accept."""

    header: str
    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"'{self.header}' announces {self.size_bytes} bytes, the limit is {self.limit_bytes}"


@dataclass(eq=False, repr=False)
class UnexpectedReply(RemoteProtocolError):
    """The server answered something that was not asked; *header* is elided."""

    header: str
    awaited: str

    def __str__(self) -> str:
        return f"unexpected DataLink reply '{self.header}' while {self.awaited} was awaited"


@dataclass(eq=False, repr=False)
class ConnectionCut(RemoteProtocolError):
    """The peer closed the connection in the middle of a packet."""

    held_bytes: int

    def __str__(self) -> str:
        return f"the connection ended {self.held_bytes} bytes into a packet"


@dataclass(eq=False, repr=False)
class MessageCut(RemoteProtocolError):
    """A WebSocket message ended in the middle of a packet."""

    held_bytes: int

    def __str__(self) -> str:
        return f"a WebSocket message ended {self.held_bytes} bytes into a DataLink packet"


@dataclass(eq=False, repr=False)
class InfoUnreadable(RemoteProtocolError):
    """The answer to INFO is not the XML that it should be."""

    reason: str

    def __str__(self) -> str:
        return f"unreadable answer to INFO: {self.reason}"


@dataclass(eq=False, repr=False)
class EnvelopeUnreadable(RemoteProtocolError):
    """A message is not the JSON in which packets that hold no samples are passed on."""

    reason: str

    def __str__(self) -> str:
        return f"this is no DataLink packet as JSON: {self.reason}"


@dataclass(eq=False, repr=False)
class HeaderTooLong(LocalProtocolError):
    """A header would have more than 255 bytes."""

    header: str
    size_bytes: int

    def __str__(self) -> str:
        return f"header '{self.header}' has {self.size_bytes} bytes, the limit is 255"


@dataclass(eq=False, repr=False)
class StreamIdInvalid(LocalProtocolError):
    """A server would refuse or change this stream id."""

    stream_id: str
    reason: str

    def __str__(self) -> str:
        return f"stream id {self.stream_id!r} {self.reason}"


@dataclass(eq=False, repr=False)
class PayloadEmpty(LocalProtocolError):
    """A packet without data: ringserver would disconnect every reader that gets to it."""

    stream_id: str

    def __str__(self) -> str:
        return f"a packet of {self.stream_id} has no data; servers disconnect who reads such a packet"


@dataclass(eq=False, repr=False)
class PayloadOverLimit(LocalProtocolError):
    """A packet is larger than the server takes (its PACKETSIZE)."""

    stream_id: str
    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return (
            f"a packet of {self.stream_id} has {self.size_bytes} bytes, the server takes {self.limit_bytes} "
            "(its PACKETSIZE)"
        )


@dataclass(eq=False, repr=False)
class WriteNotPermitted(LocalProtocolError):
    """The server did not offer WRITE to us."""

    server: str

    def __str__(self) -> str:
        return (
            f"the server ({self.server}) gives no permission to write: add this address to its WriteIP, or authenticate"
        )


@dataclass(eq=False, repr=False)
class NotWhileStreaming(LocalProtocolError):
    """A command that would end streaming without a word."""

    command: str

    def __str__(self) -> str:
        return f"{self.command} ends streaming without a word: send ENDSTREAM first"


@dataclass(eq=False, repr=False)
class ValueUnsendable(LocalProtocolError):
    """A value that no command can carry, such as a credential with the character that ends it."""

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what} {self.reason}"
