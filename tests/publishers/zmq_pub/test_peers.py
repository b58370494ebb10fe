"""Peers that are no good subscribers."""

import asyncio
import logging
import resource

import pytest

from rawdaq.protocols.zmtp import SocketType, ZmtpPeer
from rawdaq.publishers.zmq_pub import connection as pub_connection
from rawdaq.publishers.zmq_pub import publisher as zmq_pub
from rawdaq.sockets import listener
from rawdaq.subscriber import Subscriber
from tests.helpers import until
from tests.live import publishing, subscribed, subscribers
from tests.makers import packet
from tests.publishers.zmq_subscribers import OTHER, SlowSubscriber


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
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("refused a connection from 127.0.0.1: it is no subscriber: ")
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


async def test_one_that_is_refused_again_and_again_fills_no_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_pub, "_CHECK_S", 0.01)
    async with publishing(max_subscribers=1) as publisher, Subscriber(publisher.address):
        await subscribed(publisher)
        watching = asyncio.ensure_future(publisher.watch())
        for _ in range(20):
            with SlowSubscriber(publisher) as one:
                await _is_cut(one)
        reason = "there are as many subscribers as max_subscribers allows"
        assert caplog.messages == [f"refused a connection from 127.0.0.1: {reason}"]
        assert publisher.status()["turned_away"] == {reason: 20}
        publisher._refusals._newest[reason][0].interval_s = 0.0  # a minute has passed
        await until(lambda: len(caplog.messages) == 2)
        watching.cancel()
        with SlowSubscriber(publisher) as one:
            await _is_cut(one)
    assert caplog.messages[1] == f"refused 19 connections, the last one from 127.0.0.1: {reason}"


async def test_the_last_descriptors_are_left_to_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing() as publisher:

        def limits(_: int) -> tuple[int, int]:
            return 4, 4  # whatever a subscriber gets is beyond

        monkeypatch.setattr(listener, "_RETRY_S", 0.01)
        with monkeypatch.context() as patch:
            patch.setattr(resource, "getrlimit", limits)
            reason = f"{publisher.address}: connections have to wait: hardly any open files are left for others; raise"
            with Subscriber(publisher.address):
                await until(lambda: reason in caplog.text)
                assert subscribers(publisher) == []
                patch.undo()
                await subscribed(publisher)
    assert caplog.text.count("connections have to wait") == 1
    assert "Traceback" not in caplog.text


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
