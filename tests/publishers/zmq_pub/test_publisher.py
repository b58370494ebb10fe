"""ZMQTCPPublisher as ZMQ programs see it: messages, modes, slow subscribers, and those that are no ZMQ at all."""

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, cast

import pytest
import zmq

from rawdaq.config.settings import StationSettings
from rawdaq.delivery.items import count_of
from rawdaq.messages import frames as frames_of_messages
from rawdaq.messages.message import Message
from rawdaq.miniseed.format import RecordRun
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.message import decode
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.zmq_pub import connection as zmq_connection
from rawdaq.publishers.zmq_pub import publisher as zmq_pub
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.sockets import dial_endpoint
from rawdaq.sockets.dialling import Backoff
from rawdaq.subscriber import Subscriber
from tests.fake_device import Described, Session, fake_device, wire
from tests.helpers import DEADLINE_S, until
from tests.live import publishing, subscribed, subscribers
from tests.makers import START_NS, message, packet
from tests.publishers.zmq_subscribers import OTHER, SlowSubscriber, ZmqSub, received
from tests.servers import serving


async def test_zmq_socket_receives_what_was_delivered() -> None:
    async with publishing() as publisher:
        with ZmqSub(b"XX.DEMO.") as subscriber:
            subscriber.connect(publisher.address)
            await subscribed(publisher)
            packets = [packet(index, sequence=index, timing_quality=50) for index in range(3)]
            await publisher.deliver(packets)
            assert [decode(frames) for frames in await received(subscriber, 3)] == packets
        await until(lambda: not publisher.status()["subscribers"])


async def test_plain_bytes_go_out_unchanged_as_one_frame() -> None:
    async with publishing() as publisher:
        with ZmqSub(b"") as subscriber:
            subscriber.connect(publisher.address)
            await subscribed(publisher)
            await publisher.apublish(b"any bytes \x00\xff")
            assert await received(subscriber, 1) == [[b"any bytes \x00\xff"]]


async def test_messages_go_out_as_two_or_three_frames() -> None:
    sent = [message(index, payload=b"x" * index).published(index, "T", 5) for index in range(3)]
    async with publishing() as publisher:
        with ZmqSub(b"~event.XX") as subscriber:
            subscriber.connect(publisher.address)
            await subscribed(publisher)
            await publisher.deliver(sent[:2])
            assert publisher.try_deliver([message(0, "~log").published(0, "T", 5), sent[2]])
            frames = await received(subscriber, 3)
            assert list(map(len, frames)) == [2, 3, 3]
            assert [frames_of_messages.decode(each) for each in frames] == sent


async def test_subscriber_gets_only_what_begins_with_its_topics() -> None:
    async with publishing() as publisher:
        with ZmqSub(b"XX.DEMO.00.HHN", b"raw") as subscriber:
            subscriber.connect(publisher.address)
            await until(lambda: [one["topics"] for one in subscribers(publisher)] == [["XX.DEMO.00.HHN", "raw"]])
            await publisher.deliver([packet(), b"other", packet(stream=OTHER), b"raw bytes"])
            first, second = await received(subscriber, 2)
            assert (first[0], second) == (b"XX.DEMO.00.HHN", [b"raw bytes"])
            subscriber.unsubscribe(b"raw")
            await until(lambda: [one["topics"] for one in subscribers(publisher)] == [["XX.DEMO.00.HHN"]])
            await publisher.deliver([b"raw bytes", packet(stream=OTHER)])
            assert (await received(subscriber, 1))[0][0] == b"XX.DEMO.00.HHN"


async def test_a_subscriber_does_not_keep_the_frames_that_it_does_not_want() -> None:
    frame = b"other" + bytes(100_000)
    async with publishing() as publisher:
        with ZmqSub(b"XX.") as subscriber:
            subscriber.connect(publisher.address)
            await subscribed(publisher)
            references = sys.getrefcount(frame)
            await publisher.deliver([frame])
            assert sys.getrefcount(frame) == references


async def test_large_batch_arrives_in_order_at_every_subscriber() -> None:
    packets = [packet(index, 10, sequence=index) for index in range(2500)]
    async with (
        publishing() as publisher,
        Subscriber(publisher.address) as one,
        Subscriber(publisher.address) as two,
    ):
        await subscribed(publisher, 2)
        await publisher.deliver(packets)
        for subscriber in (one, two):
            assert [await subscriber.areceive(30) for _ in packets] == packets
        status = publisher.status()
        assert (status["published"], status["sent"], status["dropped"]) == (2500, 5000, 0)


async def test_few_messages_are_delivered_at_once_and_many_are_left_to_the_task() -> None:
    packets = [packet(index, 10, sequence=index) for index in range(1001)]
    async with publishing() as publisher, Subscriber(publisher.address) as subscriber:
        assert publisher.try_deliver(packets[:1])  # to nobody yet
        await subscribed(publisher)
        assert publisher.try_deliver(packets[:1000])
        assert not publisher.try_deliver(packets)
        assert [await subscriber.areceive(30) for _ in range(1000)] == packets[:1000]
        assert publisher.status()["published"] == 1001


