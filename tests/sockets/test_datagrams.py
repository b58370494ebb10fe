"""The UDP socket of a receiver: what arrives is handed on in bursts, what is lost is told."""

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from rawdaq.errors import ComponentError
from rawdaq.sockets import datagrams
from rawdaq.sockets.datagrams import Burst, DatagramEndpoint, DatagramOptions, enlarge_buffer, read_burst
from tests.helpers import until

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what it drops")
LOG = logging.getLogger("rawdaq.receivers.test")


class Kept:
    """Takes bursts, as a receiver does."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.bursts = 0

    def take(self, endpoint: DatagramEndpoint, burst: Burst) -> None:
        self.bursts += 1
        for indices, joined in burst.groups():
            size = len(joined) // len(indices)
            self.datagrams += [joined[at * size : (at + 1) * size] for at in range(len(indices))]


@contextlib.asynccontextmanager
async def listening(
    host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AsyncGenerator[tuple[DatagramEndpoint, Kept]]:
    kept = Kept()
    options.setdefault("buffer_bytes", 200_000)
    endpoint = DatagramEndpoint(host, port, DatagramOptions(**options), kept.take, LOG)
    await endpoint.open()
    try:
        yield endpoint, kept
    finally:
        await endpoint.aclose()
        await endpoint.aclose()


def send(port: int, *sent: bytes, host: str = "127.0.0.1") -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in sent:
            sender.sendto(datagram, (host, port))


async def test_what_waits_is_handed_on_at_once() -> None:
    async with listening() as (endpoint, kept):
        assert endpoint.address == f"127.0.0.1:{endpoint.port}"
        send(endpoint.port, b"a", b"bc", b"")
        await until(lambda: len(kept.datagrams) == 3)
        assert kept.datagrams == [b"a", b"bc", b""]
        assert kept.bursts == 1
        shown = endpoint.status()
    assert (shown["datagrams"], shown["bytes"], shown["held"]) == (3, 3, [])
    assert shown["receive_buffer_bytes"] == 200_000 or sys.platform != "linux"
    assert shown["kernel_drops"] == (0 if sys.platform == "linux" else None)
    assert endpoint.transports() == []


async def test_while_it_is_held_datagrams_wait_in_the_system() -> None:
    async with listening() as (endpoint, kept):
        endpoint.hold("paused")
        endpoint.hold("a publisher is full")
        send(endpoint.port, b"a")
        endpoint.release("paused")
        for _ in range(10):
            await asyncio.sleep(0)
        assert kept.datagrams == []
        endpoint.release("a publisher is full")
        await until(lambda: kept.datagrams == [b"a"])


async def test_a_hold_before_it_is_open_holds_too() -> None:
    kept = Kept()
    endpoint = DatagramEndpoint("127.0.0.1", 0, DatagramOptions(100_000), kept.take, LOG)
    endpoint.hold("paused")
    await endpoint.open()
    send(endpoint.port, b"a")
    for _ in range(10):
        await asyncio.sleep(0)
    assert kept.datagrams == []
    endpoint.release("paused")
    await until(lambda: kept.datagrams)
    await endpoint.aclose()


async def test_closing_takes_what_has_arrived() -> None:
    async with listening() as (endpoint, kept):
        send(endpoint.port, *[b"x"] * 300)
    assert len(kept.datagrams) == 300


@linux_only
async def test_closing_while_held_tells_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as (endpoint, kept):
        endpoint.hold("paused")
        send(endpoint.port, b"x")
    assert kept.datagrams == []
    assert "bytes still wait in its buffer: they are lost" in caplog.text


async def test_an_address_that_cannot_be_used_is_told_with_a_remedy() -> None:
    async with listening() as (endpoint, _):
        with pytest.raises(ComponentError, match=rf"UDP 127\.0\.0\.1:{endpoint.port}: .*; another program uses it"):
            await DatagramEndpoint("127.0.0.1", endpoint.port, DatagramOptions(), Kept().take, LOG).open()
    with pytest.raises(ComponentError, match=r"no interface of this machine has that address"):
        await DatagramEndpoint("192.0.2.1", 0, DatagramOptions(), Kept().take, LOG).open()
    with pytest.raises(ComponentError, match=r"cannot listen on UDP no.such.host.invalid:0: .*; give an address"):
        await DatagramEndpoint("no.such.host.invalid", 0, DatagramOptions(), Kept().take, LOG).open()


# --- buffer --------------------------------------------------------------------------------------------------------


async def test_a_buffer_smaller_than_asked_for_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def grant_less(sock: socket.socket, wanted_bytes: int) -> int:
        return 212_992

    monkeypatch.setattr(datagrams, "enlarge_buffer", grant_less)
    async with listening(buffer_bytes=32_000_000) as (endpoint, _):
        assert endpoint.status()["receive_buffer_bytes"] == 212_992
    (line,) = caplog.messages
    assert "the system granted a buffer of 0.213 MB instead of 32.000 MB" in line
    assert ("sysctl -w net.core.rmem_max=32000000" if sys.platform == "linux" else "kern.ipc.maxsockbuf") in line


class Stubborn:
    """A socket of a system with limits."""

    def __init__(self, limit_bytes: int, *, refuses: bool) -> None:
        self.limit_bytes, self.refuses = limit_bytes, refuses
        self.granted_bytes = 1000

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if option == 33:
            raise PermissionError
        if value > self.limit_bytes and self.refuses:
            raise OSError(errno.ENOBUFS, "no buffer space")
        self.granted_bytes = min(value, self.limit_bytes)

    def getsockopt(self, level: int, option: int) -> int:
        return self.granted_bytes * (1 if self.refuses else 2)


def test_without_privileges_the_limit_of_the_system_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_IS_LINUX", True)
    sock: Any = Stubborn(212_992, refuses=False)
    assert enlarge_buffer(sock, 32_000_000) == 212_992
    assert enlarge_buffer(sock, 100_000) == 100_000


def test_where_the_system_refuses_less_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_IS_LINUX", False)
    sock: Any = Stubborn(8_000_000, refuses=True)
    assert enlarge_buffer(sock, 32_000_000) == 8_000_000
    never: Any = Stubborn(0, refuses=True)
    assert enlarge_buffer(never, 32_000_000) == 1000


# --- drops of the system -------------------------------------------------------------------------------------------


@linux_only
async def test_what_the_system_drops_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(buffer_bytes=4096) as (endpoint, kept):
        caplog.clear()

        async def overflow() -> int:
            before = len(kept.datagrams)
            endpoint.hold("busy")
            send(endpoint.port, *[bytes(1000)] * 100)
            endpoint.release("busy")
            await until(lambda: len(kept.datagrams) > before)
            await until(lambda: (endpoint.kernel_drops() or 0) + len(kept.datagrams) in (100, 200))
            return endpoint.kernel_drops() or 0

        first = await overflow()
        assert 0 < first < 100
        assert endpoint.status()["kernel_drops"] == first
        endpoint.log_drops()
        endpoint.log_drops()
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith(f"the system dropped {first} datagrams at UDP 127.0.0.1:{endpoint.port}")
        assert "receive_buffer_mb" in caplog.messages[0]
        second = await overflow()
    assert f"dropped {second - first} datagrams" in caplog.messages[1]
    assert endpoint.kernel_drops() == second


async def test_drops_are_watched_and_logged_once_in_an_interval(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(datagrams, "_CHECK_S", 0.001)
    monkeypatch.setattr(datagrams, "_IS_LINUX", True)

    drops = 0

    def dropping(sock: socket.socket) -> tuple[int, ...]:
        nonlocal drops
        drops += 7
        return (0,) * 8 + (drops,)

    monkeypatch.setattr(datagrams, "_meminfo", dropping)
    async with listening() as (endpoint, _):
        task = asyncio.ensure_future(endpoint.run())
        await until(lambda: endpoint.kernel_drops() and drops > 70)
        assert sum("the system dropped" in line for line in caplog.messages) == 1
        task.cancel()
        await asyncio.wait([task])


async def test_where_the_system_does_not_tell_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_IS_LINUX", False)
    async with listening() as (endpoint, kept):
        assert endpoint.status()["kernel_drops"] is None
        send(endpoint.port, b"x")
        await until(lambda: kept.datagrams)


async def test_an_error_of_the_socket_is_told_and_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [OSError(errno.ENETDOWN, "Network is down")]

    def flaky(sock: socket.socket, buffer: memoryview) -> Burst | None:
        if errors:
            raise errors.pop()
        return read_burst(sock, buffer)

    monkeypatch.setattr(datagrams, "read_burst", flaky)
    async with listening() as (endpoint, kept):
        send(endpoint.port, b"x")
        await until(lambda: kept.datagrams)
    assert "Network is down" in caplog.text


# --- multicast -----------------------------------------------------------------------------------------------------

LOOPBACK = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


def interface_for(group: str) -> str:
    """Return an interface that carries *group*; its scope is such that nothing leaves this machine."""
    for _, name in socket.if_nameindex():
        with contextlib.suppress(OSError):
            send_to_group(group, 9, b"", name)
            return name
    pytest.skip(f"no interface of this machine carries {group}")


def send_to_group(group: str, port: int, datagram: bytes, interface: str = LOOPBACK) -> None:
    index = socket.if_nametoindex(interface)
    if ":" in group:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            sender.sendto(datagram, (group, port))
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            request = bytes(8) + index.to_bytes(4, sys.byteorder)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            sender.sendto(datagram, (group, port))


@linux_only
@pytest.mark.parametrize(
    ("host", "groups", "other"),
    [("0.0.0.0", ["239.255.77.1", "239.255.77.2"], "239.255.77.3"), ("::", ["ff11::7701", "ff11::7702"], "ff11::7703")],
)
async def test_groups_are_joined_and_no_others(host: str, groups: list[str], other: str) -> None:
    name = interface_for(other)
    async with (
        listening(host, groups=groups, interface=name) as (endpoint, kept),
        listening(host, endpoint.port, groups=[other], interface=name) as (_, elsewhere),
    ):
        for group in (*groups, other):
            send_to_group(group, endpoint.port, group.encode(), name)
        await until(lambda: len(kept.datagrams) == 2 and len(elsewhere.datagrams) == 1)
    assert kept.datagrams == [group.encode() for group in groups]
    assert elsewhere.datagrams == [other.encode()]


async def test_an_interface_that_is_not_there_is_told() -> None:
    with pytest.raises(
        ComponentError,
        match=r"give an address, and an interface, of this machine|there is no such",
    ):
        async with listening("0.0.0.0", groups=["239.255.77.1"], interface="nothere0"):
            pass


@linux_only
async def test_a_system_without_the_option_to_leave_out_other_groups_serves_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datagrams, "_IP_MULTICAST_ALL", 9999)
    async with listening("0.0.0.0", groups=["239.255.77.1"], interface=LOOPBACK) as (endpoint, kept):
        send_to_group("239.255.77.1", endpoint.port, b"x")
        await until(lambda: kept.datagrams)


async def test_on_another_system_than_linux_groups_are_joined_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_IS_LINUX", False)
    async with listening("0.0.0.0", groups=["239.255.77.1"], interface=LOOPBACK) as (endpoint, kept):
        send_to_group("239.255.77.1", endpoint.port, b"x")
        await until(lambda: kept.datagrams)
