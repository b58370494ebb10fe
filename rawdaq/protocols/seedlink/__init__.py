r"""SeedLink, versions 3.1 and 4.0: `SeedLinkClient` asks for stations and reads packets, `SeedLinkServer` sends.

::

    client                              server
    HELLO                        ->
                                 <-     SeedLink v4.0 (rawdaq/0.1) :: SLPROTO:4.0 SLPROTO:3.1 CAP, and who runs it
    SLPROTO 4.0                  ->                             (not in version 3)
                                 <-     OK
    STATION, SELECT, DATA        ->                             (for each station)
                                 <-     OK, or ERROR, to each of them
    END                          ->
                                 <-     packets for ever
    INFO ID, BYE                 ->                             (at any time)

`words`, `lines` and `times` have what lines are made of, `selectors` and `requests` what a client wants; `v3` and
`v4` have what only one version has, `records` as much of miniSEED as version 3 needs, `info` the answers to INFO. Here
is what the rest of the program uses.

>>> identity = ServerIdentity("rawdaq/0.1.0", "Institute", started_ns=0)
>>> client, server = SeedLinkClient(), SeedLinkServer(identity, lambda text, channel: [])
>>> list(server.receive_data(client.data_to_send()))
[]
>>> list(client.receive_data(server.data_to_send())), client.data_to_send()
([], b'SLPROTO 4.0\r\n')
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
from rawdaq.protocols.seedlink.info.values import (
    ConnectionDescription,
    InfoDocument,
    InfoItem,
    StationDescription,
    StreamDescription,
)
from rawdaq.protocols.seedlink.packets import DataPacket, encode_packet
from rawdaq.protocols.seedlink.requests import Choice, Start, StationRequest, choose, request_of
from rawdaq.protocols.seedlink.selectors import Selector, StreamKey, selected_filter
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
from rawdaq.protocols.seedlink.words import (
    AuthMethod,
    Credentials,
    ErrorCode,
    Hello,
    Refusal,
    SeedLinkVersion,
    ServerIdentity,
)

__all__ = [
    "AgentNamed",
    "AuthMethod",
    "AuthRefused",
    "AuthRequested",
    "CatalogRequested",
    "Choice",
    "ClientEvent",
    "CommandRefused",
    "ConnectionDescription",
    "Credentials",
    "DataPacket",
    "ErrorCode",
    "Goodbye",
    "Hello",
    "InfoDocument",
    "InfoItem",
    "InfoReceived",
    "InfoRefused",
    "InfoRequested",
    "Ready",
    "Refusal",
    "RequestRefused",
    "SeedLinkClient",
    "SeedLinkServer",
    "SeedLinkVersion",
    "Selector",
    "ServerEvent",
    "ServerIdentity",
    "Start",
    "StationDescription",
    "StationRequest",
    "StreamDescription",
    "StreamKey",
    "Streaming",
    "TransferEnded",
    "TransferRequested",
    "VersionChosen",
    "choose",
    "encode_packet",
    "request_of",
    "selected_filter",
]
