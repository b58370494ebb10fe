"""Where ZMQTCPPublisher can publish, and what it says where it cannot."""

import asyncio
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.publisher import Publisher
from rawdaq.publishers.repeater import RepeaterPublisher
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from tests.helpers import ROOT
from tests.live import publishing


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ip": "0.0.0.0"}, "not a loopback address; use ip: 127.0.0.1, or mode: outbound"),
        ({"ip": "data.example.org"}, "not a loopback address"),
        ({"ip": "192.0.2.1", "mode": "outbound"}, "no interface of this machine has that address"),
    ],
)
async def test_address_that_cannot_be_used_is_refused_with_the_remedy(options: dict[str, Any], text: str) -> None:
    publisher = ZMQTCPPublisher(port=0, **options)
    with pytest.raises(ComponentError if "mode" in options else InvalidValue, match=text):
        await publisher.open()
    await publisher.aclose()


async def test_port_in_use_is_told_with_address_and_remedy() -> None:
    async with publishing() as first:
        second = ZMQTCPPublisher("127.0.0.1", first.port)
        with pytest.raises(ComponentError) as caught:
            await second.open()
    assert str(caught.value) == (
        f"cannot listen on {first.address}: Address already in use; "
        "another program uses it (`ss -lntup`, `ss -lx` show which): stop it, or take another port"
    )


async def test_host_that_nobody_knows_is_told_in_the_words_of_the_resolver() -> None:
    with pytest.raises(ComponentError, match=r"^cannot listen on tcp://no host:0: [A-Z].*; give an address"):
        await ZMQTCPPublisher("no host", 0, mode="outbound").open()


@pytest.mark.parametrize(
    ("options", "thing"),
    [
        ({"ip": "127.0.0.1", "port": 9004}, "tcp://127.0.0.1:9004"),
        ({"ip": "localhost", "port": 9004}, "tcp://127.0.0.1:9004"),
        ({"ip": "*", "port": 9004, "mode": "outbound"}, "tcp://0.0.0.0:9004"),
        ({"ip": "::1", "port": 9004}, "tcp://[::1]:9004"),
        ({"ip": "127.0.0.1", "port": 0}, None),
        ({"ip": "127.0.0.1", "port": 9004, "mode": "remote"}, None),
    ],
)
def test_only_one_publisher_can_have_an_address(options: dict[str, Any], thing: str | None) -> None:
    assert ZMQTCPPublisher.exclusive({"mode": "local"} | options) == thing


@pytest.mark.parametrize(
    ("options", "is_good"),
    [
        ({"ip": "127.0.0.1", "mode": "local"}, True),
        ({"ip": "0.0.0.0", "mode": "outbound"}, True),
        ({"ip": "192.0.2.1", "mode": "local"}, False),
    ],
)
def test_a_local_publisher_with_another_address_is_refused_before_anything_starts(
    options: dict[str, Any], is_good: bool
) -> None:
    assert (ZMQTCPPublisher.check_options(options) is None) == is_good


def test_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidValue, match="not local, outbound or remote"):
        ZMQTCPPublisher("127.0.0.1", 0, mode="global")  # type: ignore[arg-type] # what a user may write  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("ip", "mode", "address"),
    [("*", "outbound", "127.0.0.1"), ("localhost", "local", "127.0.0.1"), ("::1", "local", "::1")],
)
async def test_other_spellings_of_an_interface_are_understood(ip: str, mode: str, address: str) -> None:
    async with publishing(ip=ip, mode=mode) as publisher:
        _, writer = await asyncio.open_connection(address, publisher.port)
        writer.close()
        await writer.wait_closed()
        assert publisher.address == f"tcp://{'[::1]' if ip == '::1' else ip}:{publisher.port}"


@pytest.mark.parametrize("kind", [ZMQTCPPublisher, RepeaterPublisher])
def test_what_no_host_can_be_called_is_refused(kind: type[Publisher]) -> None:
    for ip in ("127.0.0.1:9", "300.1.1.1", "my..host", ""):
        _, mistakes = read_options(kind, {"ip": ip, "port": 9004, "send_output_mode": "all"}, ROOT)
        assert any("is no host name or address" in mistake.text for mistake in mistakes), ip
    for ip in ("*", "::", "eth0", "127.0.0.1"):
        _, mistakes = read_options(kind, {"ip": ip, "port": 9004}, ROOT)
        assert not any("is no host" in mistake.text for mistake in mistakes), ip
