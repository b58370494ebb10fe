"""What a client wants: the events of `SeedLinkServer`."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from rawdaq.protocols.seedlink.info.values import InfoItem
from rawdaq.protocols.seedlink.requests import StationRequest
from rawdaq.protocols.seedlink.words import Credentials, Refusal, SeedLinkVersion


@dataclass(frozen=True, slots=True)
class VersionChosen:
    """The client speaks this version from now on."""

    version: SeedLinkVersion


@dataclass(frozen=True, slots=True)
class AgentNamed:
    """The client said what program it is."""

    text: str


@dataclass(frozen=True, slots=True)
class AuthRequested:
    """The client says who it is; `SeedLinkServer.send_auth` must answer."""

    credentials: Credentials


@dataclass(frozen=True, slots=True)
class InfoRequested:
    """The client wants to know something; `SeedLinkServer.send_info` or `SeedLinkServer.send_info_error` must answer.

    Attributes:
        item: STATIONS, STREAMS, GAPS, CONNECTIONS or ALL; the codec answers the others itself.
        station: pattern of the wanted stations.
        stream: pattern of their wanted streams.
    """

    item: InfoItem
    station: str = "*"
    stream: str = "*"


@dataclass(frozen=True, slots=True)
class CatalogRequested:
    """A client of version 3 wants to know the stations; `SeedLinkServer.send_catalog` must answer."""


@dataclass(frozen=True, slots=True)
class TransferRequested:
    """The handshake is over; what the client wants is to be sent from now on.

    Attributes:
        requests: what it wants; `rawdaq.protocols.seedlink.requests.choose` says which request a packet belongs to.
        is_dial_up: it wants what is stored, and then END.
        is_multi_station: False in version 3 when it named no station.
    """

    requests: tuple[StationRequest, ...]
    is_dial_up: bool
    is_multi_station: bool = True


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A command was answered with an error, or ignored because packets are being sent.

    Attributes:
        line: the command, elided.
        refusal: the reason.
    """

    line: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The client is done: close the connection."""


Question: TypeAlias = AuthRequested | InfoRequested | CatalogRequested
QUESTIONS: Final = (AuthRequested, InfoRequested, CatalogRequested)
ServerEvent: TypeAlias = Question | VersionChosen | AgentNamed | TransferRequested | CommandRefused | Goodbye
