"""Subscriber: every packet once, what is missing counted, and no wait without an end."""

import asyncio
import json
import re
import threading
from contextlib import closing
from itertools import islice

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.protocols.message import encode, header
from rawdaq.stream_id import StreamId, prefixes
from rawdaq.subscriber import Loss, Subscriber
from tests.helpers import DEADLINE_S, until, wait_for
from tests.live import publishing, subscribed
from tests.makers import STREAM, packet
from tests.subscriber.feeds import Feed

OTHER = StreamId("XX", "DEMO", "00", "HHN")


def test_iteration_gives_packets_until_nothing_comes(feed: Feed) -> None:
    packets = [packet(index, sequence=index) for index in range(3)]
    with Subscriber(feed.address, timeout_s=DEADLINE_S) as subscriber:
        feed.await_subscriber()
        feed.send(*packets)
        assert list(islice(subscriber, 3)) == packets
        subscriber.timeout_s = 0.1
        assert list(subscriber) == []
    assert subscriber.received == {STREAM: 3}
    assert subscriber.size_bytes == sum(memoryview(frame).nbytes for each in packets for frame in encode(each))
    assert (subscriber.lost.total(), subscriber.malformed) == (0, 0)


async def test_async_iteration_gives_packets_until_nothing_comes() -> None:
    packets = [packet(index, sequence=index) for index in range(300)]
    async with publishing() as publisher, Subscriber(publisher.address, timeout_s=DEADLINE_S) as subscriber:
        await subscribed(publisher)
        await publisher.deliver(packets)
        got: list[Packet] = []
        async for each in subscriber:
            got.append(each)
            if len(got) == 300:
                subscriber.timeout_s = 0.1
        assert got == packets


async def test_async_reader_waits_and_lets_others_run() -> None:
    async with publishing() as publisher, Subscriber(publisher.address) as subscriber:
        reading = asyncio.create_task(subscriber.areceive(30))
        await subscribed(publisher)
        await publisher.deliver([packet()])
        assert await reading == packet()
        assert await subscriber.areceive(0.01) is None


async def test_cancelled_async_reader_can_read_on() -> None:
    async with publishing() as publisher, Subscriber(publisher.address) as subscriber:
        await subscribed(publisher)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(subscriber)
        await publisher.deliver([packet()])
        assert await subscriber.areceive(30) == packet()


def test_more_than_a_thousand_patterns_are_subscribed_to_all(feed: Feed) -> None:
    names = {f"XX.S{number:04d}.00.HHZ" for number in range(3000)}
    with Subscriber(feed.address, names):
        assert feed.await_subscriber(3000) == {name.encode() for name in names}


def test_patterns_choose_the_streams(feed: Feed) -> None:
    with Subscriber(feed.address, ["XX.*.*.HHZ", "YY.A*"]) as subscriber:
        assert feed.await_subscriber(2) == {b"XX.", b"YY.A"}
        feed.send(packet(stream=OTHER), packet(stream=OTHER), packet(), packet(1))
        assert subscriber.receive(30) == packet()
        assert subscriber.receive(30) == packet(1)
    assert subscriber.received == {STREAM: 2}
    assert subscriber.passed_over == ["XX.DEMO.00.HHN"]


def test_one_pattern_may_be_plain_text() -> None:
    assert Subscriber("tcp://127.0.0.1:1", "XX.*").streams == ("XX.*",)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], [b""]),
        (["*"], [b""]),
        (["XX.DEMO.00.HHZ"], [b"XX.DEMO.00.HHZ"]),
        (["XX.D?", "XX.DEMO.*", "*.HHZ"], [b""]),
        (["XX.D[EF]*", "XX.DEMO.*", "YY.*"], [b"XX.D", b"YY."]),
    ],
)
def test_publisher_is_asked_for_as_little_as_possible(patterns: list[str], expected: list[bytes]) -> None:
    assert prefixes(patterns) == expected


def test_jump_of_the_sequence_is_a_loss_and_a_restart_is_not(feed: Feed) -> None:
    losses: list[Loss] = []
    with Subscriber(feed.address, on_loss=losses.append) as subscriber:
        feed.await_subscriber()
        sequences = [5, 6, 10, 11, 0, 1, 3]
        feed.send(*(packet(index, sequence=sequence) for index, sequence in enumerate(sequences)))
        feed.send(packet(stream=OTHER, sequence=7))
        for _ in range(8):
            assert subscriber.receive(30) is not None
    assert [(loss.stream, loss.missing, loss.next_packet.sequence, loss.address) for loss in losses] == [
        (STREAM, 3, 10, feed.address),
        (STREAM, 1, 3, feed.address),
    ]
    assert subscriber.lost == {STREAM: 4}


def test_same_stream_of_two_publishers_is_no_loss(feed: Feed) -> None:
    second = Feed()
    with Subscriber([feed.address, second.address]) as subscriber:
        feed.await_subscriber()
        second.await_subscriber()
        for index in range(3):
            feed.send(packet(sequence=index))
            second.send(packet(sequence=index + 1000))
        assert sorted(got.sequence for got in (subscriber.receive(30) for _ in range(6)) if got) == [
            0,
            1,
            2,
            1000,
            1001,
            1002,
        ]
    second.close()
    assert subscriber.lost.total() == 0


