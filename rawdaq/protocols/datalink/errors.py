"""What can go wrong between a DataLink client and a server; each error carries its numbers and survives pickling."""

from rawdaq.errors import LocalProtocolError, RemoteProtocolError

_SHOWN_CHARACTERS = 75


def elided(data: bytes) -> str:
    r"""Return *data* printable and at most 75 characters long, so that no peer floods a log.

    >>> elided(b"OK 1" + bytes(2))
    'OK 1\\x00\\x00'
    """
    text = repr(bytes(data[: 4 * _SHOWN_CHARACTERS]))[2:-1]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


class BadMagic(RemoteProtocolError):
    """A packet does not begin with ``DL``: the peer speaks another protocol, or bytes were lost."""

    def __init__(self, beginning: str) -> None:
        super().__init__(beginning)
        self.beginning = beginning

    def __str__(self) -> str:
        """Return what came instead."""
        return f"this is not DataLink: a packet begins with '{self.beginning}' instead of 'DL'"


class HeaderTooShort(RemoteProtocolError):
    """A packet announces a header of 0 or 1 bytes."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        """Return the size."""
        return f"a DataLink header of {self.size_bytes} bytes; the shortest has 2"


class UnknownReply(RemoteProtocolError):
    """The server sent a packet whose first word is not a DataLink reply; *header* is elided."""

    def __init__(self, header: str) -> None:
        super().__init__(header)
        self.header = header

    def __str__(self) -> str:
        """Return the header."""
        return f"unknown DataLink reply '{self.header}'"


class MalformedReply(RemoteProtocolError):
    """The words of a reply are wrong; *header* is elided."""

    def __init__(self, header: str, expected: str) -> None:
        super().__init__(header, expected)
        self.header, self.expected = header, expected

    def __str__(self) -> str:
        """Return the header and what it should look like."""
        return f"malformed DataLink reply '{self.header}', expected '{self.expected}'"


class PayloadTooLarge(RemoteProtocolError):
    """The peer announced more data than we accept."""

    def __init__(self, header: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(header, size_bytes, limit_bytes)
        self.header, self.size_bytes, self.limit_bytes = header, size_bytes, limit_bytes

    def __str__(self) -> str:
        """Return both sizes."""
        return f"'{self.header}' announces {self.size_bytes} bytes, the limit is {self.limit_bytes}"


class UnexpectedReply(RemoteProtocolError):
    """The server answered something that was not asked; *header* is elided."""

    def __init__(self, header: str, awaited: str) -> None:
        super().__init__(header, awaited)
        self.header, self.awaited = header, awaited

    def __str__(self) -> str:
        """Return the reply and what was awaited."""
        return f"unexpected DataLink reply '{self.header}' while {self.awaited} was awaited"


class ConnectionCut(RemoteProtocolError):
    """The peer closed the connection in the middle of a packet."""

    def __init__(self, held_bytes: int) -> None:
        super().__init__(held_bytes)
        self.held_bytes = held_bytes

    def __str__(self) -> str:
        """Return how much of the packet there is."""
        return f"the connection ended {self.held_bytes} bytes into a packet"


class MessageCut(RemoteProtocolError):
    """A WebSocket message ended in the middle of a packet."""

    def __init__(self, held_bytes: int) -> None:
        super().__init__(held_bytes)
        self.held_bytes = held_bytes

    def __str__(self) -> str:
        """Return how much of the packet there is."""
        return f"a WebSocket message ended {self.held_bytes} bytes into a DataLink packet"


class InfoUnreadable(RemoteProtocolError):
    """The answer to INFO is not the XML that it should be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Return why."""
        return f"unreadable answer to INFO: {self.reason}"


class EnvelopeUnreadable(RemoteProtocolError):
    """A message is not the JSON in which packets that hold no samples are passed on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Return why."""
        return f"this is no DataLink packet as JSON: {self.reason}"


class HeaderTooLong(LocalProtocolError):
    """A header would have more than 255 bytes."""

    def __init__(self, header: str, size_bytes: int) -> None:
        super().__init__(header, size_bytes)
        self.header, self.size_bytes = header, size_bytes

    def __str__(self) -> str:
        """Return its beginning and its size."""
        return f"header '{self.header}' has {self.size_bytes} bytes, the limit is 255"


class StreamIdInvalid(LocalProtocolError):
    """A server would refuse or change this stream id."""

    def __init__(self, stream_id: str, reason: str) -> None:
        super().__init__(stream_id, reason)
        self.stream_id, self.reason = stream_id, reason

    def __str__(self) -> str:
        """Return the id and the reason."""
        return f"stream id {self.stream_id!r} {self.reason}"


class PayloadEmpty(LocalProtocolError):
    """A packet without data: ringserver would disconnect every reader that gets to it."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self.stream_id = stream_id

    def __str__(self) -> str:
        """Return whose it is."""
        return f"a packet of {self.stream_id} has no data; servers disconnect who reads such a packet"


class PayloadOverLimit(LocalProtocolError):
    """A packet is larger than the server takes (its PACKETSIZE)."""

    def __init__(self, stream_id: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(stream_id, size_bytes, limit_bytes)
        self.stream_id, self.size_bytes, self.limit_bytes = stream_id, size_bytes, limit_bytes

    def __str__(self) -> str:
        """Return both sizes."""
        return (
            f"a packet of {self.stream_id} has {self.size_bytes} bytes, the server takes {self.limit_bytes} "
            "(its PACKETSIZE)"
        )


class WriteNotPermitted(LocalProtocolError):
    """The server did not offer WRITE to us."""

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.server = server

    def __str__(self) -> str:
        """Return the cause and the remedy."""
        return (
            f"the server ({self.server}) gives no permission to write: add this address to its WriteIP, or authenticate"
        )


class NotWhileStreaming(LocalProtocolError):
    """A command that would end streaming without a word."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command

    def __str__(self) -> str:
        """Return the command and the remedy."""
        return f"{self.command} ends streaming without a word: send ENDSTREAM first"


class ValueUnsendable(LocalProtocolError):
    """A value that no command can carry, such as a credential with the character that ends it."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        """Return what it is and why."""
        return f"{self.what} {self.reason}"
