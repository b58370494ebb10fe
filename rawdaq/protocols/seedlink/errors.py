"""What a peer can do wrong in SeedLink; each error carries its numbers and survives pickling."""

from dataclasses import dataclass

from rawdaq.errors import RemoteProtocolError

_SHOWN_CHARACTERS = 75


def elided(text: bytes | bytearray | memoryview) -> str:
    """Return *text* printable and at most 75 characters long, so that no peer floods a log."""
    shown = repr(bytes(text[: 4 * _SHOWN_CHARACTERS]))[2:-1]
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 3] + "..."


@dataclass(eq=False, repr=False)
class CommandTooLong(RemoteProtocolError):
    """The client sent a line without an end; *beginning* is elided."""

    limit_bytes: int
    beginning: str

    def __str__(self) -> str:
        return f"the client sent a line of more than {self.limit_bytes} bytes that begins '{self.beginning}'"


@dataclass(eq=False, repr=False)
class TooMuchAhead(RemoteProtocolError):
    """The client went on sending commands while one of its requests was not answered yet."""

    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes of commands wait behind an unanswered request, limit is {self.limit_bytes}"


@dataclass(eq=False, repr=False)
class NotSeedLink(RemoteProtocolError):
    """The peer answered HELLO with something else than a SeedLink server; *line* is elided."""

    line: str

    def __str__(self) -> str:
        return f"no SeedLink server: it answered HELLO with '{self.line}'"


@dataclass(eq=False, repr=False)
class ProtocolRefused(RemoteProtocolError):
    """The server does not speak the wanted version of SeedLink; *answer* is elided."""

    version: str
    answer: str

    def __str__(self) -> str:
        return f"the server does not speak SeedLink {self.version}: '{self.answer}'"


@dataclass(eq=False, repr=False)
class StationsRefused(RemoteProtocolError):
    """The server refused every requested station."""

    stations: tuple[str, ...]
    answer: str

    def __str__(self) -> str:
        more = f" and {len(self.stations) - 5} more" if len(self.stations) > 5 else ""
        return f"the server refused all stations ({', '.join(self.stations[:5])}{more}): '{self.answer}'"


@dataclass(eq=False, repr=False)
class ReplyWrong(RemoteProtocolError):
    """The server sent other words than the protocol has at this place; *line* is elided."""

    line: str
    expected: str

    def __str__(self) -> str:
        return f"the server sent '{self.line}' where {self.expected} was expected"


@dataclass(eq=False, repr=False)
class PacketWrong(RemoteProtocolError):
    """A packet's header has a value that cannot be; *value* is elided."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"{self.field} of a SeedLink packet is wrong: '{self.value}'"


@dataclass(eq=False, repr=False)
class PayloadTooLarge(RemoteProtocolError):
    """The server announced more than a packet, or an INFO answer, may have."""

    what: str
    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"{self.what} of {self.size_bytes} bytes, limit is {self.limit_bytes}"


@dataclass(eq=False, repr=False)
class RecordWrong(RemoteProtocolError):
    """What follows the header of a SeedLink 3 packet is no miniSEED record, so its length is unknown."""

    beginning: str

    def __str__(self) -> str:
        return f"no miniSEED record in a SeedLink packet, it begins '{self.beginning}'"


@dataclass(eq=False, repr=False)
class InfoUnreadable(RemoteProtocolError):
    """An INFO answer is not the document that it should be."""

    reason: str

    def __str__(self) -> str:
        return f"unreadable INFO answer: {self.reason}"


@dataclass(eq=False, repr=False)
class SeedLinkCut(RemoteProtocolError):
    """The peer closed in the middle of something."""

    where: str

    def __str__(self) -> str:
        return f"the peer closed the connection {self.where}"
