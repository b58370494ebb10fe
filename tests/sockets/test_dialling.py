"""A connection is opened again for ever: soon after one that was good, and more and more rarely after others."""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.sockets import dialling
from rawdaq.sockets.dialling import Backoff, Connection, Dialler, connect_to_any
from tests.helpers import DEADLINE_S, until
from tests.names import NAME, Names

LOG = logging.getLogger("rawdaq.test")


@given(st.integers(1, 2000))
def test_the_pause_between_attempts_doubles_with_jitter_up_to_its_maximum(failures: int) -> None:
    backoff = Backoff(0.5, 30.0)
    backoff.failures = failures - 1
    pause_s = backoff.next_s()
    planned_s = min(30.0, 0.5 * 2.0 ** min(failures - 1, 60))
    assert 0.8 * planned_s <= pause_s <= min(30.0, 1.2 * planned_s)
    assert backoff.failures == failures
    backoff.reset()
    assert backoff.next_s() <= 0.6


class Peer(Connection, asyncio.Protocol):
    """A connection that takes note of its end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.failure = exc
        self.closed.set_result(None)

    def abort(self) -> None:
        self._transport.abort()


class Useful(Peer):
    """A connection that is useful, whatever it brings."""

    def __init__(self) -> None:
        super().__init__()
        self.is_useful = True


@asynccontextmanager
async def dialled(
    port: int, backoff: Backoff, kind: type[Peer] = Peer, good_s: float = 60.0
) -> AsyncGenerator[Dialler[Peer]]:
    """Dial *port* until the end of the test."""
    dialler = Dialler(kind, "127.0.0.1", port, backoff, LOG, good_s)
    task = asyncio.ensure_future(dialler.run())
    try:
        yield dialler
    finally:
        dialler.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def device(accept: Callable[[asyncio.StreamWriter], None], port: int = 0) -> AsyncGenerator[int]:
    """Call *accept* with every connection, and close all of them at the end."""
    peers: list[asyncio.StreamWriter] = []
    is_over = False

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_over:  # it was accepted before the end, and comes after it
            writer.transport.abort()
            return
        peers.append(writer)
        accept(writer)

    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        is_over = True
        server.close()
        for peer in peers:
            peer.close()
        await asyncio.gather(*(peer.wait_closed() for peer in peers), return_exceptions=True)


def keep(_: asyncio.StreamWriter) -> None:
    """Leave the connection as it is."""


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what an operator reads, without the numbers of seconds."""
    return [re.sub(r"\d+\.\d s", "N s", each.getMessage()) for each in caplog.records if each.levelno > logging.DEBUG]


async def test_that_the_device_is_back_is_logged_after_every_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", LOG.name)
    async with AsyncExitStack() as stack:
        async with device(keep) as port:
            dialler = await stack.enter_async_context(dialled(port, Backoff(0.01, 0.02), Useful))
            await until(lambda: dialler.protocol)
        for count in (2, 3):
            failed = dialler.backoff.failures
            await until(lambda before=failed: dialler.backoff.failures > before + 3)  # type: ignore[misc]
            async with device(keep, port):
                await until(lambda number=count: dialler.connections == number and dialler.protocol)  # type: ignore[misc]
    address = f"127.0.0.1:{port}"
    closed = f"{address}: the other side closed the connection; trying again in N s"
    dead = f"{address}: nothing listens there: is the other side on, and are host and port right?; trying again in N s"
    again = f"connected to {address} again after N s"
    assert logged(caplog)[:7] == [f"connected to {address}", closed, dead, again, closed, dead, again]


async def test_a_device_that_takes_connections_and_closes_them_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", LOG.name)
    async with device(asyncio.StreamWriter.close) as port, dialled(port, Backoff(0.001, 0.002)) as dialler:
        await until(lambda: dialler.connections > 50)
    address = f"127.0.0.1:{port}"
    assert logged(caplog) == [
        f"connected to {address}",
        f"{address}: the other side closed the connection; trying again in N s",
        f"connected to {address} again after N s",
    ]


