"""What can go wrong between a DataLink client and a server; each error carries its numbers and survives pickling."""

from rawdaq.errors import LocalProtocolError, RemoteProtocolError, error_text


@error_text("this is not DataLink: a packet begins with '{beginning}' instead of 'DL'")
class BadMagic(RemoteProtocolError):
    """A packet does not begin with ``DL``: the peer speaks another protocol, or bytes were lost."""

    beginning: str


@error_text("a DataLink header of {size_bytes} bytes; the shortest has 2")
class HeaderTooShort(RemoteProtocolError):
    """A packet announces a header of 0 or 1 bytes."""

    size_bytes: int


@error_text("unknown DataLink reply '{header}'")
class UnknownReply(RemoteProtocolError):
    """The server sent a packet whose first word is not a DataLink reply; *header* is elided."""

    header: str


@error_text("malformed DataLink reply '{header}', expected '{expected}'")
class MalformedReply(RemoteProtocolError):
    """The words of a reply are wrong; *header* is elided."""

    header: str
    expected: str


@error_text("'{header}' announces {size_bytes} bytes, the limit is {limit_bytes}")
class PayloadTooLarge(RemoteProtocolError):
    """The peer announced more data than we accept."""

    header: str
    size_bytes: int
    limit_bytes: int


@error_text("unexpected DataLink reply '{header}' while {awaited} was awaited")
class UnexpectedReply(RemoteProtocolError):
    """The server answered something that was not asked; *header* is elided."""

    header: str
    awaited: str


@error_text("the connection ended {held_bytes} bytes into a packet")
class ConnectionCut(RemoteProtocolError):
    """The peer closed the connection in the middle of a packet."""

    held_bytes: int


@error_text("a WebSocket message ended {held_bytes} bytes into a DataLink packet")
class MessageCut(RemoteProtocolError):
    """A WebSocket message ended in the middle of a packet."""

    held_bytes: int


@error_text("unreadable answer to INFO: {reason}")
class InfoUnreadable(RemoteProtocolError):
    """The answer to INFO is not the XML that it should be."""

    reason: str


@error_text("this is no DataLink packet as JSON: {reason}")
class EnvelopeUnreadable(RemoteProtocolError):
    """A message is not the JSON in which packets that hold no samples are passed on."""

    reason: str


@error_text("header '{header}' has {size_bytes} bytes, the limit is 255")
class HeaderTooLong(LocalProtocolError):
    """A header would have more than 255 bytes."""

    header: str
    size_bytes: int


@error_text("stream id {stream_id!r} {reason}")
class StreamIdInvalid(LocalProtocolError):
    """A server would refuse or change this stream id."""

    stream_id: str
    reason: str


@error_text("a packet of {stream_id} has no data; servers disconnect who reads such a packet")
class PayloadEmpty(LocalProtocolError):
    """A packet without data: ringserver would disconnect every reader that gets to it."""

    stream_id: str


@error_text("a packet of {stream_id} has {size_bytes} bytes, the server takes {limit_bytes} (its PACKETSIZE)")
class PayloadOverLimit(LocalProtocolError):
    """A packet is larger than the server takes (its PACKETSIZE)."""

    stream_id: str
    size_bytes: int
    limit_bytes: int


@error_text("the server ({server}) gives no permission to write: add this address to its WriteIP, or authenticate")
class WriteNotPermitted(LocalProtocolError):
    """The server did not offer WRITE to us."""

    server: str


@error_text("{command} ends streaming without a word: send ENDSTREAM first")
class NotWhileStreaming(LocalProtocolError):
    """A command that would end streaming without a word."""

    command: str


@error_text("{what} {reason}")
class ValueUnsendable(LocalProtocolError):
    """A value that no command can carry, such as a credential with the character that ends it."""

    what: str
    reason: str
