"""A client of SeedLink, and a server that is played by hand."""

from rawdaq.miniseed.text import text_records
from rawdaq.protocols.seedlink import (
    AuthMethod,
    ClientEvent,
    Credentials,
    Ready,
    SeedLinkClient,
    SeedLinkVersion,
    Selector,
    StationRequest,
    Streaming,
)
from rawdaq.protocols.seedlink.v4 import packet_header
from tests.protocols.seedlink.records import record_2

SC = b"SeedLink v3.3 (2024.020)\r\nHill\r\n"
RING = b"SeedLink v4.0 (RingServer/4.5.3) :: SLPROTO:4.0 SLPROTO:3.1 CAP WS:13\r\nInstitute\r\n"
OK, ERROR = b"OK\r\n", b"ERROR\r\n"
V3, V4 = SeedLinkVersion.V3, SeedLinkVersion.V4
AAA = StationRequest("XX_AAA", (Selector.parse("HHZ"), Selector.parse("HHN")), start=0xD0)
BBB = StationRequest("XX_BBB")
USER = Credentials(AuthMethod.USERPASS, ("user", "secret"))
RECORD = record_2()
EVENT = record_2(blockettes=(1000, 201))


class Play:
    """A client, and a server that is played by hand."""

    def __init__(self, client: SeedLinkClient, size: int = 4096) -> None:
        self.client, self.size = client, size
        self.events: list[ClientEvent] = []

    def say(self, data: bytes) -> list[bytes]:
        """Let the server say *data*; return the lines that the client sends then."""
        for at in range(0, len(data), self.size):
            self.events.extend(self.client.receive_data(data[at : at + self.size]))
        return self.sent()

    def sent(self) -> list[bytes]:
        return self.client.data_to_send().split(b"\r\n")[:-1]

    def taken(self) -> list[ClientEvent]:
        events, self.events = self.events, []
        return events


def ready(version: SeedLinkVersion, size: int = 4096) -> Play:
    play = Play(SeedLinkClient(version), size)
    play.say(SC if version is V3 else RING)
    play.say(b"" if version is V3 else OK)
    play.say(b"" if version is V3 else OK)
    assert [type(event) for event in play.taken()] == [Ready]
    return play


def streaming(version: SeedLinkVersion, size: int = 4096) -> Play:
    play = ready(version, size)
    play.client.send_requests([BBB])
    play.say(OK * 2)
    assert play.taken() == [Streaming()]
    return play


def v4_packet(sequence: int, station: str, payload: bytes, kind: str = "2D") -> bytes:
    return packet_header(sequence, station, kind[0], kind[1], len(payload)) + payload


def info_v3(text: bytes, channel: str = "INF") -> bytes:
    *first, last = text_records(text, channel)
    return b"".join(b"SLINFO *" + record for record in first) + b"SLINFO  " + last