def test_busy_publisher_does_not_silence_another(feed: Feed) -> None:
    second = Feed()
    with Subscriber([feed.address, second.address]) as subscriber:
        feed.await_subscriber()
        second.await_subscriber()
        feed.send(*(packet(sequence=index) for index in range(100)))
        second.send(packet(stream=OTHER))
        wait_for(lambda: all(each._socket.poll(0) for each in subscriber._publishers))
        assert {got.stream for got in (subscriber.receive(30) for _ in range(2)) if got} == {STREAM, OTHER}
    second.close()


def test_malformed_messages_are_counted_and_skipped(feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    with Subscriber(feed.address) as subscriber:
        feed.await_subscriber()
        feed.send_frames(b"~log", b"{}")  # not for us, and not malformed
        for _ in range(12):
            feed.send_frames(b"XX.DEMO.00.HHZ", b"{}", b"")
        feed.send_frames(b"XX.DEMO.00.HHZ", json.dumps({**header(packet()), "rawdaq": 2}).encode(), b"")
        feed.send(packet())
        assert subscriber.receive(30) == packet()
    assert subscriber.malformed == 13
    assert [line.partition(": header")[0].partition(": message")[0] for line in caplog.messages] == [
        f"refused a message from {feed.address}: wrong header",
        f"refused a message from {feed.address}: later layout",
        f"refused 11 messages, the last one from {feed.address}: wrong header",
    ]


def test_topics_beyond_those_remembered_are_matched_all_the_same(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.subscriber.messages._MAX_CACHED", 0)
    with Subscriber(feed.address, "XX.*.HHZ") as subscriber:
        feed.await_subscriber()
        feed.send(packet(stream=OTHER), packet())
        assert subscriber.receive(30) == packet()


def test_close_from_another_thread_ends_the_iteration(feed: Feed) -> None:
    subscriber = Subscriber(feed.address)
    got: list[Packet] = []
    reader = threading.Thread(target=lambda: got.extend(subscriber))
    reader.start()
    feed.await_subscriber()
    feed.send(packet())
    wait_for(lambda: got)
    subscriber.close()
    reader.join(30)
    assert not reader.is_alive()
    assert subscriber._context is None
    assert subscriber.receive(30) is None


async def test_close_ends_an_async_iteration(feed: Feed) -> None:
    subscriber = Subscriber(feed.address)
    reading = asyncio.create_task(subscriber.areceive())
    await until(lambda: subscriber._is_reading)
    await subscriber.aclose()
    assert await reading is None
    assert [each async for each in subscriber] == []


def test_closing_twice_or_unopened_is_fine() -> None:
    subscriber = Subscriber()
    subscriber.close()
    subscriber.close()
    subscriber.open()
    assert subscriber.receive() is None
    assert list(subscriber) == []


async def test_async_reader_of_a_busy_stream_lets_others_run(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.subscriber.connections._YIELD_ITEMS", 2)
    ran: list[int] = []
    async with Subscriber(feed.address) as subscriber:
        feed.await_subscriber()
        feed.send(*(packet(sequence=index) for index in range(6)))
        (publisher,) = subscriber._publishers
        await until(lambda: publisher._socket.poll(0))
        asyncio.get_running_loop().call_soon(ran.append, 1)
        for _ in range(6):
            assert await subscriber.areceive(30) is not None
        assert ran == [1]


def test_loss_without_a_callback_is_counted(feed: Feed) -> None:
    with Subscriber(feed.address) as subscriber:
        feed.await_subscriber()
        feed.send(packet(sequence=0), packet(sequence=2))
        assert subscriber.receive(30) == packet(sequence=0)
        assert subscriber.receive(30) == packet(sequence=2)
    assert subscriber.lost == {STREAM: 1}


async def test_second_reader_is_refused(feed: Feed) -> None:
    async with Subscriber(feed.address) as subscriber:
        reading = asyncio.create_task(subscriber.areceive(30))
        await until(lambda: subscriber._is_reading)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            subscriber.receive(1)
        subscriber.close()
        assert await reading is None


@pytest.mark.parametrize(
    "address", ["nonsense", "tcp://127.0.0.1", "udp://127.0.0.1:1", "tcp://[::1]:99999", "tcp://a:0", "tcp://a:9o"]
)
def test_address_that_zmq_does_not_understand_is_refused(address: str) -> None:
    reason = f"'{re.escape(address)}' is not like tcp://127.0.0.1:9004"
    with closing(Subscriber(["tcp://127.0.0.1:1", address])) as subscriber, pytest.raises(InvalidValue, match=reason):
        subscriber.open()


def test_subscriber_needs_an_address() -> None:
    with pytest.raises(InvalidValue, match="needs an address"):
        Subscriber([])


def test_pattern_that_can_name_no_stream_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"'HHZ' can name no stream, .*; a pattern is like XX\.\*\.00\.HH\?"):
        Subscriber(streams=["XX.*", "HHZ"])
