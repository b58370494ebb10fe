"""ZMQReceiver passes any bytes on, holds back who sends too much, and ends in order."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from rawdaq.errors import ComponentError
from rawdaq.publisher import OverflowPolicy
from rawdaq.sockets.zeromq import endpoint as zmq_endpoint
from tests.helpers import DEADLINE_S, until
from tests.receivers.zmq_senders import (
    ANY_PORT,
    Keeper,
    address_of,
    receiving,
    sending,
)


@pytest.mark.parametrize("is_bound", [True, False])
async def test_raw_passes_every_frame_on_as_it_is(context: Any, is_bound: bool) -> None:
    sent = [b"", b"\xff\x00", bytes(100_000)]
    async with contextlib.AsyncExitStack() as stack:
        if is_bound:
            receiver, items = await stack.enter_async_context(receiving(ANY_PORT, pattern="pull", bind=True, raw=True))
            address = receiver.endpoints[0].address
            assert not address.endswith("*")
            pusher = stack.enter_context(sending(context, zmq.PUSH, address))
        else:
            pusher = stack.enter_context(sending(context, zmq.PUSH))
            _, items = await stack.enter_async_context(receiving(address_of(pusher), pattern="pull", raw=True))
        for data in sent:
            pusher.send(data)
        pusher.send_multipart([b"head", b"body"])
        await until(lambda: len(items) == 5)
    assert items == [*sent, b"head", b"body"]


async def test_several_endpoints_are_read_at_once(context: Any) -> None:
    with sending(context, zmq.PUSH) as one, sending(context, zmq.PUSH) as two:
        async with receiving(address_of(one), address_of(two), pattern="pull", raw=True) as (receiver, items):
            for index in range(100):
                (one if index % 2 else two).send(b"%d" % index)
            await until(lambda: len(items) == 100)
            assert [endpoint.status()["messages"] for endpoint in receiver.endpoints] == [50, 50]
    assert sorted(items, key=int) == [b"%d" % index for index in range(100)]


async def test_more_than_a_burst_is_taken_without_another_word_of_the_system(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_endpoint, "BURST_MESSAGES", 10)
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), pattern="pull", raw=True, high_water_mark=100_000) as (
            receiver,
            items,
        ):
            receiver.cmd_pause()
            for round_number in range(3):  # the last ones come while nobody looks: nothing tells of them again
                for index in range(1005):
                    pusher.send(b"%d" % (1005 * round_number + index))
                await asyncio.sleep(0)
            receiver.cmd_resume()
            await until(lambda: len(items) == 3015)
            pusher.send(b"3015")  # and then the system tells again
            await until(lambda: len(items) == 3016)
    assert items == [b"%d" % index for index in range(3016)]


async def test_messages_that_trickle_in_are_each_seen(context: Any) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), pattern="pull", raw=True) as (_, items):
            for index in range(50):
                pusher.send(b"%d" % index)
                await until(lambda count=index: len(items) > count)  # type: ignore[misc]


async def test_a_full_publisher_holds_the_sender_and_nothing_is_lost(context: Any) -> None:
    keeper = Keeper()
    keeper.queue_packets = 50
    keeper.overflow = OverflowPolicy.BLOCK
    keeper.door.clear()
    with context.socket(zmq.PUSH) as pusher:
        pusher.linger, pusher.sndhwm = 0, 20
        port = pusher.bind_to_random_port("tcp://127.0.0.1")
        async with receiving(
            f"tcp://127.0.0.1:{port}", keeper=keeper, pattern="pull", raw=True, high_water_mark=20
        ) as (receiver, items):
            sent, quiet, end_s = 0, 0, time.monotonic() + DEADLINE_S
            held = ["a publisher is full: keeper"]
            while quiet < 50 or receiver.endpoints[0].status()["held"] != held:
                assert time.monotonic() < end_s
                try:
                    pusher.send(b"%6d" % sent + bytes(50_000), zmq.NOBLOCK)
                    sent, quiet = sent + 1, 0
                except zmq.Again:
                    quiet += 1
                    await asyncio.sleep(0.002)
            keeper.door.set()
            await until(lambda: len(items) == sent)
    assert [int(each[:6]) for each in items] == list(range(sent))


async def test_what_has_arrived_is_published_when_it_is_stopped(context: Any) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), pattern="pull", raw=True) as (receiver, items):
            receiver.cmd_pause()
            pusher.send(b"first")
            endpoint: Any = receiver.endpoints[0]
            await until(lambda: endpoint._socket.poll(0))
            endpoint.release("paused")
            endpoint.hold("paused")
            await asyncio.sleep(0)  # what was due is not done when reading is held again
            assert endpoint.messages == 0
            endpoint.release("paused")  # reading is due, and the end comes first
            await endpoint.aclose()
            await until(lambda: items == [b"first"])
            await endpoint.aclose()  # twice does nothing
            endpoint.hold("nothing")
            assert endpoint.transports() == []


async def test_a_sender_that_does_not_end_does_not_keep_us_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def again(opened: object) -> bool:
        rounds.append(1)
        return True

    async with receiving(ANY_PORT, pattern="pull", bind=True, raw=True, high_water_mark=1000) as (receiver, _):
        monkeypatch.setattr(receiver.endpoints[0], "_receive", again)
    assert len(rounds) == 2 + 1000 // 256


async def test_what_waits_while_reading_is_held_at_the_stop_is_told(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), pattern="pull", raw=True) as (receiver, items):
            endpoint: Any = receiver.endpoints[0]
            endpoint.hold("full")
            pusher.send(b"late")
            await until(lambda: endpoint._socket.poll(0))
        assert items == []
        assert f"{address_of(pusher)} closes while messages still wait there: they are lost" in caplog.text


async def test_a_frame_that_is_too_large_ends_that_peer_alone(context: Any) -> None:
    async with receiving(ANY_PORT, pattern="pull", bind=True, raw=True, max_message_mb=0.001) as (receiver, items):
        address = receiver.endpoints[0].address
        with sending(context, zmq.PUSH, address) as bad, sending(context, zmq.PUSH, address) as good:
            bad.send(bytes(2000))
            good.send(bytes(1000))
            await until(lambda: items)
    assert items == [bytes(1000)]


async def test_an_address_that_cannot_be_used_is_told_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ComponentError, match=r"bind ZMQ tcp://.*: Address already in use; another program"):
            async with receiving(address, bind=True):
                pass
    with pytest.raises(ComponentError, match=r"cannot bind ZMQ ipc.*; the folder of an ipc address must exist"):
        async with receiving(f"ipc://{tmp_path}/no/such", bind=True):
            pass
    with pytest.raises(
        ComponentError, match=r"cannot connect ZMQ ipc://aaa.*: File name too long; the path of an ipc address"
    ):
        async with receiving("ipc://" + "a" * 200):
            pass
