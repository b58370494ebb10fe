"""The client's side of SeedLink: `SeedLinkClient` talks to one server.

`connection` has it, `events` what it yields, and `commands` what waits for a reply.
"""

from rawdaq.protocols.seedlink.client.connection import SeedLinkClient
from rawdaq.protocols.seedlink.client.events import (
    AuthRefused,
    ClientEvent,
    InfoReceived,
    InfoRefused,
    Ready,
    RequestRefused,
    Streaming,
    TransferEnded,
)

__all__ = [
    "AuthRefused",
    "ClientEvent",
    "InfoReceived",
    "InfoRefused",
    "Ready",
    "RequestRefused",
    "SeedLinkClient",
    "Streaming",
    "TransferEnded",
]