async def test_nobody_listening_costs_nothing_and_loses_nothing_later() -> None:
    async with publishing() as publisher:
        await publisher.deliver([packet()])
        assert publisher.status() | {"address": ""} == {
            "address": "",
            "mode": "local",
            "published": 1,
            "sent": 0,
            "sent_bytes": 0,
            "dropped": 0,
            "dropped_by_stream": {},
            "turned_away": {},
            "subscribers": [],
        }


async def test_slow_subscriber_loses_a_counted_number_and_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    total = 3000
    async with publishing(high_water_mb=0.05) as publisher, Subscriber(publisher.address, "*.HHZ") as healthy:
        with SlowSubscriber(publisher) as slow:
            await slow.subscribe()
            await subscribed(publisher, 2)
            for index in range(total):
                await publisher.deliver([packet(index, 1000, sequence=index), packet(index, 1, stream=OTHER)])
                got = await healthy.areceive(30)
                assert got is not None
                assert got.sequence == index
            dropped = cast("dict[str, int]", publisher.status()["dropped_by_stream"])
            assert healthy.lost.total() == 0
            assert set(dropped) == {"XX.DEMO.00.HHZ", "XX.DEMO.00.HHN"}

            def has_caught_up() -> bool:
                slow.read()
                return len(slow.messages) + sum(dropped.values()) == 2 * total

            await until(has_caught_up)
            # Whole messages only, in order: what was dropped left no trace but the missing numbers.
            sequences = [
                message.sequence
                for message in map(decode, (event.frames for event in slow.messages))
                if message.samples.size > 1
            ]
            assert sequences == sorted(set(sequences))
            assert total - len(sequences) == dropped["XX.DEMO.00.HHZ"]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    outages = [text for text in warnings if "does not keep up" in text]
    ends = [text for text in warnings if "keeps up again" in text]
    assert len(outages) == len(ends) == 1
    assert f"dropped {sum(dropped.values())} messages in" in ends[0]
    assert f"XX.DEMO.00.HHZ: {dropped['XX.DEMO.00.HHZ']}" in ends[0]


class _Noting(ZMQTCPPublisher):
    """Notes the packets of the largest batch: that is all that waited for it."""

    takes_runs = True
    queue_packets = 10_000
    largest = 0

    async def deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | Message | bytes]) -> None:
        self.largest = max(self.largest, sum(map(count_of, batch)))
        await super().deliver(batch)


@pytest.mark.parametrize("mode", ["local", "remote"])
async def test_a_device_that_sends_a_backlog_waits_for_us_and_subscribers_that_keep_up_lose_nothing(
    mode: Literal["local", "remote"], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = 1 << 16
    monkeypatch.setattr(dial_endpoint, "_READ_BYTES", read_bytes)
    monkeypatch.setattr(dial_endpoint, "_of_thread", threading.local())
    rounds, channels, ready = 1000, range(1, 101), asyncio.Event()
    total = rounds * len(channels)

    async def play(session: Session) -> None:
        await session.handshake(dict.fromkeys(channels, Described()))
        await ready.wait()
        for index in range(rounds):
            at_ns = START_NS + index * 10_000_000
            session.writer.write(b"".join(wire(channel, at_ns, bytes(4), 1) for channel in channels))
        await session.until_closed()

    with ZmqSub(b"XX.") as subscriber:
        port = subscriber.bind_to_random_port("tcp://127.0.0.1") if mode == "remote" else 0
        publisher = _Noting("127.0.0.1", port, mode=mode, high_water_mb=1000, name="live")
        async with fake_device(play) as device_port:
            station = StationSettings(network="XX", code="DEMO")
            names = {channel: f"{channel - 1:02d}.HHZ" for channel in channels}
            receiver = RawReceiver([publisher], station, port=device_port, channels=names)
            async with serving(receiver):
                if mode == "local":
                    subscriber.connect(publisher.address)
                await _heard_by(subscriber, publisher)
                ready.set()
                await until(lambda: publisher.status()["published"] == total)
                status = cast("dict[str, dict[str, object]]", receiver.cmd_status()["publishers"])["live"]
                assert (status["delivered"], status["dropped"], status["sent"]) == (total, 0, total)
    packets_of_a_read = read_bytes // len(wire(1, START_NS, bytes(4), 1)) + 1
    assert publisher.largest < publisher.queue_packets + packets_of_a_read


async def test_end_of_an_outage_is_told_when_the_slow_subscriber_leaves(caplog: pytest.LogCaptureFixture) -> None:
    async with publishing(high_water_mb=0.01) as publisher:
        with SlowSubscriber(publisher) as slow:
            await slow.subscribe()
            await subscribed(publisher)
            while not publisher.status()["dropped"]:
                await publisher.deliver([packet(size=10_000)])
        await until(lambda: not publisher.status()["subscribers"])
    assert any("is gone: dropped" in record.getMessage() for record in caplog.records)


async def test_last_messages_reach_a_subscriber_that_reads() -> None:
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    await publisher.open()
    packets = [packet(index, 10_000, sequence=index) for index in range(200)]
    async with Subscriber(publisher.address) as subscriber:
        await subscribed(publisher)
        reading = asyncio.create_task(_all(subscriber, len(packets)))
        await publisher.deliver(packets)
        await publisher.aclose()
        await publisher.aclose()
        assert await reading == packets


async def _all(subscriber: Subscriber, count: int) -> list[object]:
    return [await subscriber.areceive(30) for _ in range(count)]


async def test_closing_does_not_wait_for_one_that_never_reads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(zmq_pub, "_LINGER_S", 0.05)
    async with publishing() as publisher:
        with SlowSubscriber(publisher) as slow:
            await slow.subscribe()
            await subscribed(publisher)
            await publisher.deliver([packet(size=1_000_000)] * 5)
            await publisher.aclose()
    assert any("did not read the last" in record.getMessage() for record in caplog.records)


async def test_one_that_connects_while_it_closes_is_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_connection, "_HANDSHAKE_S", 3600.0)
    async with publishing() as publisher:
        listener = publisher._listener
        assert listener is not None
        with socket.create_connection((publisher.ip, publisher.port), DEADLINE_S) as client:
            while not listener._making:  # noqa: ASYNC110 - before it is connected
                await asyncio.sleep(0)
            await publisher.aclose()
            assert await asyncio.to_thread(_read_out, client) < 100  # no more than a greeting


