"""The server's side of SeedLink: `SeedLinkServer` talks to one client.

`connection` has it and `events` what it yields; `conversation` answers commands, `handshake` makes requests of those
that choose stations, `answers` writes what INFO asks for.
"""

from rawdaq.protocols.seedlink.server.answers import TextRecords
from rawdaq.protocols.seedlink.server.connection import SeedLinkServer
from rawdaq.protocols.seedlink.server.events import (
    AgentNamed,
    AuthRequested,
    CatalogRequested,
    CommandRefused,
    Goodbye,
    InfoRequested,
    ServerEvent,
    TransferRequested,
    VersionChosen,
)

__all__ = [
    "AgentNamed",
    "AuthRequested",
    "CatalogRequested",
    "CommandRefused",
    "Goodbye",
    "InfoRequested",
    "SeedLinkServer",
    "ServerEvent",
    "TextRecords",
    "TransferRequested",
    "VersionChosen",
]
