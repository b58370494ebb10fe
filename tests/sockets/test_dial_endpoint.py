"""The socket of a receiver that connects to its device: read while there is room, and to the last byte at the end."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from rawdaq.sockets.dial_endpoint import DialEndpoint, DialledProtocol, waiting_bytes
from rawdaq.sockets.dialling import Backoff
from tests.helpers import DEADLINE_S, until

LOG = logging.getLogger("rawdaq.test")


async def test_a_connection_is_not_read_while_anything_holds_it() -> None:
    got: list[bytes] = []

    class Reader(DialledProtocol):
        def received(self, chunk: bytes | memoryview) -> None:
            got.append(bytes(chunk))

    peers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: peers.append(writer), "127.0.0.1", 0)
    endpoint = DialEndpoint(Reader, "127.0.0.1", server.sockets[0].getsockname()[1], Backoff(0.01, 0.02), LOG)
    endpoint.hold("full")
    endpoint.hold("paused")
    task = asyncio.ensure_future(endpoint.run())
    await until(lambda: peers and endpoint.protocol)
    peers[0].write(b"data")
    await peers[0].drain()
    endpoint.release("full")
    for _ in range(10):
        await asyncio.sleep(0)
    assert got == []
    endpoint.release("paused")
    await until(lambda: got == [b"data"])
    await endpoint.aclose()
    task.cancel()
    for peer in peers:
        peer.close()
    server.close()
    await asyncio.gather(task, *(peer.wait_closed() for peer in peers), return_exceptions=True)


async def test_a_held_connection_is_not_blamed_for_its_silence() -> None:
    class Reader(DialledProtocol):
        def __init__(self) -> None:
            super().__init__(timeout_s=0.05)

    peers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: peers.append(writer), "127.0.0.1", 0)
    endpoint = DialEndpoint(Reader, "127.0.0.1", server.sockets[0].getsockname()[1], Backoff(60.0, 60.0), LOG)
    endpoint.hold("full")
    task = asyncio.ensure_future(endpoint.run())
    await until(lambda: endpoint.protocol)
    end_s = asyncio.get_running_loop().time() + 0.2
    await until(lambda: asyncio.get_running_loop().time() > end_s)
    assert endpoint.last_failure is None
    endpoint.release("full")
    await until(lambda: endpoint.last_failure == "sent nothing for 0.05 s")
    task.cancel()
    for peer in peers:
        peer.close()
    server.close()
    await asyncio.gather(task, *(peer.wait_closed() for peer in peers), return_exceptions=True)


class Reader(DialledProtocol):
    """Keeps what it gets, and gives up at what is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""

    def received(self, chunk: bytes | memoryview) -> None:
        self.got += chunk
        if b"wrong" in self.got:
            self.fail(ValueError("that is wrong"))


@contextlib.asynccontextmanager
async def held(data: bytes) -> AsyncGenerator[tuple[DialEndpoint, Reader, asyncio.StreamWriter]]:
    """Yield an endpoint that is held while *data* wait in its socket, its connection, and the peer's side of that."""
    peers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: peers.append(writer), "127.0.0.1", 0)
    reader: list[Reader] = []

    def make() -> Reader:
        reader.append(Reader())
        return reader[-1]

    endpoint = DialEndpoint(make, "127.0.0.1", server.sockets[0].getsockname()[1], Backoff(60.0, 60.0), LOG)
    endpoint.hold("full")
    task = asyncio.ensure_future(endpoint.run())
    await until(lambda: peers and endpoint.protocol)
    peers[0].write(data)
    await until(lambda: waiting_bytes(reader[0].transport.get_extra_info("socket")) == len(data))
    try:
        yield endpoint, reader[0], peers[0]
    finally:
        await endpoint.aclose()
        peers[0].close()
        server.close()
        await asyncio.gather(task, peers[0].wait_closed(), return_exceptions=True)


async def test_what_had_arrived_before_the_end_is_read_when_there_is_room_and_nothing_that_came_later() -> None:
    async with held(b"before") as (endpoint, reader, peer):
        reading = asyncio.ensure_future(endpoint.read_out(DEADLINE_S))
        await asyncio.sleep(0)
        peer.write(b"after")
        await until(lambda: waiting_bytes(reader.transport.get_extra_info("socket")) == len(b"beforeafter"))
        assert reader.got == b""
        endpoint.release("full")
        assert await reading is None
        assert reader.got == b"before"


async def test_where_nothing_had_arrived_the_end_comes_at_once() -> None:
    async with held(b"") as (endpoint, reader, _):
        assert await endpoint.read_out(DEADLINE_S) is None
        assert reader.transport.is_closing()


async def test_what_had_arrived_and_finds_no_room_in_time_is_reported() -> None:
    async with held(b"before") as (endpoint, reader, _):
        told = f"6 bytes that {endpoint.address} had sent are lost: not read within 0.01 s of stopping (full)"
        assert await endpoint.read_out(0.01) == told
        assert reader.transport.is_closing()


async def test_what_is_wrong_in_the_last_bytes_is_logged_and_ends_them(caplog: pytest.LogCaptureFixture) -> None:
    async with held(b"wrong") as (endpoint, _, _):
        endpoint.release("full")
        assert await endpoint.read_out(DEADLINE_S) is None
    assert "that is wrong" in caplog.text


async def test_an_endpoint_without_a_connection_has_nothing_to_read() -> None:
    assert await DialEndpoint(Reader, "127.0.0.1", 1, Backoff(), LOG).read_out(DEADLINE_S) is None


async def test_what_was_read_is_not_overwritten_by_what_another_connection_reads() -> None:
    async with held(b"first") as (endpoint, first, _), held(b"second, and more") as (other, second, _):
        endpoint.release("full")
        await until(lambda: first.got)
        other.release("full")
        await until(lambda: second.got)
        assert (first.got, second.got) == (b"first", b"second, and more")


async def test_a_read_that_fills_half_of_the_memory_takes_it_away_and_a_small_one_is_copied() -> None:
    chunks: list[bytes | memoryview] = []

    class Keeper(DialledProtocol):
        def received(self, chunk: bytes | memoryview) -> None:
            chunks.append(chunk)

    protocol = Keeper()
    size_bytes = len(protocol.get_buffer(-1))
    for index, count in enumerate([5, size_bytes, size_bytes // 2, size_bytes // 2 + 1, 1]):
        protocol.get_buffer(-1)[:count] = bytes([index]) * count
        protocol.buffer_updated(count)
    assert [isinstance(chunk, bytes) for chunk in chunks] == [True, False, True, False, True]
    assert all(set(chunk) == {index} for index, chunk in enumerate(chunks))
    assert all(memoryview(chunk).readonly for chunk in chunks)


async def test_memory_that_nothing_refers_to_any_more_is_read_into_again() -> None:
    held: deque[memoryview] = deque(maxlen=2)
    seen: set[int] = set()

    class Keeper(DialledProtocol):
        def received(self, chunk: bytes | memoryview) -> None:
            held.append(memoryview(chunk)[10:])

    protocol = Keeper()
    for index in range(20):
        buffer = protocol.get_buffer(-1)
        buffer[:] = bytes([index]) * len(buffer)
        seen.add(np.frombuffer(buffer, np.uint8).ctypes.data)
        del buffer
        protocol.buffer_updated(len(protocol.get_buffer(-1)))
        assert [each[-1] for each in held] == list(range(max(0, index - 1), index + 1))
    assert len(seen) < 10
