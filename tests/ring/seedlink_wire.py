"""A strict SeedLink client: sockets and struct, nothing of ours reads the bytes."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.helpers import DEADLINE_S
from tests.ring.records import number_of

HEADER_4 = struct.Struct("<2sccIQB")


@dataclass
class Got:
    """A packet.

    Attributes:
        kind: ``data``, ``info``, ``more`` (of a longer INFO answer) or ``end``.
        sequence: its number.
        data: what it holds.
        station: that version 4 names.
        format: and its format and subformat.
    """

    kind: str
    sequence: int = 0
    data: bytes = b""
    station: str = ""
    format: str = ""

    @property
    def number(self) -> int:
        """Which record it is, which must be as it was made."""
        return number_of(self.data)


class SeedLinkWire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *lines: str, end: str = "\r\n") -> None:
        """Send commands at once."""
        self.writer.write("".join(line + end for line in lines).encode())

    async def _exactly(self, size: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readexactly(size)

    async def line(self) -> str:
        """Return the next line, which must end with CR LF."""
        async with asyncio.timeout(DEADLINE_S):
            line = await self.reader.readuntil(b"\r\n")
        return line[:-2].decode()

    async def ask(self, command: str) -> str:
        """Send a command and return its reply."""
        self.send(command)
        return await self.line()

    async def ok(self, *commands: str) -> None:
        """Send commands, each of which must be accepted."""
        for command in commands:
            assert await self.ask(command) == "OK", command

    async def packet(self) -> Got:
        """Return the next packet of either version."""
        first = await self._exactly(3)
        if first == b"END":
            return Got("end")
        if first[:2] == b"SE":
            header = first + await self._exactly(HEADER_4.size - 3)
            _, packet_format, subformat, size, sequence, station_bytes = HEADER_4.unpack(header)
            station = (await self._exactly(station_bytes)).decode()
            data = await self._exactly(size)
            kind = "info" if packet_format == b"J" else "data"
            return Got(kind, sequence, data, station, (packet_format + subformat).decode())
        head = first + await self._exactly(5)
        data = await self._exactly(512)
        if head[:6] == b"SLINFO":
            return Got("more" if head[7:8] == b"*" else "info", data=data)
        assert head[:2] == b"SL", head
        assert head[2:] == head[2:].upper()
        return Got("data", int(head[2:], 16), data)

    async def records(self, count: int) -> list[Got]:
        """Return the next *count* data packets."""
        return [await self.packet() for _ in range(count)]

    async def numbers(self, count: int) -> list[int]:
        """Return which records come next."""
        return [each.number for each in await self.records(count)]

    async def until_end(self) -> list[Got]:
        """Return what comes before END."""
        found: list[Got] = []
        while (got := await self.packet()).kind != "end":
            found.append(got)
        return found

    async def info_3(self, level: str) -> str:
        """Return the XML of an INFO answer."""
        self.send(f"INFO {level}")
        text = b""
        while True:
            got = await self.packet()
            assert got.kind in ("info", "more"), got
            size, offset = struct.unpack_from(">30xH12xH", got.data)
            text += got.data[offset : offset + size]
            if got.kind == "info":
                return text.decode()

    async def info_4(self, item: str) -> dict[str, Any]:
        """Return the JSON of an INFO answer."""
        self.send(f"INFO {item}")
        got = await self.packet()
        assert (got.kind, got.sequence, got.station) == ("info", 0, "")
        found: dict[str, Any] = json.loads(got.data)
        return found

    async def is_closed(self) -> bytes:
        """Return what came before the server closed."""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""


@asynccontextmanager
async def seedlink(port: int, version: int = 3, ssl: Any = None) -> AsyncGenerator[SeedLinkWire]:
    """Connect, and choose a version."""
    host = "localhost" if ssl else "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, port, ssl=ssl, limit=1 << 24)
    wire = SeedLinkWire(reader, writer)
    try:
        if version == 4:
            await wire.ok("SLPROTO 4.0")
        yield wire
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def wanting(wire: SeedLinkWire, *lines: str) -> SeedLinkWire:
    """Send a handshake to its end."""
    await wire.ok(*lines)
    wire.send("END")
    return wire