async def test_a_connection_that_lasts_after_many_that_did_not_is_logged_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", LOG.name)
    kept: list[asyncio.StreamWriter] = []

    def accept(writer: asyncio.StreamWriter) -> None:
        if dialler.connections > 5:
            kept.append(writer)
        else:
            writer.close()

    async with device(accept) as port, dialled(port, Backoff(0.001, 0.002), good_s=1.0) as dialler:
        await until(lambda: kept and len(logged(caplog)) == 4)
        kept[0].close()
        await until(lambda: len(logged(caplog)) > 4)
    address = f"127.0.0.1:{port}"
    assert logged(caplog)[3:5] == [
        f"connected to {address} again after N s",
        f"{address}: the other side closed the connection; trying again in N s",
    ]


async def test_a_connection_that_lasted_resets_the_pause_and_one_that_did_not_does_not() -> None:
    kept: list[asyncio.StreamWriter] = []

    def accept(writer: asyncio.StreamWriter) -> None:
        if dialler.connections > 5:
            kept.append(writer)
        else:
            writer.close()

    async with device(accept) as port, dialled(port, Backoff(0.001, 0.002), good_s=3600.0) as dialler:
        await until(lambda: kept)
        assert dialler.backoff.failures >= 5  # none of them was useful, nor did one last
        dialler.good_s = 0.0  # so that this one has lasted
        dialler.backoff.first_s = dialler.backoff.max_s = 3600.0
        kept[0].close()
        await until(lambda: dialler.protocol is None)
        await until(lambda: dialler.backoff.failures == 1)


async def test_a_useful_connection_starts_the_pauses_anew() -> None:
    async with device(asyncio.StreamWriter.close) as port, dialled(port, Backoff(0.001, 0.002), Useful) as dialler:
        await until(lambda: dialler.connections > 5)
        assert dialler.backoff.failures <= 1


async def test_a_pause_can_be_ended() -> None:
    async with device(asyncio.StreamWriter.close) as port, dialled(port, Backoff(3600.0, 3600.0)) as dialler:
        await until(lambda: dialler.backoff.failures == 1)
        dialler.hurry()
        await until(lambda: dialler.connections == 2)


async def test_a_stopped_dialler_leaves_its_connection_and_makes_no_other() -> None:
    kept: list[asyncio.StreamWriter] = []
    async with device(kept.append) as port:
        dialler = Dialler(Peer, "127.0.0.1", port, Backoff(), LOG)
        task = asyncio.ensure_future(dialler.run())
        await until(lambda: kept and dialler.protocol)
        dialler.stop()
        await asyncio.sleep(0)
        assert dialler.protocol is not None
        kept[0].close()
        await task
    assert dialler.connections == 1


async def test_an_invalid_host_name_is_a_failure_like_another(caplog: pytest.LogCaptureFixture) -> None:
    dialler = Dialler(Peer, "a" * 64 + ".example", 1, Backoff(3600.0), LOG)
    task = asyncio.ensure_future(dialler.run())
    await until(lambda: dialler.last_failure)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "the host name is invalid (label" in caplog.text


# --- names -----------------------------------------------------------------------------------------------------------


async def test_all_addresses_of_a_name_are_tried(names: Names) -> None:
    async with device(lambda writer: None) as port:
        transport, _ = await connect_to_any(asyncio.Protocol, NAME, port)
        assert transport.get_extra_info("peername") == ("127.0.0.1", port)
        transport.abort()


async def test_an_address_that_does_not_even_refuse_leaves_time_for_the_next(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        await (asyncio.Event().wait() if address[0] == "::1" else connect(sock, address))

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    monkeypatch.setattr(dialling, "_NEXT_ADDRESS_S", 0.01)
    async with device(lambda writer: None) as port, asyncio.timeout(DEADLINE_S):
        transport, _ = await connect_to_any(asyncio.Protocol, NAME, port)
        transport.abort()


async def test_the_last_address_says_why_none_takes_connections(names: Names) -> None:
    async with device(lambda writer: None) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await connect_to_any(asyncio.Protocol, NAME, port)


async def test_a_dialler_tries_all_addresses_each_time(names: Names) -> None:
    async with device(lambda writer: writer.close()) as port:
        dialler = Dialler(Peer, NAME, port, Backoff(0.0, 0.0), LOG)
        running = asyncio.ensure_future(dialler.run())
        await until(lambda: dialler.connections > 2)
        assert names.asked > 2
        dialler.stop()
        await running


async def test_an_address_is_connected_to_without_being_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with device(lambda writer: None) as port:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", None)
        transport, _ = await connect_to_any(asyncio.Protocol, "127.0.0.1", port)
        transport.abort()
