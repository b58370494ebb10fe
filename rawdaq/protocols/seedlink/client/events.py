"""What a server says: the events of `SeedLinkClient`."""

from dataclasses import dataclass
from typing import TypeAlias

from rawdaq.protocols.seedlink.info.values import InfoItem
from rawdaq.protocols.seedlink.packets import DataPacket
from rawdaq.protocols.seedlink.words import Hello, SeedLinkVersion


@dataclass(frozen=True, slots=True)
class Ready:
    """Both sides have agreed on a version; stations and INFO may be asked for."""

    version: SeedLinkVersion
    hello: Hello


@dataclass(frozen=True, slots=True)
class AuthRefused:
    """The server does not take our credentials; what is open to all can be asked for all the same.

    Attributes:
        answer: what it said.
    """

    answer: str


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The server refused a command that asks for a station; the others are asked for all the same.

    Attributes:
        station: which station it is.
        command: the command.
        answer: what the server said.
    """

    station: str
    command: str
    answer: str


@dataclass(frozen=True, slots=True)
class Streaming:
    """The handshake is over: packets follow.

    Attributes:
        refused: the stations that the server refused; it has all others.
    """

    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An answer to INFO; `rawdaq.protocols.seedlink.info` reads it.

    Attributes:
        item: what was asked first of what was not answered yet: a server that does not answer makes it wrong. None
            when nothing was asked.
        text: XML in version 3, JSON in version 4.
        is_error: whether the server refuses to answer.
    """

    item: InfoItem | None
    text: bytes
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class InfoRefused:
    """A line instead of an answer to INFO: the server does not know it.

    Attributes:
        item: what was asked for, None when nothing was.
        answer: the line.
    """

    item: InfoItem | None
    answer: str


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """The server sent END: all that was asked for has come.

    When neither a time window nor what is stored was asked for, it is a loss of the connection.
    """


ClientEvent: TypeAlias = (
    Ready | AuthRefused | RequestRefused | Streaming | DataPacket | InfoReceived | InfoRefused | TransferEnded
)
