"""ZMQReceiver logs whether it is connected, and why not, with sockets as they really behave."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from rawdaq.receivers.zmq_in.receiver import ZMQReceiver
from rawdaq.sockets.zeromq import connection_state
from rawdaq.sockets.zeromq import dialling as zmq_dialling
from rawdaq.sockets.zeromq import socket as zmq_socket
from tests.helpers import until
from tests.live import publishing, subscribed
from tests.makers import packet
from tests.names import NAME, Names
from tests.receivers.zmq_senders import ANY_PORT, address_of, is_bound, receiving, sending


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(connection_state, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(zmq_dialling, "_GIVEN_UP_S", 0.05)
    monkeypatch.setattr(zmq_socket, "_CHECK_S", 0.01)
    caplog.set_level("INFO", "rawdaq")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens, and says nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(30)
        yield opened


def shown(receiver: ZMQReceiver) -> dict[str, Any]:
    return receiver.endpoints[0].status()


async def test_a_dead_address_is_logged_and_then_the_connection(context: Any, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        async with receiving(address) as (receiver, _):
            await until(lambda: f"{address}: nothing answers there" in caplog.text)
            assert not shown(receiver)["connected"]
            assert "nothing answers there" in shown(receiver)["last_failure"]
            free.close()
            with context.socket(zmq.PUB) as publisher:
                publisher.bind(address)
                await until(lambda: f"connected to {address}" in caplog.messages)
                assert (shown(receiver)["connected"], shown(receiver)["last_failure"]) == (True, None)


async def test_another_protocol_is_logged(listener: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    async with receiving("tcp://{}:{}".format(*listener.getsockname())) as (receiver, _):
        listener.accept()[0].close()
        await until(lambda: "does not speak ZMQ with us" in caplog.text)
        assert not shown(receiver)["connected"]
        assert "does not speak ZMQ with us" in shown(receiver)["last_failure"]


async def test_a_restart_of_the_publisher_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with publishing() as publisher:
        async with receiving(publisher.address) as (receiver, items):
            await subscribed(publisher)
            await until(lambda: shown(receiver)["connected"])
            await publisher.aclose()
            await until(lambda: f"{publisher.address}: the connection has ended; trying again" in caplog.messages)
            assert not shown(receiver)["connected"]
            await publisher.open()
            await subscribed(publisher)
            await until(lambda: f"connected to {publisher.address} again after" in caplog.text)
            await publisher.deliver([packet()])
            await until(lambda: items)


async def test_a_socket_of_another_kind_is_logged_and_its_successor_is_found(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with sending(context, zmq.PUSH) as pusher:
        address = address_of(pusher)
        async with receiving(address) as (receiver, _):
            await until(lambda: f"{address}: a ZMQ socket of another kind listens there" in caplog.text)
            pusher.unbind(address)
            with context.socket(zmq.PUB) as publisher:
                await until(lambda: is_bound(publisher, address))
                await until(lambda: shown(receiver)["connected"])


async def test_a_publisher_that_sends_too_much_is_dialled_again(context: Any, caplog: pytest.LogCaptureFixture) -> None:
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher), raw=True, max_message_mb=0.001) as (_, items):
            for _ in range(2):
                await until(lambda: publisher.poll(0))
                while publisher.recv() != b"\x01":  # that the one before is gone comes first
                    await until(lambda: publisher.poll(0))
                publisher.send(b"good")
                publisher.send(bytes(2000))
            await until(lambda: items == [b"good"] * 2)
            await until(lambda: "a message that is too large (max_message_mb)" in caplog.text)


async def test_where_senders_connect_the_first_and_the_last_are_logged(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(ANY_PORT, pattern="pull", bind=True) as (receiver, _):
        address = receiver.endpoints[0].address
        await until(lambda: f"{address}: no peer is connected" in caplog.text)
        with sending(context, zmq.PUSH, address), sending(context, zmq.PUSH, address):
            await until(lambda: shown(receiver)["peers"] == 2)
            assert f"a peer is connected to {address}" in caplog.messages
        await until(lambda: f"{address}: the last peer has disconnected" in caplog.messages)
        assert not shown(receiver)["connected"]


async def test_a_publisher_that_moves_to_another_address_of_its_name_is_found(
    context: Any, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(sending(context, zmq.XPUB))
        port = address_of(first).rpartition(":")[2]
        address = f"tcp://{NAME}:{port}"
        async with receiving(address, raw=True) as (receiver, items):
            await until(lambda: shown(receiver)["connected"])
            first.recv()
            first.send(b"one")
            await until(lambda: items == [b"one"])
            first.close()
            await until(lambda: not shown(receiver)["connected"])
            second = stack.enter_context(context.socket(zmq.XPUB))
            second.linger, second.ipv6 = 0, True
            await until(lambda: is_bound(second, f"tcp://[::1]:{port}"))
            await until(lambda: shown(receiver)["connected"])
            second.recv()
            second.send(b"two")
            await until(lambda: items == [b"one", b"two"])
            await until(lambda: f"connected to {address} again after" in caplog.text)


async def test_a_name_that_cannot_be_resolved_is_logged_until_it_can(
    context: Any, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    found, names.addresses = names.addresses, []
    with sending(context, zmq.XPUB) as sender:
        async with receiving(f"tcp://{NAME}:{address_of(sender).rpartition(':')[2]}") as (receiver, _):
            await until(lambda: "the host name cannot be resolved" in caplog.text)
            assert "the host name cannot be resolved" in shown(receiver)["last_failure"]
            names.addresses = found
            await until(lambda: shown(receiver)["connected"])
