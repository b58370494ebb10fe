"""A connection to a server: what it does when the server does not."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from rawdaq.sockets.client.address import ServerAddress
from rawdaq.sockets.client.stream import ClientStream
from rawdaq.sockets.websocket import WebSocketBroken
from tests.datalink_links import serving
from tests.helpers import until


class Keeper(ClientStream):
    """Keeps what comes."""

    def __init__(self, address: ServerAddress, *more: object) -> None:
        super().__init__(address, *more)  # type: ignore[arg-type]
        self.kept: list[bytes] = []
        self.ends: list[Exception | None] = []

    def received(self, data: bytes) -> None:
        self.kept.append(data)

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def serving_with(serve: Serve) -> AsyncGenerator[ServerAddress]:
    """Run a server of one function."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serve(reader, writer)

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield ServerAddress("tcp", "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def test_bytes_go_both_ways_until_the_server_closes() -> None:
    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with serving_with(serve) as address:
        stream = Keeper(address)
        await stream.connect(5.0)
        assert not stream.is_message_based
        await until(lambda: stream.is_over)
        assert (b"".join(stream.kept), stream.ends) == (b"hello", [None])
        stream.write([b"too late"])
        await stream.aclose(1.0)
        await stream.aclose(1.0)


async def test_what_was_never_connected_can_be_closed() -> None:
    stream = ClientStream(ServerAddress("tcp", "127.0.0.1", 1))
    await stream.aclose(1.0)
    stream.abort()
    assert stream.transport is None


async def test_a_server_that_takes_nothing_is_waited_for_so_long_and_then_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stream = Keeper(ServerAddress("tcp", "127.0.0.1", listening.getsockname()[1]))
        await stream.connect(5.0)
        stream.write([bytes(20 << 20)])
        with pytest.raises(TimeoutError):
            await stream.drain(0.05)
        await stream.aclose(0.05)
        assert stream.is_over
        await stream.drain(0.05)


async def test_a_websocket_that_breaks_its_protocol_ends() -> None:
    with serving("ws") as (server, url):
        stream = Keeper(ServerAddress.parse(url, {"ws": 80}), ("DataLink1.1",), 200)
        await stream.connect(5.0)
        assert stream.is_message_based
        stream.write([b"DL\x04ID x", b"DL\x0bINFO STATUS"])
        await until(lambda: stream.is_over)
        assert stream.kept[0].startswith(b"DL")
        assert isinstance(stream.ends[0], WebSocketBroken)
        await stream.aclose(1.0)
        assert server.errors == []


async def test_a_websocket_that_has_said_farewell_takes_nothing_more() -> None:
    with serving("ws") as (server, url):
        stream = Keeper(ServerAddress.parse(url, {"ws": 80}))
        await stream.connect(5.0)
        closing = asyncio.create_task(stream.aclose(5.0))
        await asyncio.sleep(0)
        stream.write([b"DL\x04ID x"])
        await closing
        assert stream.is_over
        assert server.sessions[0].commands == []


async def test_a_server_that_closes_instead_of_agreeing_is_an_error() -> None:
    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving_with(serve) as address:
        with pytest.raises(OSError, match=r"the server closed the connection|reset"):
            await Keeper(ServerAddress("ws", address.host, address.port, "/")).connect(5.0)
