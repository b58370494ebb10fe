"""Links to the tests' own server, by every transport."""

import ssl
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from pathlib import Path

from rawdaq.datalink import DataLink, DataPacket
from tests.datalink_server import Server
from tests.helpers import DEADLINE_S

CERTIFICATE = Path(__file__).parent / "datalink_server" / "localhost.pem"
TRANSPORTS = ["tcp", "tls", "ws", "wss"]
SID = "FDSN:XX_TOWR_00_H_H_Z/MSEED"


@contextmanager
def serving(transport: str = "tcp", **options: object) -> Generator[tuple[Server, str]]:
    """Run a server; yield it and its address."""
    context = None
    if transport in ("tls", "wss"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    with Server(tls=context, **options) as server:  # type: ignore[arg-type]
        yield server, server.ws_url if transport in ("ws", "wss") else server.url


def fill(server: Server, count: int, sid: str = SID, first: int = 0) -> None:
    """Write packets whose data are their number."""
    for number in range(first, first + count):
        server.put(sid, number * 1000, number * 1000 + 999, b"%d" % number)


async def streamed(link: DataLink, count: int, start: str | None = None) -> list[DataPacket]:
    """Return *count* packets of a stream, however long they take, and what comes within a moment after them."""
    got: list[DataPacket] = []
    async with aclosing(link.stream(start, timeout_s=DEADLINE_S)) as packets:
        async for packet in packets:
            got.append(packet)
            if len(got) == count:
                break
    return got + [packet async for packet in link.stream(timeout_s=0.1)]
