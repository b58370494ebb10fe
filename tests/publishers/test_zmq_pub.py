"""ZMQTCPPublisher as ZMQ programs see it: messages, modes, slow subscribers, and those that are no ZMQ at all."""

import asyncio
import logging
import resource
import socket
from typing import Any

import pytest
import zmq

from rawdaq import pub_connection
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import StreamId
from rawdaq.protocols.message import decode
from rawdaq.protocols.zmtp import Message, SocketType, ZmtpPeer
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers import zmq_pub
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.subscriber import Subscriber
from tests.helpers import until
from tests.live import publishing, subscribed, subscribers
from tests.makers import packet

OTHER = StreamId("XX", "DEMO", "00", "HHN")


class ZmqSub:
    """A plain ZMQ SUB socket."""

    def __init__(self, *topics: bytes) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        for topic in topics:
            self.socket.subscribe(topic)

    def __enter__(self) -> "zmq.Socket[bytes]":
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._context.term()


async def received(subscriber: "zmq.Socket[bytes]", count: int) -> list[list[bytes]]:
    """Return the next *count* messages."""
    messages: list[list[bytes]] = []
    while len(messages) < count:
        assert await asyncio.to_thread(subscriber.poll, 30_000)
        messages.append(subscriber.recv_multipart())
    return messages


class SlowSubscriber:
    """A subscriber that reads only when told to."""

    def __init__(self, publisher: ZMQTCPPublisher, topic: bytes = b"") -> None:
        self.peer = ZmtpPeer(SocketType.SUB, max_message_bytes=1 << 20)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", publisher.port))
        self.socket.sendall(self.peer.data_to_send())
        self.messages: list[Message] = []
        self._topic = topic

    async def subscribe(self) -> None:
        self.socket.setblocking(False)
        await until(self.read)
        self.peer.send_subscribe(self._topic)
        self.socket.sendall(self.peer.data_to_send())

    def read(self) -> bool:
        """Take what is there; return whether the handshake is over."""
        try:
            while data := self.socket.recv(1 << 20):
                self.messages += [event for event in self.peer.receive_data(data) if isinstance(event, Message)]
        except BlockingIOError:
            pass
        return self.peer.is_ready

    def __enter__(self) -> "SlowSubscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


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
        assert publisher.deliver_now(packets[:1]) == 1  # to nobody yet
        await subscribed(publisher)
        assert publisher.deliver_now(packets[:1000]) == 1000
        assert publisher.deliver_now(packets) == 0
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
            dropped: dict[str, int] = dict(publisher._dropped)
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
    with pytest.raises(ComponentError, match=text):
        await publisher.open()
    await publisher.aclose()


async def test_port_in_use_is_told_with_address_and_remedy() -> None:
    async with publishing() as first:
        second = ZMQTCPPublisher("127.0.0.1", first.port)
        with pytest.raises(ComponentError) as caught:
            await second.open()
    assert str(caught.value) == (
        f"cannot publish on {first.address}: Address already in use; "
        "another program publishes there: stop it, or choose another port"
    )


async def test_host_that_nobody_knows_is_told_in_the_words_of_the_resolver() -> None:
    with pytest.raises(ComponentError, match=r"^cannot publish on tcp://no host:0: [A-Z].*; check ip and port$"):
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


async def test_remote_mode_dials_and_keeps_what_comes_before_somebody_listens() -> None:
    with ZmqSub(b"XX.") as subscriber:
        port = subscriber.bind_to_random_port("tcp://127.0.0.1")
        publisher = ZMQTCPPublisher("127.0.0.1", port, mode="remote")
        with pytest.raises(PublisherUnavailable, match="no subscriber at"):
            await publisher.deliver([packet()])
        await publisher.open()
        try:
            await _heard_by(subscriber, publisher)
            await publisher.deliver([packet()])
            assert decode((await received(subscriber, 1))[0]) == packet()
        finally:
            await publisher.aclose()


async def test_remote_mode_dials_again_after_a_refusal_and_after_a_loss(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(zmq_pub, "_RETRY_FIRST_S", 0.001)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: whoever dials is refused
        port = reserved.getsockname()[1]
        publisher = ZMQTCPPublisher("127.0.0.1", port, mode="remote")
        await publisher.open()
        try:
            await until(lambda: [text for text in caplog.messages if "no connection to" in text])
        finally:
            await publisher.aclose()
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    with ZmqSub(b"") as subscriber:
        port = subscriber.bind_to_random_port("tcp://127.0.0.1")
        publisher = ZMQTCPPublisher("127.0.0.1", port, mode="remote")
        await publisher.open()
        try:
            await _heard_by(subscriber, publisher)
            await _drop_connections(publisher)
            await _heard_by(subscriber, publisher)
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


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "is not that of ZMTP 3"),
        (ZmtpPeer(SocketType.PUB).data_to_send(), "'PUB' socket, which cannot talk with PUB"),
    ],
)
async def test_one_that_is_no_subscriber_is_refused_in_one_line(
    sent: bytes, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing() as publisher:
        reader, writer = await asyncio.open_connection("127.0.0.1", publisher.port)
        writer.write(sent)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1 << 20), 30)
        writer.close()
        address = "{}:{}".format(*writer.get_extra_info("sockname"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"subscriber {address} refused: ")
    assert told in warnings[0]


async def _is_cut(one: SlowSubscriber) -> None:
    one.socket.setblocking(False)

    def is_cut() -> bool:
        try:
            return one.socket.recv(1 << 16) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    await until(is_cut)


async def test_who_never_greets_is_cut(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(pub_connection, "_HANDSHAKE_S", 0.01)
    async with publishing() as publisher:
        _, writer = await asyncio.open_connection("127.0.0.1", publisher.port)
        await until(lambda: "no handshake within" in caplog.text)
        writer.close()


async def test_one_too_many_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with publishing(max_subscribers=1) as publisher, Subscriber(publisher.address):
        await subscribed(publisher)
        with SlowSubscriber(publisher) as one:
            await _is_cut(one)
        assert len(subscribers(publisher)) == 1
    assert "as many subscribers as max_subscribers allows" in caplog.text


async def test_the_last_descriptors_are_left_to_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing() as publisher:

        def limits(_: int) -> tuple[int, int]:
            return 4, 4  # whatever a subscriber gets is beyond

        with monkeypatch.context() as patch:
            patch.setattr(resource, "getrlimit", limits)
            with SlowSubscriber(publisher) as one:
                await _is_cut(one)
        assert subscribers(publisher) == []
        with Subscriber(publisher.address):
            await subscribed(publisher)
    assert "hardly any open files left for others" in caplog.text


async def test_endless_subscriptions_are_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pub_connection, "_MAX_TOPICS", 3)
    async with publishing() as publisher:
        with SlowSubscriber(publisher) as one:
            one.socket.sendall(b"".join(b"\x00\x02\x01%d" % number for number in range(4)))
            await _is_cut(one)
    assert "more than 3 subscriptions" in caplog.text


async def test_messages_of_a_subscriber_are_of_no_use_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pub_connection, "_MAX_CACHED", 1)
    async with publishing() as publisher:
        with SlowSubscriber(publisher, b"XX.") as one:
            await one.subscribe()
            one.peer.send_message([b"hello", b"there"])
            one.peer.send_subscribe(b"YY.")
            one.socket.sendall(one.peer.data_to_send())
            await until(lambda: [each["topics"] for each in subscribers(publisher)] == [["XX.", "YY."]])
            await publisher.deliver([packet(), packet(stream=OTHER), b"XX."])
            await until(lambda: one.read() and len(one.messages) == 3)
