"""What both test modules of the ISI peers need: a filled server, and a client that sends what it is given."""

import asyncio
import contextlib
import struct

from tests.helpers import DEADLINE_S
from tests.isi import capture
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import Kind, Name, word

TOFS = capture.TOFS
COCO = Name("coco", "bhz", "20")


def filled(count: int = 3) -> IsiServerPeer:
    """Return a server with packets of a second for one stream, each followed by a gap of a second."""
    server = IsiServerPeer()
    for index in range(count):
        server.add(*COCO, TOFS + 2 * index, 10, range(10 * index, 10 * index + 10))
    return server


async def exchange(server: IsiServerPeer, data: bytes, expected: int = -1) -> bytes:
    """Send bytes to a server; return what it answers up to its end, or the first *expected* bytes."""
    async with server.listening() as port, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            return await (reader.readexactly(expected) if expected >= 0 else reader.read())
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def handshake(timeout_ms: int = 30000) -> bytes:
    return capture.HANDSHAKE.replace(word(30000), word(timeout_ms))


def causes(answer: bytes) -> list[int]:
    """Return what is in the ALERT frames of an answer; there must be nothing else after the handshake."""
    assert answer[: len(handshake())][:16] == handshake()[:16]
    frames = answer[len(handshake()) :]
    assert len(frames) % 28 == 0
    found = [struct.unpack(">4sIIII", frames[n : n + 20]) for n in range(0, len(frames), 28)]
    assert all((tag, kind, size) == (b"IACP", Kind.ALERT, 4) for tag, _, kind, size, _ in found)
    return [cause for *_, cause in found]
