import asyncio

import pytest

from rawdaq.errors import ComponentError
from rawdaq.sockets.listening import StreamEndpoint, UdpEndpoint


def test_addresses_read_as_addresses() -> None:
    assert StreamEndpoint(asyncio.Protocol, "::1", 5).address == "[::1]:5"
    assert UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 5).address == "127.0.0.1:5"


async def test_an_address_of_another_machine_is_refused_with_a_remedy() -> None:
    with pytest.raises(
        ComponentError,
        match=r"cannot listen on TCP 192\.0\.2\.123:\d+: .*; no interface of this machine has that address",
    ):
        await StreamEndpoint(asyncio.Protocol, "192.0.2.123", 4000).open()


async def test_a_datagram_endpoint_that_cannot_pause_is_left_alone() -> None:
    endpoint = UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 0)
    await endpoint.open()
    endpoint.hold("paused")
    assert endpoint.status()["held"] == ["paused"]
    endpoint.release("paused")
    await endpoint.aclose()
    await endpoint.aclose()
    await UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 0).aclose()
