"""What a peer can do wrong in SeedLink; each error carries its numbers and survives pickling."""

from dataclasses import dataclass

from rawdaq.errors import RemoteProtocolError, error_text


@error_text("the client sent a line of more than {limit_bytes} bytes that begins '{beginning}'")
class CommandTooLong(RemoteProtocolError):
    """The client sent a line without an end; *beginning* is elided."""

    limit_bytes: int
    beginning: str


@error_text("{size_bytes} bytes of commands wait behind an unanswered request, limit is {limit_bytes}")
class TooMuchAhead(RemoteProtocolError):
    """The client went on sending commands while one of its requests was not answered yet."""

    size_bytes: int
    limit_bytes: int


@error_text("no SeedLink server: it answered HELLO with '{line}'")
class NotSeedLink(RemoteProtocolError):
    """The peer answered HELLO with something else than a SeedLink server; *line* is elided."""

    line: str


@error_text("the server does not speak SeedLink {version}: '{answer}'")
class ProtocolRefused(RemoteProtocolError):
    """The server does not speak the wanted version of SeedLink; *answer* is elided."""

    version: str
    answer: str


@dataclass(eq=False, repr=False)
class StationsRefused(RemoteProtocolError):
    """The server refused every requested station."""

    stations: tuple[str, ...]
    answer: str

    def __str__(self) -> str:
        more = f" and {len(self.stations) - 5} more" if len(self.stations) > 5 else ""
        return f"the server refused all stations ({', '.join(self.stations[:5])}{more}): '{self.answer}'"


@error_text("the server sent '{line}' where {expected} was expected")
class ReplyWrong(RemoteProtocolError):
    """The server sent other words than the protocol has at this place; *line* is elided."""

    line: str
    expected: str


@error_text("{field} of a SeedLink packet is wrong: '{value}'")
class PacketWrong(RemoteProtocolError):
    """A packet's header has a value that cannot be; *value* is elided."""

    field: str
    value: str


@error_text("{what} of {size_bytes} bytes, limit is {limit_bytes}")
class PayloadTooLarge(RemoteProtocolError):
    """The server announced more than a packet, or an INFO answer, may have."""

    what: str
    size_bytes: int
    limit_bytes: int


@error_text("no miniSEED record in a SeedLink packet, it begins '{beginning}'")
class RecordWrong(RemoteProtocolError):
    """What follows the header of a SeedLink 3 packet is no miniSEED record, so its length is unknown."""

    beginning: str


@error_text("unreadable INFO answer: {reason}")
class InfoUnreadable(RemoteProtocolError):
    """An INFO answer is not the document that it should be."""

    reason: str


@error_text("the peer closed the connection {where}")
class SeedLinkCut(RemoteProtocolError):
    """The peer closed in the middle of something."""

    where: str
