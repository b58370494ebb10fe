import asyncio

import pytest

from rawdaq.errors import ComponentError
from rawdaq.sockets.listening import StreamEndpoint, UdpEndpoint, listen


def test_addresses_read_as_addresses() -> None:
    assert StreamEndpoint(asyncio.Protocol, "::1", 5).address == "[::1]:5"
    assert UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 5).address == "127.0.0.1:5"


async def test_an_address_of_another_machine_is_refused_with_a_remedy() -> None:
    with pytest.raises(
        ComponentError,
        match=r"cannot listen on TCP 192\.0\.2\.123:\d+: .*; no interface of this machine has that address",
    ):
        await StreamEndpoint(asyncio.Protocol, "192.0.2.123", 4000).open()


async def test_an_error_without_a_number_is_found_by_binding_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_number(*args: object) -> None:
        raise OSError("could not bind on any address out of [('192.0.2.123', 4000)]")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", without_number)
    with pytest.raises(ComponentError, match="Cannot assign requested address; no interface of this machine"):
        await listen(asyncio.Protocol, "192.0.2.123", 4000, "TCP 192.0.2.123:4000")
    with pytest.raises(ComponentError, match="Cannot assign requested address"):  # it could be bound meanwhile
        await listen(asyncio.Protocol, "127.0.0.1", 0, "TCP 127.0.0.1:0")


async def test_a_datagram_endpoint_that_cannot_pause_is_left_alone() -> None:
    endpoint = UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 0)
    await endpoint.open()
    endpoint.hold("paused")
    assert endpoint.status()["held"] == ["paused"]
    endpoint.release("paused")
    await endpoint.aclose()
    await endpoint.aclose()
    await UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 0).aclose()
