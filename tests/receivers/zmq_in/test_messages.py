"""ZMQReceiver passes on messages that are no waveforms: chosen, checked, numbered anew, losses kept visible."""

import json
from typing import Any

import pytest
import zmq

from rawdaq.config.options import read_options
from rawdaq.errors import InvalidValue
from rawdaq.messages.frames import encode
from rawdaq.messages.message import Message
from rawdaq.protocols.message import encode as encode_packet
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver
from rawdaq.streams import topics
from tests.helpers import ROOT, until
from tests.makers import message, packet
from tests.receivers.zmq_senders import STATION, Keeper, address_of, receiving, sending, subscribed


class MessageKeeper(Keeper):
    takes_messages = True

    async def deliver(self, batch: Any) -> None:
        await super().deliver(batch)


def event(frame: int, topic: str = "~event.XX.DEMO.Triggers", **more: Any) -> Message:
    return message(frame, topic, **more).published(frame, "Triggers", 5)


async def test_messages_keep_who_made_them_and_losses_stay_visible(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        options: dict[str, Any] = {"messages": ["~event.XX", "~log"], "keeper": MessageKeeper()}
        async with receiving(address_of(publisher), **options) as (receiver, items):
            await subscribed(publisher)
            await subscribed(publisher)
            publisher.send_multipart(encode_packet(packet()))  # nobody has subscribed to waveforms
            for frame in (3, 4, 7, 0):
                publisher.send_multipart(encode(event(frame, payload=b"payload")))
            publisher.send_multipart(encode(event(9, "~log")))
            await until(lambda: len(items) == 5)
            status: Any = receiver.cmd_status()
    assert [(each.topic, each.header["index"], each.frame) for each in items] == [
        ("~event.XX.DEMO.Triggers", 3, 0),
        ("~event.XX.DEMO.Triggers", 4, 1),
        ("~event.XX.DEMO.Triggers", 7, 4),
        ("~event.XX.DEMO.Triggers", 0, 5),
        ("~log", 9, 0),
    ]
    assert {(each.component, each.received_ns) for each in items} == {("Triggers", 5)}
    assert items[0].payload == b"payload"
    assert status["receiver"]["lost"] == {"~event.XX.DEMO.Triggers": 2}
    assert status["topics"]["~event.XX.DEMO.Triggers"]["skipped"] == 2


async def test_waveforms_come_too_where_streams_are_named(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        options: dict[str, Any] = {"messages": ["~"], "streams": ["XX.*"], "keeper": MessageKeeper()}
        async with receiving(address_of(publisher), **options) as (_, items):
            await subscribed(publisher)
            await subscribed(publisher)
            publisher.send_multipart(encode_packet(packet(1)))
            publisher.send_multipart(encode(event(0)))
            publisher.send_multipart(encode_packet(packet(2)))
            await until(lambda: len(items) == 3)
    assert {type(each).__name__ for each in items} == {"Packet", "Message"}


async def test_a_pull_passes_on_what_is_wanted_only(context: Any) -> None:
    with sending(context, zmq.PUSH) as pusher:
        options: dict[str, Any] = {"messages": ["~event"], "pattern": "pull", "keeper": MessageKeeper()}
        async with receiving(address_of(pusher), **options) as (receiver, items):
            pusher.send_multipart(encode_packet(packet(1)))
            pusher.send_multipart(encode(event(0, "~log")))
            pusher.send_multipart(encode(event(0)))
            await until(lambda: len(items) == 1)
            refused: Any = receiver.receiver_status()["refused"]
    assert (items[0].topic, refused) == ("~event.XX.DEMO.Triggers", 0)


async def test_what_is_malformed_or_of_a_later_layout_is_counted_and_skipped(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "MAX_TOPICS", 1)
    later = json.dumps({**event(0).header, "rawdaq": 2}).encode()
    with sending(context, zmq.PUSH) as pusher:
        options: dict[str, Any] = {"messages": ["~"], "pattern": "pull", "keeper": MessageKeeper()}
        async with receiving(address_of(pusher), **options) as (receiver, items):
            pusher.send_multipart(encode(event(0)))
            for parts in ([b"~log"], [b"~log", b"{"], [event(0).topic.encode(), later], [b"~other", b"{}"]):
                pusher.send_multipart(parts)
            pusher.send_multipart(encode(event(0, "~log")))
            pusher.send_multipart(encode(event(1, new_key=[1])))
            await until(lambda: len(items) == 2)
            status: Any = receiver.receiver_status()
    assert [each.header["index"] for each in items] == [0, 1]
    assert status["refused_by_reason"] == {
        "wrong number of frames": 1,
        "unreadable header": 1,
        "later layout": 1,
        "unknown topic": 1,
        "too many topics": 1,
    }


@pytest.mark.parametrize("topic", ["event", "~events", "", "~event XX"])
def test_topics_that_cannot_be_are_told(topic: str) -> None:
    _, mistakes = read_options(ZMQReceiver, {"endpoints": ["tcp://127.0.0.1:9"], "messages": [topic]}, ROOT)
    assert "is none of ~readout, ~event" in mistakes[0].text


def test_messages_are_not_among_what_is_not_rawdaqs() -> None:
    with pytest.raises(InvalidValue, match="`messages` are rawdaq's, and with `raw` nothing is"):
        ZMQReceiver([], STATION, endpoints=["tcp://127.0.0.1:9"], messages=["~log"], raw=True)
