import asyncio
import errno

import pytest

from rawdaq.errors import ComponentError
from rawdaq.sockets import endpoint as endpoints
from rawdaq.sockets.endpoint import StreamEndpoint, UdpEndpoint


def test_addresses_read_as_addresses() -> None:
    assert StreamEndpoint(asyncio.Protocol, "::1", 5).address == "[::1]:5"
    assert UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 5).address == "127.0.0.1:5"


async def test_an_address_of_another_machine_is_refused_with_a_remedy() -> None:
    with pytest.raises(
        ComponentError, match=r"cannot listen on TCP 192\.0\.2\.1:\d+: .*address exists on this machine"
    ):
        await StreamEndpoint(asyncio.Protocol, "192.0.2.1", 4000).open()


def test_privileged_ports_have_their_own_remedy() -> None:
    endpoint = StreamEndpoint(asyncio.Protocol, "127.0.0.1", 80)
    error = endpoints._cannot_listen("TCP", endpoint, PermissionError(errno.EACCES, "Permission denied"))
    assert "need privileges" in str(error)


async def test_a_datagram_endpoint_that_cannot_pause_is_left_alone() -> None:
    endpoint = UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 0)
    await endpoint.open()
    endpoint.hold("paused")
    assert endpoint.status()["held"] == ["paused"]
    endpoint.release("paused")
    await endpoint.aclose()
    await endpoint.aclose()
    await UdpEndpoint(asyncio.DatagramProtocol, "127.0.0.1", 0).aclose()
