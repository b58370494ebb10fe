"""A RAW device written from the protocol's description alone: nothing of ours in it, so that it can contradict us."""

import asyncio
import contextlib
import struct
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from typing import NamedTuple

from rawdaq.times import to_calendar
from tests.helpers import wait_for


class Described(NamedTuple):
    """What the device says of a channel, as it goes over the wire."""

    rate: str = "100"
    order: str = "little"
    kind: str = "int32"


class Session(NamedTuple):
    """One connection of a plugin; *number* counts them from 0."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def line(self) -> str:
        """Return the next line."""
        return (await self.reader.readuntil(b"\n")).decode().removesuffix("\n")

    async def handshake(self, channels: Mapping[int, Described], version: str = "2.0") -> bool:
        """Answer as the original device does; False when it would have closed."""
        if await self.line() != f"RAW {version}":
            return False
        self.writer.write(f"RAW {version}\n".encode())
        while (word := await self.line()) == "CHANNEL":
            described = channels.get(int(await self.line()))
            if described is None:
                return False
            rate, order, kind = described
            self.writer.write(f"SAMPLING RATE\n{rate}\nSAMPLE ENDIANNESS\n{order}\nSAMPLE TYPE\n{kind}\n".encode())
        self.writer.write(b"STARTING\n")
        return word == "START"

    async def send(self, data: bytes) -> None:
        """Send *data* and wait until it has left."""
        self.writer.write(data)
        await self.writer.drain()

    async def until_closed(self) -> None:
        """Return when the plugin has closed the connection."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read()


def wire(channel: int, start_ns: int, payload: bytes, count: int, quality: int = 100) -> bytes:
    """Return a packet of version 2.0."""
    year, day, hour, minute, second, nanosecond = to_calendar(start_ns)
    head = struct.pack(">HHBBBIBHI", year, day, hour, minute, second, nanosecond // 1000, quality, channel, count)
    return head + payload


def wire_1(channel: int, start_ns: int, payload: bytes, count: int) -> bytes:
    """Return a packet of versions 1.0 and 1.1."""
    year, day, hour, minute, second, nanosecond = to_calendar(start_ns)
    return struct.pack(">HHBBBIII", year, day, hour, minute, second, nanosecond // 1000, channel, count) + payload


@contextlib.asynccontextmanager
async def fake_device(play: Callable[[Session], Awaitable[None]]) -> AsyncGenerator[int]:
    """Listen on a port of the system's choice and *play* for every connection; yield the port."""
    sessions: set[asyncio.Task[None]] = set()
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        task = asyncio.current_task()
        assert task is not None
        sessions.add(task)
        number, count = count, count + 1
        try:
            await play(Session(number, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            sessions.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        await server.wait_closed()


@contextlib.contextmanager
def device(play: Callable[[Session], Awaitable[None]]) -> Generator[int]:
    """Run an independent device in a thread of its own; yield its port."""
    ready: list[int] = []
    done = threading.Event()

    async def serve() -> None:
        async with fake_device(play) as port:
            ready.append(port)
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        wait_for(lambda: ready)
        yield ready[0]
    finally:
        done.set()
        thread.join()
