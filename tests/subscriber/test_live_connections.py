"""How a Subscriber finds its publishers, knows those that do not answer, and comes back to them."""

import asyncio
import socket
import threading

import pytest
import zmq

from rawdaq.sockets.zeromq import dialling as zmq_dialling
from rawdaq.sockets.zeromq import socket as zmq_socket
from rawdaq.subscriber import Subscriber, connections
from tests.helpers import DEADLINE_S, wait_for
from tests.live import publishing, subscribed
from tests.makers import packet
from tests.names import NAME, Names
from tests.subscriber.feeds import Feed


def test_publishers_that_have_not_answered_are_known(feed: Feed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stranger = "tcp://{}:{}".format(*silent.getsockname())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            absent = "tcp://{}:{}".format(*free.getsockname())
        with Subscriber([feed.address, stranger, absent]) as subscriber:
            feed.await_subscriber()
            assert subscriber.receive(0.01) is None
            wait_for(lambda: subscriber.unanswered() == {stranger: True, absent: False})
    assert subscriber.unanswered() == {}


def test_a_peer_that_refuses_again_and_again_does_not_stop_zmq(feed: Feed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as refusing, Subscriber("tcp://127.0.0.1:1") as subscriber:
        refusing.settimeout(30)
        (publisher,) = subscriber._publishers
        publisher._socket.setsockopt(zmq.RECONNECT_IVL, 1)
        publisher._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1)
        publisher._socket.connect("tcp://{}:{}".format(*refusing.getsockname()))
        for _ in range(800):
            refusing.accept()[0].close()
            subscriber.receive(0)


@pytest.mark.parametrize("order", [["::1", "127.0.0.1"], ["2001:db8::1", "127.0.0.1"]])
def test_all_addresses_of_a_name_are_tried(
    feed: Feed, names: Names, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_socket, "_CONNECT_MS", 100)
    names.addresses = order
    with Subscriber(feed.address.replace("127.0.0.1", NAME)) as subscriber:
        subscriber.open()
        reading = threading.Thread(target=feed.await_subscriber)
        reading.start()
        while reading.is_alive():
            assert subscriber.receive(0.05) is None
        feed.send(packet())
        assert subscriber.receive(30) == packet()
        assert subscriber.unanswered() == {}


async def test_an_async_reader_tries_all_addresses_of_a_name(names: Names) -> None:
    async with publishing() as publisher:
        async with Subscriber(publisher.address.replace("127.0.0.1", NAME)) as subscriber:
            reading = asyncio.create_task(subscriber.areceive(30))
            await subscribed(publisher)
            await publisher.deliver([packet()])
            assert await reading == packet()


def test_a_name_that_is_not_found_keeps_no_reader_waiting(names: Names) -> None:
    names.delay.clear()
    with Subscriber(f"tcp://{NAME}:9004") as subscriber:
        assert subscriber.receive(0.01) is None
        assert subscriber.unanswered() == {f"tcp://{NAME}:9004": False}
    names.delay.set()


def test_a_message_that_is_too_large_ends_nothing_for_ever_and_is_told(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_MAX_MESSAGE_BYTES", 1 << 20)
    monkeypatch.setattr(zmq_dialling, "_GIVEN_UP_S", 0.1)
    with Subscriber(feed.address) as subscriber:
        for number in range(2):
            while not feed.has_subscriber():
                assert subscriber.receive(0.05) is None
            feed.send(packet(number))
            assert subscriber.receive(30) == packet(number)
            feed.send_frames(bytes(2_000_000))
        wait_for(lambda: subscriber.receive(0.01) or subscriber.cuts[feed.address] == 2)
    reason = "we cut the connection, for a message above 1 MB or one that breaks ZMQ's rules; connecting again"
    assert caplog.messages == [f"{feed.address}: {reason}"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_reader_that_waits_without_end_looks_after_its_connections(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    monkeypatch.setattr(connections, "_MAX_MESSAGE_BYTES", 1 << 20)
    monkeypatch.setattr(connections, "_CHECK_S", 0.01)
    monkeypatch.setattr(zmq_dialling, "_GIVEN_UP_S", 0.05)

    def sends() -> None:
        wait_for(feed.has_subscriber)
        feed.send_frames(bytes(2_000_000))
        wait_for(feed.has_subscriber)
        feed.send(packet())

    with Subscriber(feed.address) as subscriber:
        sending = asyncio.ensure_future(asyncio.to_thread(sends))
        receiving = subscriber.areceive() if is_async else asyncio.to_thread(subscriber.receive)
        assert await asyncio.wait_for(receiving, DEADLINE_S) == packet()
        await sending
