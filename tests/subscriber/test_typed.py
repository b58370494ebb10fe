"""Typed subscribers: values of one kind, sync and async, losses counted, malformed messages skipped."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

import rawdaq
from rawdaq.errors import InvalidValue
from rawdaq.messages.frames import encode
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Message
from rawdaq.messages.monitor import TOPIC, ComponentReport
from rawdaq.messages.values import ReadoutArray, ReceivedEvent, Telemetry
from rawdaq.subscriber import (
    EventSubscriber,
    LogSubscriber,
    MessageLoss,
    MessageSubscriber,
    MonitorSubscriber,
    ReadoutSubscriber,
    TelemetrySubscriber,
)
from rawdaq.subscriber.connections import LiveReader
from tests.helpers import DEADLINE_S
from tests.live import publishing, subscribed
from tests.makers import START_NS, message, packet
from tests.subscriber.feeds import Feed

READOUT = {"htype": "array-1.0", "type": "int16", "shape": [1, 2], "slots": [3], "number": 1, "reason": "complete"}


def made(topic: str, frame: int = 0, payload: bytes = b"", **header: Any) -> Message:
    return Message(topic, header, payload).published(frame, "Name", START_NS)


def log(frame: int, level: int = 20, name: str = "daq", component: str = "") -> Message:
    return LogRecord(START_NS, level, name, f"{frame}", component).message_of().published(frame, "Logs", START_NS)


def send(feed: Feed, *messages: Message) -> None:
    for each in messages:
        feed.send_frames(*map(bytes, encode(each)))


def take(subscriber: LiveReader[Any], count: int) -> list[Any]:
    """Return the next *count* values."""
    return [subscriber.receive(DEADLINE_S) for _ in range(count)]


CASES: list[tuple[type[LiveReader[Any]], Message, type[object]]] = [
    (EventSubscriber, made("~event.XX.DEMO.T", type="on"), ReceivedEvent),
    (TelemetrySubscriber, made("~telemetry.XX.DEMO.SOH", values={"t": 1}), Telemetry),
    (ReadoutSubscriber, made("~readout.XX.ARRAY.A", 0, np.array([1, 2], "<i2").tobytes(), **READOUT), ReadoutArray),
    (LogSubscriber, log(0), LogRecord),
    (MonitorSubscriber, made(TOPIC, name="XX.DEMO.T", state="running"), ComponentReport),
    (MessageSubscriber, made("~event.XX.DEMO.T"), Message),
]


@pytest.mark.parametrize(("reader", "sent", "value"), CASES)
def test_each_gives_values_of_its_kind_and_leaves_all_else(
    feed: Feed, reader: Any, sent: Message, value: type[object]
) -> None:
    others = [each for _, each, _ in CASES if each.kind is not sent.kind]
    with reader(feed.address) as subscriber:
        topics = feed.await_subscriber(5 if reader is MessageSubscriber else 1)
        feed.send(packet())
        send(feed, *([] if reader is MessageSubscriber else others), sent)
        items = take(subscriber, 1)
    assert [type(each) for each in items] == [value]
    assert all(topic.startswith(b"~") for topic in topics)
    assert (subscriber.malformed, subscriber.lost.total()) == (0, 0)
    assert subscriber.received == {sent.topic: 1}


@pytest.mark.parametrize("name", [case[0].__name__ for case in CASES[:-1]])
def test_they_are_imported_from_the_root(name: str) -> None:
    assert getattr(rawdaq, name) in [case[0] for case in CASES]


async def test_async_iteration_reads_what_a_publisher_delivers() -> None:
    events = [made("~event.XX.DEMO.T", index, type=f"{index}") for index in range(300)]
    async with publishing() as publisher, EventSubscriber(publisher.address, timeout_s=30.0) as subscriber:
        await subscribed(publisher)
        await publisher.deliver([packet(), *events])
        types: list[str | None] = []
        async for event in subscriber:
            types.append(event.type)
            if len(types) == 300:
                subscriber.timeout_s = 0.1
        assert types == [f"{index}" for index in range(300)]


async def test_async_reader_waits_and_lets_others_run() -> None:
    async with publishing() as publisher, LogSubscriber(publisher.address) as subscriber:
        reading = asyncio.create_task(subscriber.areceive(30))
        await subscribed(publisher)
        await publisher.deliver([log(0)])
        record = await reading
        assert record is not None
        assert record.message == "0"
        assert await subscriber.areceive(0.01) is None


def test_jumps_of_frame_are_told_and_counted_by_topic(feed: Feed) -> None:
    losses: list[MessageLoss] = []
    with EventSubscriber(feed.address, on_loss=losses.append) as subscriber:
        feed.await_subscriber()
        send(feed, *(made("~event.XX.DEMO.T", frame) for frame in (5, 6, 9, 0, 1)), made("~event.XX.DEMO.U", 7))
        assert len(take(subscriber, 6)) == 6
    assert subscriber.lost == {"~event.XX.DEMO.T": 2}
    assert [(each.topic, each.missing, each.next_message.frame, each.address) for each in losses] == [
        ("~event.XX.DEMO.T", 2, 9, feed.address)
    ]


def test_what_is_malformed_or_later_is_counted_and_the_next_is_read(feed: Feed) -> None:
    with EventSubscriber(feed.address) as subscriber:
        feed.await_subscriber()
        good = made("~event.XX.DEMO.T", type="good")
        later = json.dumps({**good.header, "rawdaq": 2}).encode()
        for frames in ([b"~event"], [b"~event", b"{"], [good.topic.encode(), later], [b"~events", b"{}"]):
            feed.send_frames(*frames)
        send(feed, made("~event.XX.DEMO.T", 0, type=5), good)
        assert [event.type for event in take(subscriber, 1)] == ["good"]
    assert subscriber.refusals.by_reason == {
        "wrong number of frames": 1,
        "unreadable header": 1,
        "later layout": 1,
        "unknown topic": 1,
        "wrong header": 1,
    }


def test_names_select_components_and_the_publisher_is_told(feed: Feed) -> None:
    with EventSubscriber(feed.address, ["XX.D*.T", "YY.*"]) as subscriber:
        assert feed.await_subscriber(2) == {b"~event.XX.D", b"~event.YY."}
        topics = ["XX.DEMO.U", "XX.E.T", "XX.DEMO.T", "XX.DEMO.U", "YY.A.B"]
        send(feed, *(made(f"~event.{topic}", type=topic) for topic in topics))
        assert [event.type for event in take(subscriber, 2)] == ["XX.DEMO.T", "YY.A.B"]


def test_log_records_are_selected_by_level_and_name(feed: Feed) -> None:
    with LogSubscriber(feed.address, ["daq.*", "XX.*"], level=30) as subscriber:
        feed.await_subscriber()
        send(
            feed,
            log(0, 40, "daq.x"),
            log(1, 20, "daq.x"),
            log(2, 30, "other"),
            log(3, 30, "other", "XX.DEMO.T"),
        )
        assert [record.message for record in take(subscriber, 2)] == ["0", "3"]
    assert subscriber.lost.total() == 0  # what is not selected has come all the same


def test_reports_are_selected_by_name(feed: Feed) -> None:
    with MonitorSubscriber(feed.address, "XX.*") as subscriber:
        feed.await_subscriber()
        send(feed, made(TOPIC, 0, name="YY.A.B"), made(TOPIC, 1, name="XX.A.B"))
        assert [report.name for report in take(subscriber, 1)] == ["XX.A.B"]


def test_kinds_are_mixed_in_the_order_in_which_they_come(feed: Feed) -> None:
    with MessageSubscriber(feed.address, ["log", "event"]) as subscriber:
        assert feed.await_subscriber(2) == {b"~log", b"~event"}
        sent = [log(0), made("~event.XX.DEMO.T"), log(1)]
        send(feed, *sent)
        assert take(subscriber, 3) == sent


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(InvalidValue, match="there are readout, event"):
        MessageSubscriber("tcp://127.0.0.1:9", ["logs"])
    with pytest.raises(InvalidValue, match="needs an address"):
        EventSubscriber([])
    assert message().topic
