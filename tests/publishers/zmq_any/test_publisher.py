"""ZMQPublisher: packets reach real ZMQ sockets by every kind of endpoint, and no PULL socket loses one."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
import zmq

from rawdaq.messages import frames
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers import zmq_any
from rawdaq.sockets.zeromq import dialling as zmq_dialling
from tests.helpers import DEADLINE_S, until
from tests.makers import message, packet
from tests.names import NAME, Names
from tests.publishers.zmq_any.taking import (
    ANY_PORT,
    PACKETS,
    RUN,
    connected,
    peers,
    publishing,
    received,
    subscribed,
)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


LOOPBACK = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


@pytest.mark.parametrize("address", [ANY_PORT, f"tcp://{LOOPBACK}:*", "tcp://[::1]:*", "ipc://{folder}/live"])
async def test_packets_reach_a_subscriber_by_every_kind_of_endpoint(address: str, context: Any, tmp_path: Path) -> None:
    if "::1" in address and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with publishing(bind=address.format(folder=tmp_path)) as publisher:
        with connected(context, zmq.SUB, publisher.address.replace(f"//{LOOPBACK}:", "//127.0.0.1:")) as subscriber:
            await subscribed(publisher, subscriber)
            assert publisher.try_deliver(PACKETS[:2])
            await publisher.deliver(PACKETS[2:])
            assert await received(subscriber, 5) == PACKETS
            await until(lambda: publisher.status()["connected"])
            assert (publisher.status()["type"], publisher.status()["address"]) == ("PUB", publisher.address)


async def test_plain_bytes_go_out_as_they_are_and_counted(context: Any) -> None:
    async with publishing(bind=ANY_PORT) as publisher:
        with connected(context, zmq.SUB, publisher.address) as subscriber:
            await subscribed(publisher, subscriber)
            before: Any = publisher.status()
            assert publisher.try_deliver([b"abc"])
            await until(lambda: subscriber.poll(0))
            assert subscriber.recv_multipart() == [b"abc"]
            after: Any = publisher.status()
            assert (after["messages"] - before["messages"], after["bytes"] - before["bytes"]) == (1, 3)


async def test_messages_go_out_as_two_or_three_frames(context: Any) -> None:
    sent = [message(index, payload=b"x" * index).published(index, "T", 5) for index in range(3)]
    async with publishing(bind=ANY_PORT) as publisher:
        with connected(context, zmq.SUB, publisher.address) as subscriber:
            await subscribed(publisher, subscriber)
            await publisher.deliver(sent[:1])
            assert publisher.try_deliver(sent[1:])
            for each in sent:
                await until(lambda: subscriber.poll(0))
                assert frames.decode(subscriber.recv_multipart()) == each


async def test_a_run_is_sent_as_its_packets_and_a_large_batch_lets_others_run(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_any, "_YIELD_MESSAGES", 2)
    ran: list[int] = []
    async with publishing(bind=ANY_PORT) as publisher:
        with connected(context, zmq.SUB, publisher.address) as subscriber:
            await subscribed(publisher, subscriber)
            assert not publisher.try_deliver(PACKETS)
            asyncio.get_running_loop().call_soon(ran.append, 1)
            await publisher.deliver([RUN])
            assert ran == [1]
            assert await received(subscriber, 5) == PACKETS


async def test_a_publisher_that_connects_reaches_one_that_binds(context: Any) -> None:
    with context.socket(zmq.PULL) as puller:
        puller.bind(ANY_PORT)
        async with publishing(connect=puller.last_endpoint.decode(), type="PUSH") as publisher:
            await until(lambda: publisher.status()["connected"])
            await publisher.deliver(PACKETS)
            assert await received(puller, 5) == PACKETS


async def test_two_pull_sockets_share_the_messages(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH") as publisher:
        with (
            connected(context, zmq.PULL, publisher.address) as one,
            connected(context, zmq.PULL, publisher.address) as other,
        ):
            await until(lambda: peers(publisher) == 2)
            await publisher.deliver([packet(index, sequence=index) for index in range(10)])
            numbers = [[each.sequence for each in await received(puller, 5)] for puller in (one, other)]
    assert sorted(numbers) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


async def test_without_a_pull_socket_nothing_is_lost_and_the_reason_is_given(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH") as publisher:
        assert not publisher.try_deliver(PACKETS)
        with pytest.raises(
            PublisherUnavailable, match=r"no PULL socket is connected at tcp://.*; does the other"
        ) as raised:
            await publisher.deliver(PACKETS)
        assert raised.value.delivered == 0
        with connected(context, zmq.PULL, publisher.address) as puller:
            await until(lambda: peers(publisher))
            assert publisher.try_deliver(PACKETS)
            assert await received(puller, 5) == PACKETS


BLOBS = [bytes(100_000)] * 500  # more than two systems and two ZMQ sockets keep for each other


async def test_a_push_socket_waits_for_a_slow_peer_and_loses_nothing(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH", high_water_mark=2) as publisher:
        with connected(context, zmq.PULL, publisher.address, high_water_mark=2) as puller:
            await until(lambda: peers(publisher))
            with pytest.raises(PublisherUnavailable) as raised:
                publisher.try_deliver(BLOBS)
            assert 0 < raised.value.delivered < len(BLOBS)
            delivering = asyncio.ensure_future(publisher.deliver([*BLOBS[raised.value.delivered :], b"last"]))
            messages: list[bytes] = []
            while b"last" not in messages:
                await until(lambda: puller.poll(0))
                messages.append(puller.recv())
            await delivering
    assert messages == [*BLOBS, b"last"]


async def test_a_peer_that_takes_nothing_is_reported(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_any, "_STUCK_S", 0.01)
    async with publishing(bind=ANY_PORT, type="PUSH", high_water_mark=1) as publisher:
        with connected(context, zmq.PULL, publisher.address, high_water_mark=1):
            await until(lambda: peers(publisher))
            with pytest.raises(PublisherUnavailable, match=r"no PULL socket took a message for 0\.01 s at"):
                await publisher.deliver(BLOBS)


async def test_a_peer_that_leaves_ends_the_wait_for_room(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH", high_water_mark=1) as publisher:
        puller = connected(context, zmq.PULL, publisher.address, high_water_mark=1)
        await until(lambda: peers(publisher))
        delivering = asyncio.ensure_future(publisher.deliver(BLOBS))
        await until(lambda: publisher.status()["messages"])
        puller.close(0)
        with pytest.raises(PublisherUnavailable):
            await asyncio.wait_for(delivering, DEADLINE_S)


@pytest.mark.parametrize(("type", "kind"), [("PUSH", zmq.PULL), ("PUB", zmq.SUB)])
async def test_a_publisher_that_connects_tries_all_addresses_of_a_name(
    context: Any, names: Names, type: str, kind: int
) -> None:
    with context.socket(kind) as taker:
        if kind == zmq.SUB:
            taker.subscribe(b"")
        taker.bind(ANY_PORT)
        address = taker.last_endpoint.decode().replace("127.0.0.1", NAME)
        async with publishing(connect=address, type=type) as publisher:
            await until(lambda: publisher.status()["connected"])

            def has_come() -> bool:  # a PUB socket hears of the subscription some time later
                return publisher.try_deliver([PACKETS[0]]) and bool(taker.poll(10))

            await until(has_come)
            assert (await received(taker, 1))[0] == PACKETS[0]


async def test_a_push_socket_that_leaves_an_address_says_what_may_be_lost(
    context: Any, names: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(zmq_dialling, "_KEEP_S", 0.0)
    with context.socket(zmq.PULL) as first:
        first.bind(ANY_PORT)
        port = first.last_endpoint.decode().rpartition(":")[2]
        async with publishing(connect=f"tcp://{NAME}:{port}", type="PUSH", high_water_mark=7) as publisher:
            await until(lambda: publisher.status()["connected"])
            first.close(0)
            await until(lambda: "is lost; trying its other addresses" in caplog.text)
            assert f"tcp://127.0.0.1:{port} does not come back: what waited there for tcp://{NAME}" in caplog.text
            assert "at most 7 messages" in caplog.text
