import asyncio
import contextlib
import errno
import logging
import re
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.sockets import dialling
from rawdaq.sockets.dialling import DialEndpoint, DialledProtocol, Reconnect
from tests.helpers import DEADLINE_S, until

LOG = logging.getLogger("rawdaq.test")


@given(st.integers(1, 10_000))
def test_the_pause_between_attempts_doubles_with_jitter_up_to_its_maximum(failures: int) -> None:
    delay_s = Reconnect(0.5, 30.0).delay_s(failures)
    planned_s = min(30.0, 0.5 * 2.0 ** min(failures - 1, 60))
    assert 0.8 * planned_s <= delay_s <= min(30.0, 1.2 * planned_s)


async def test_a_connection_is_not_read_while_anything_holds_it() -> None:
    got: list[bytes] = []

    class Reader(DialledProtocol):
        def received(self, chunk: memoryview) -> None:
            got.append(bytes(chunk))

    peers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: peers.append(writer), "127.0.0.1", 0)
    endpoint = DialEndpoint(Reader, "127.0.0.1", server.sockets[0].getsockname()[1], Reconnect(0.01, 0.02), LOG)
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
    endpoint = DialEndpoint(Reader, "127.0.0.1", server.sockets[0].getsockname()[1], Reconnect(60.0, 60.0), LOG)
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


@asynccontextmanager
async def dialled(
    port: int, reconnect: Reconnect, is_useful: bool = False, good_s: float = 60.0
) -> AsyncGenerator[DialEndpoint]:
    """Dial *port* for ever; *is_useful*: whatever connection there is."""

    class Peer(DialledProtocol):
        def connected(self) -> None:
            self.is_useful = is_useful

    endpoint = DialEndpoint(Peer, "127.0.0.1", port, replace(reconnect, good_s=good_s), LOG)
    task = asyncio.ensure_future(endpoint.run())
    try:
        yield endpoint
    finally:
        await endpoint.aclose()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def device(accept: Callable[[asyncio.StreamWriter], None], port: int = 0) -> AsyncGenerator[int]:
    """Call *accept* with every connection, and close all of them at the end."""
    peers: list[asyncio.StreamWriter] = []

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer)
        accept(writer)

    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for peer in peers:
            peer.close()
        await asyncio.gather(*(peer.wait_closed() for peer in peers), return_exceptions=True)


def keep(_: asyncio.StreamWriter) -> None:
    """Leave the connection as it is."""


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what an operator reads, without the numbers of seconds."""
    return [re.sub(r"\d+\.\d s", "N s", each.getMessage()) for each in caplog.records if each.levelno > logging.DEBUG]


async def test_that_the_device_is_back_is_told_after_an_outage_of_any_length(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", LOG.name)
    async with AsyncExitStack() as stack:
        async with device(keep) as port:
            endpoint = await stack.enter_async_context(dialled(port, Reconnect(0.01, 0.02), is_useful=True))
            await until(lambda: endpoint.protocol)
        for count in (2, 3):
            failed = endpoint.failures
            await until(lambda before=failed: endpoint.failures > before + 3)  # type: ignore[misc]
            async with device(keep, port):
                await until(lambda number=count: endpoint.connections == number and endpoint.protocol)  # type: ignore[misc]
    address = f"127.0.0.1:{port}"
    closed = f"{address}: the device closed the connection; trying again in N s"
    dead = f"{address}: nothing listens there: is the device on, and are host and port right?; trying again in N s"
    again = f"connected to {address} again after N s"
    assert told(caplog)[:7] == [f"connected to {address}", closed, dead, again, closed, dead, again]


async def test_a_device_that_takes_connections_and_closes_them_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", LOG.name)
    async with device(asyncio.StreamWriter.close) as port, dialled(port, Reconnect(0.001, 0.002)) as endpoint:
        await until(lambda: endpoint.connections > 50)
    address = f"127.0.0.1:{port}"
    assert told(caplog) == [
        f"connected to {address}",
        f"{address}: the device closed the connection; trying again in N s",
        f"connected to {address} again after N s",
    ]


async def test_a_connection_that_lasts_after_many_that_did_not_is_told_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", LOG.name)
    kept: list[asyncio.StreamWriter] = []

    def accept(writer: asyncio.StreamWriter) -> None:
        if endpoint.connections > 5:
            kept.append(writer)
        else:
            writer.close()

    async with device(accept) as port, dialled(port, Reconnect(0.001, 0.002), good_s=1.0) as endpoint:
        await until(lambda: kept and len(told(caplog)) == 4)
        kept[0].close()
        await until(lambda: len(told(caplog)) > 4)
    address = f"127.0.0.1:{port}"
    assert told(caplog)[3:5] == [
        f"connected to {address} again after N s",
        f"{address}: the device closed the connection; trying again in N s",
    ]


class Reader(DialledProtocol):
    """Keeps what it gets, and gives up at what is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""

    def received(self, chunk: memoryview) -> None:
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

    endpoint = DialEndpoint(make, "127.0.0.1", server.sockets[0].getsockname()[1], Reconnect(60.0, 60.0), LOG)
    endpoint.hold("full")
    task = asyncio.ensure_future(endpoint.run())
    await until(lambda: peers and endpoint.protocol)
    peers[0].write(data)
    await until(lambda: dialling._waiting_bytes(reader[0].transport.get_extra_info("socket")) == len(data))
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
        await until(lambda: dialling._waiting_bytes(reader.transport.get_extra_info("socket")) == len(b"beforeafter"))
        assert reader.got == b""
        endpoint.release("full")
        assert await reading is None
        assert reader.got == b"before"


async def test_where_nothing_had_arrived_the_end_comes_at_once() -> None:
    async with held(b"") as (endpoint, reader, _):
        assert await endpoint.read_out(DEADLINE_S) is None
        assert reader.transport.is_closing()


async def test_what_had_arrived_and_finds_no_room_in_time_is_told() -> None:
    async with held(b"before") as (endpoint, reader, _):
        told = f"6 bytes that {endpoint.address} had sent are lost: not read within 0.01 s of stopping (full)"
        assert await endpoint.read_out(0.01) == told
        assert reader.transport.is_closing()


async def test_what_is_wrong_in_the_last_bytes_is_told_and_ends_them(caplog: pytest.LogCaptureFixture) -> None:
    async with held(b"wrong") as (endpoint, _, _):
        endpoint.release("full")
        assert await endpoint.read_out(DEADLINE_S) is None
    assert "that is wrong" in caplog.text


async def test_an_endpoint_without_a_connection_has_nothing_to_read() -> None:
    assert await DialEndpoint(Reader, "127.0.0.1", 1, Reconnect(), LOG).read_out(DEADLINE_S) is None


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (None, "the device closed the connection"),
        (TimeoutError(), "no answer within 10 s"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved (Name or service not known)"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to it"),
        (OSError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (OSError("Multiple exceptions"), "Multiple exceptions"),
        (ValueError("what the codec says"), "what the codec says"),
    ],
)
def test_a_failure_is_told_in_an_operators_words(failure: Exception | None, words: str) -> None:
    assert words in dialling._reason(failure)