def _read_out(client: socket.socket) -> int:
    return sum(len(data) for data in iter(lambda: client.recv(100), b""))


async def test_remote_mode_dials_and_keeps_what_comes_before_somebody_listens() -> None:
    with ZmqSub(b"XX.") as subscriber:
        port = subscriber.bind_to_random_port("tcp://127.0.0.1")
        publisher = ZMQTCPPublisher("127.0.0.1", port, mode="remote")
        with pytest.raises(PublisherUnavailable, match="no subscriber at"):
            await publisher.deliver([packet()])
        assert not publisher.try_deliver([packet()])
        await publisher.open()
        try:
            await _heard_by(subscriber, publisher)
            await publisher.deliver([packet(0)])
            assert publisher.try_deliver([packet(1)])
            assert [decode(frames) for frames in await received(subscriber, 2)] == [packet(0), packet(1)]
        finally:
            await publisher.aclose()


async def test_remote_mode_dials_again_after_a_refusal_and_after_a_loss(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(zmq_pub, "Backoff", lambda: Backoff(0.001, 0.001))
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: whoever dials is refused
        port = reserved.getsockname()[1]
        publisher = ZMQTCPPublisher("127.0.0.1", port, mode="remote")
        await publisher.open()
        try:
            await until(lambda: [text for text in caplog.messages if "nothing listens there" in text])
        finally:
            await publisher.aclose()
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    async with dialling() as (publisher, subscriber):
        await _heard_by(subscriber, publisher)


async def test_remote_mode_dials_at_once_when_there_is_something_to_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_pub, "Backoff", lambda: Backoff(3600.0, 3600.0))
    async with dialling() as (publisher, subscriber):
        with pytest.raises(PublisherUnavailable):
            await publisher.deliver([packet()])
        await _heard_by(subscriber, publisher)


@asynccontextmanager
async def dialling() -> AsyncGenerator[tuple[ZMQTCPPublisher, "zmq.Socket[bytes]"]]:
    """Yield a publisher with mode remote whose connection has just ended, and the subscriber that it dials."""
    with ZmqSub(b"") as subscriber:
        port = subscriber.bind_to_random_port("tcp://127.0.0.1")
        publisher = ZMQTCPPublisher("127.0.0.1", port, mode="remote")
        await publisher.open()
        try:
            await _heard_by(subscriber, publisher)
            await _drop_connections(publisher)
            yield publisher, subscriber
        finally:
            await publisher.aclose()


async def _heard_by(subscriber: "zmq.Socket[bytes]", publisher: ZMQTCPPublisher) -> None:
    """Return when *subscriber* has subscribed; a SUB socket that is bound does that only while it is used."""
    await until(lambda: subscriber.poll(0) == 0 and subscribers(publisher))


async def _drop_connections(publisher: ZMQTCPPublisher) -> None:
    before = set(publisher._connections)
    for connection in before:
        connection.abort()
    await until(lambda: before.isdisjoint(publisher._connections))
