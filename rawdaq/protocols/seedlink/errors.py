"""What a peer can do wrong in SeedLink; each error carries its numbers and survives pickling."""

from rawdaq.errors import RemoteProtocolError

_SHOWN_CHARACTERS = 75


def elided(text: bytes | bytearray | memoryview) -> str:
    """Return *text* printable and at most 75 characters long, so that no peer floods a log."""
    shown = repr(bytes(text[: 4 * _SHOWN_CHARACTERS]))[2:-1]
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 3] + "..."


class CommandTooLong(RemoteProtocolError):
    """The client sent a line without an end; *beginning* is elided."""

    def __init__(self, limit_bytes: int, beginning: str) -> None:
        super().__init__(limit_bytes, beginning)
        self.limit_bytes, self.beginning = limit_bytes, beginning

    def __str__(self) -> str:
        return f"the client sent a line of more than {self.limit_bytes} bytes that begins '{self.beginning}'"


class TooMuchAhead(RemoteProtocolError):
    """The client went on sending commands while one of its requests was not answered yet."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes, limit_bytes)
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes of commands wait behind an unanswered request, limit is {self.limit_bytes}"


class NotSeedLink(RemoteProtocolError):
    """The peer answered HELLO with something else than a SeedLink server; *line* is elided."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line

    def __str__(self) -> str:
        return f"no SeedLink server: it answered HELLO with '{self.line}'"


class ProtocolRefused(RemoteProtocolError):
    """The server does not speak the wanted version of SeedLink; *answer* is elided."""

    def __init__(self, version: str, answer: str) -> None:
        super().__init__(version, answer)
        self.version, self.answer = version, answer

    def __str__(self) -> str:
        return f"the server does not speak SeedLink {self.version}: '{self.answer}'"


class StationsRefused(RemoteProtocolError):
    """The server refused every requested station."""

    def __init__(self, stations: tuple[str, ...], answer: str) -> None:
        super().__init__(stations, answer)
        self.stations, self.answer = stations, answer

    def __str__(self) -> str:
        more = f" and {len(self.stations) - 5} more" if len(self.stations) > 5 else ""
        return f"the server refused all stations ({', '.join(self.stations[:5])}{more}): '{self.answer}'"


class ReplyWrong(RemoteProtocolError):
    """The server sent other words than the protocol has at this place; *line* is elided."""

    def __init__(self, line: str, expected: str) -> None:
        super().__init__(line, expected)
        self.line, self.expected = line, expected

    def __str__(self) -> str:
        return f"the server sent '{self.line}' where {self.expected} was expected"


class PacketWrong(RemoteProtocolError):
    """A packet's header has a value that cannot be; *value* is elided."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(field, value)
        self.field, self.value = field, value

    def __str__(self) -> str:
        return f"{self.field} of a SeedLink packet is wrong: '{self.value}'"


class PayloadTooLarge(RemoteProtocolError):
    """The server announced more than a packet, or an INFO answer, may have."""

    def __init__(self, what: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(what, size_bytes, limit_bytes)
        self.what, self.size_bytes, self.limit_bytes = what, size_bytes, limit_bytes

    def __str__(self) -> str:
        return f"{self.what} of {self.size_bytes} bytes, limit is {self.limit_bytes}"


class RecordWrong(RemoteProtocolError):
    """What follows the header of a SeedLink 3 packet is no miniSEED record, so its length is unknown."""

    def __init__(self, beginning: str) -> None:
        super().__init__(beginning)
        self.beginning = beginning

    def __str__(self) -> str:
        return f"no miniSEED record in a SeedLink packet, it begins '{self.beginning}'"


class InfoUnreadable(RemoteProtocolError):
    """An INFO answer is not the document that it should be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"unreadable INFO answer: {self.reason}"


class SeedLinkCut(RemoteProtocolError):
    """The peer closed in the middle of something."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"the peer closed the connection {self.where}"
