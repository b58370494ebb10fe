"""A strict DataLink client: sockets, nothing of ours reads the bytes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tests.helpers import DEADLINE_S


class Said(NamedTuple):
    """What a server said."""

    words: list[str]
    data: bytes

    @property
    def kind(self) -> str:
        return self.words[0]

    @property
    def value(self) -> int:
        return int(self.words[1])


def framed(header: str, data: bytes = b"") -> bytes:
    """Return a packet."""
    words = header.encode()
    return b"DL" + bytes([len(words)]) + words + data


def write(sid: str, start_us: int, end_us: int, data: bytes, flags: str = "A", number: int | None = None) -> bytes:
    """Return a WRITE."""
    more = "" if number is None else f" {number}"
    return framed(f"WRITE {sid} {start_us} {end_us} {flags} {len(data)}{more}", data)


class DataLinkWire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *packets: bytes) -> None:
        """Send packets at once."""
        self.writer.write(b"".join(packets))

    async def hear(self) -> Said:
        """Return the next reply."""
        async with asyncio.timeout(DEADLINE_S):
            head = await self.reader.readexactly(3)
            assert head[:2] == b"DL"
            words = (await self.reader.readexactly(head[2])).decode().split(" ")
            at = {"OK": 2, "ERROR": 2, "INFO": 2, "PACKET": 6}.get(words[0])
            size = int(words[at]) if at is not None else 0
            return Said(words, await self.reader.readexactly(size))

    async def ask(self, header: str, data: bytes = b"") -> Said:
        """Send a command and return the reply."""
        self.send(framed(header, data))
        return await self.hear()

    async def ok(self, header: str, data: bytes = b"") -> int:
        """Send a command that must be accepted; return the value of the reply."""
        said = await self.ask(header, data)
        assert said.kind == "OK", said
        return said.value

    async def write(self, sid: str, start_us: int, end_us: int, data: bytes) -> int:
        """Write a packet and return its number."""
        self.send(write(sid, start_us, end_us, data))
        said = await self.hear()
        assert (said.kind, said.data) == ("OK", b""), said
        return said.value

    async def packets(self, count: int) -> list[Said]:
        """Return the next packets."""
        found = [await self.hear() for _ in range(count)]
        assert {each.kind for each in found} == {"PACKET"}, found
        return found

    async def is_closed(self) -> bytes:
        """Return what came before the server closed."""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""


@asynccontextmanager
async def datalink(port: int, ssl: Any = None) -> AsyncGenerator[DataLinkWire]:
    """Connect."""
    host = "localhost" if ssl else "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, port, ssl=ssl, limit=1 << 24)
    try:
        yield DataLinkWire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
