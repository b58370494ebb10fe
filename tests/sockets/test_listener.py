"""TCP sockets that listen: their addresses, and what happens when the process has no descriptor left."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import AsyncGenerator, Callable

import pytest

from rawdaq.errors import ComponentError
from rawdaq.sockets import listener as module
from rawdaq.sockets.listener import Listener, listen
from tests import forks
from tests.helpers import until

LOG = logging.getLogger("rawdaq.test")


class Greeter(asyncio.Protocol):
    """Says hello."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"hello\n")
        transport.close()


@contextlib.asynccontextmanager
async def _listening(host: str = "127.0.0.1") -> AsyncGenerator[Listener]:
    made = await listen(Greeter, host, 0, "TCP here:0", LOG)
    try:
        yield made
    finally:
        made.close()
        made.close()
        await made.wait_closed()


async def _greeting(port: int, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    async with asyncio.timeout(20):
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


async def test_all_addresses_of_a_name_are_listened_on_with_one_port() -> None:
    found = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    async with _listening("localhost") as made:
        for host in found:
            if host != "::1" or _has_ipv6():
                assert await _greeting(made.port, str(host)) == b"hello\n"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_an_address_that_this_machine_does_not_have_is_left_out_when_another_one_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    missing = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.123", 0))
    found = [missing, there]

    async def getaddrinfo(*_: object, **__: object) -> object:
        return found

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        made = await listen(Greeter, "localhost", 0, "TCP here:0", LOG)
    assert await _greeting(made.port) == b"hello\n"
    made.close()
    found = [missing]
    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        with pytest.raises(ComponentError, match="Cannot assign requested address; no interface of this machine"):
            await listen(Greeter, "localhost", 0, "TCP here:0", LOG)


async def test_a_port_that_another_program_has_is_refused_and_nothing_stays_open() -> None:
    async with _listening() as made:
        with pytest.raises(ComponentError, match="cannot listen on TCP here: Address already in use; another program"):
            await listen(Greeter, "127.0.0.1", made.port, "TCP here", LOG)


def _exhausted(_: int) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _nearly_exhausted(_: int) -> tuple[int, int]:
    return 4, 4


@pytest.mark.parametrize(
    ("module_", "name", "fake", "reason"),
    [
        (os, "dup", _exhausted, "Too many open files"),
        (resource, "getrlimit", _nearly_exhausted, "hardly any open files are left for others"),
    ],
)
async def test_without_descriptors_connections_wait_and_are_served_later(
    module_: object,
    name: str,
    fake: Callable[[int], object],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.001)
    async with _listening() as made:
        with monkeypatch.context() as patch:
            patch.setattr(module_, name, fake)
            tries = 0
            retry = made._accept_again

            def counted() -> None:
                nonlocal tries
                tries += 1
                retry()

            patch.setattr(made, "_accept_again", counted)
            greeting = asyncio.create_task(_greeting(made.port))
            await until(lambda: tries > 5)
            assert not greeting.done()
        assert await greeting == b"hello\n"
        assert await _greeting(made.port) == b"hello\n"
    remedy = "raise the limit (ulimit -n; LimitNOFILE= in a unit of systemd)"
    assert caplog.messages == [
        f"{made.address}: connections have to wait: {reason}; {remedy}",
        f"{made.address} accepts connections again",
    ]


async def test_it_can_be_closed_while_connections_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, failures, is_later = asyncio.get_running_loop(), list[object](), asyncio.Event()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    monkeypatch.setattr(module, "_RETRY_S", 0.05)
    async with _listening() as made:
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", _exhausted)
            _, writer = await asyncio.open_connection("127.0.0.1", made.port)
            await until(lambda: made._waiting.is_on)
        writer.close()
    loop.call_later(2 * module._RETRY_S, is_later.set)
    await is_later.wait()
    assert failures == []


async def test_a_protocol_that_cannot_be_made_costs_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    made_of = iter([ValueError("no protocol"), None])

    def make() -> asyncio.Protocol:
        if error := next(made_of):
            raise error
        return Greeter()

    made = await listen(make, "127.0.0.1", 0, "TCP here:0", LOG)
    assert await _greeting(made.port) == b""
    assert await _greeting(made.port) == b"hello\n"
    assert caplog.messages == [f"TCP here:{made.port}: a connection was not made"]
    made.close()


def test_a_process_that_has_really_no_descriptor_left_goes_on() -> None:
    async def serve() -> None:
        logging.basicConfig(force=True)
        async with _listening() as made:
            address = ("127.0.0.1", made.port)
            with socket.socket() as waiting:
                resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
                spare = [os.dup(0)]
                with contextlib.suppress(OSError):
                    while True:
                        spare.append(os.dup(0))
                waiting.connect(address)
                await until(lambda: made._waiting.is_on)
                for each in spare:
                    os.close(each)
                waiting.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(waiting, 100) == b"hello\n"

    def main() -> int:
        asyncio.run(serve())
        return 0

    done = forks.run(main)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert "connections have to wait: Too many open files; raise the limit" in lines[0]
    assert lines[1].endswith(" accepts connections again")
