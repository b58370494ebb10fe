"""A client and a server in memory, whose bytes travel in pieces of any size."""

from rawdaq.miniseed.text import text_records
from rawdaq.protocols.seedlink import (
    AuthMethod,
    AuthRequested,
    ClientEvent,
    ConnectionDescription,
    InfoRequested,
    SeedLinkClient,
    SeedLinkServer,
    ServerEvent,
    ServerIdentity,
    StationDescription,
    StreamDescription,
)

IDENTITY = ServerIdentity(
    "rawdaq/1", "Institute", 0, auth_methods=(AuthMethod.USERPASS,), filters=(("3", "miniSEED 3"),)
)
STATIONS = (
    StationDescription("XX", "AAA", "Hill", 1, 100, (StreamDescription("00", "HHZ", 0, 1_000_000_000),)),
    StationDescription("YY", "BBB", "Dale", 7, 7),
)
CLIENTS = (ConnectionDescription("::1", 1, 0, "rawdaq"),)


class ConnectionPair:
    """Wires *client* to a server that answers every question.

    Args:
        client: the client.
        size: how many bytes travel at a time.
    """

    def __init__(self, client: SeedLinkClient, size: int) -> None:
        self.client = client
        self.server = SeedLinkServer(IDENTITY, text_records)
        self.size = size
        self.at_client: list[ClientEvent] = []
        self.at_server: list[ServerEvent] = []
        self.settle()

    def settle(self) -> None:
        """Move bytes until both sides are quiet."""
        while to_server := self.client.data_to_send():
            for at in range(0, len(to_server), self.size):
                self._serve(to_server[at : at + self.size])
        assert self.server.buffered_bytes == 0
        assert self.client.buffered_bytes == 0

    def _serve(self, data: bytes) -> None:
        for event in self.server.receive_data(data):
            self.at_server.append(event)
            if isinstance(event, AuthRequested):
                self.server.send_auth()
            elif isinstance(event, InfoRequested):
                self.server.send_info(STATIONS, CLIENTS)
        self.deliver()

    def deliver(self) -> None:
        """Move what the server has to say to the client."""
        to_client = self.server.data_to_send()
        for at in range(0, len(to_client), self.size):
            self.at_client.extend(self.client.receive_data(to_client[at : at + self.size]))
