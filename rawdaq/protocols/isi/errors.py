"""What can go wrong between an ISI client and a server; each error carries its numbers and survives pickling."""

from rawdaq.errors import LocalProtocolError, RemoteProtocolError, error_text


@error_text("this is not ISI: a frame begins with '{beginning}' instead of 'IACP'")
class BadTag(RemoteProtocolError):
    """A frame does not begin with ``IACP``: the peer speaks another protocol, or bytes were lost."""

    beginning: str


@error_text("a frame of type {type} announces {size_bytes} bytes, the limit is {limit_bytes}")
class PayloadTooLarge(RemoteProtocolError):
    """The peer announced more than we accept."""

    type: int
    size_bytes: int
    limit_bytes: int


@error_text("a frame of type {type} announces a signature of {size_bytes} bytes, the limit is 40")
class SignatureTooLarge(RemoteProtocolError):
    """The signature of a frame is longer than the protocol allows."""

    type: int
    size_bytes: int


@error_text("the connection ended {held_bytes} bytes into a frame")
class ConnectionCut(RemoteProtocolError):
    """The peer closed the connection in the middle of a frame."""

    held_bytes: int


@error_text("the server ended the connection without answering the handshake: is it an ISI server?")
class NoHandshake(RemoteProtocolError):
    """The peer closed the connection before it said anything, as servers of other protocols do."""


@error_text("a frame of type {type} came; awaited: {awaited}")
class UnexpectedFrame(RemoteProtocolError):
    """A frame that the protocol does not allow here."""

    type: int
    awaited: str


@error_text("a handshake {reason}")
class HandshakeUnreadable(RemoteProtocolError):
    """The first frame of a connection is not what it should be."""

    reason: str


@error_text("{what} has {size_bytes} bytes instead of {right_bytes}")
class WrongSize(RemoteProtocolError):
    """The payload of a frame is too short or too long."""

    what: str
    size_bytes: int
    right_bytes: int


@error_text("a packet of {name} {reason}")
class PacketUnreadable(RemoteProtocolError):
    """A packet of samples cannot be read; those that follow it can."""

    name: str
    reason: str


@error_text("{value} is no time")
class TimeUnreadable(RemoteProtocolError):
    """The peer sent a floating point number that is no time, or none of 1678 to 2261 where samples have it."""

    value: float


@error_text("the peer sends more than {limit} windows of time")
class TooManyWindows(RemoteProtocolError):
    """A request, or its acknowledgement, has more windows than we keep."""

    limit: int


@error_text("the request {reason}")
class BadRequest(RemoteProtocolError):
    """A client asks for something that the protocol does not allow."""

    reason: str


@error_text("the client ended the connection: {cause}")
class Withdrawn(RemoteProtocolError):
    """A client sent an alert instead of a request.

    Attributes:
        code: of the alert.
        cause: the same in words.
    """

    code: int
    cause: str


@error_text("the request asks for what is not served: {what}")
class Unsupported(RemoteProtocolError):
    """A client asks for something that this server does not have."""

    what: str


@error_text("the server ended the connection: {cause}")
class Alerted(RemoteProtocolError):
    """The server sent an alert instead of what was asked for.

    Attributes:
        code: of the alert.
        cause: the same in words.
    """

    code: int
    cause: str


@error_text("stream {name!r} {reason}")
class NameInvalid(LocalProtocolError):
    """ISI has no name for this stream."""

    name: str
    reason: str


@error_text("a packet of {name} with {size_bytes} bytes; a frame holds {limit_bytes}")
class PacketTooLarge(LocalProtocolError):
    """A packet is larger than clients take."""

    name: str
    size_bytes: int
    limit_bytes: int
