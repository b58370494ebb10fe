"""Frames of a detector are passed on whole; what is malformed is counted by reason and harms nothing."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
import zmq

from rawdaq.config.options import read_options
from rawdaq.errors import InvalidValue
from rawdaq.multipart import Multipart
from rawdaq.protocols.array import BinaryHeader
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver
from tests.helpers import ROOT, until
from tests.receivers.zmq_senders import ANY_PORT, STATION, Keeper, address_of, receiving, sending, subscribed


class FrameKeeper(Keeper):
    takes_multiparts = True

    async def deliver(self, batch: Sequence[Any]) -> None:
        await super().deliver(batch)


def frame(number: object, data: bytes = b"data", *more: bytes) -> list[bytes]:
    return [json.dumps({"frame": number}).encode(), data, *more]


def parts(messages: list[Multipart]) -> list[list[bytes]]:
    return [[bytes(part) for part in message.parts] for message in messages]


async def test_messages_stay_whole_and_large_parts_are_not_copied(context: Any) -> None:
    sent = [frame(0), frame(1, bytes(100_000), b"", b"x"), frame(2, *[b"p"] * 98), [b'{"frame":3}']]
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), pattern="pull", frames=True) as (
            receiver,
            items,
        ):
            for each in sent:
                pusher.send_multipart(each)
            await until(lambda: len(items) == 4)
            shown: Any = receiver.receiver_status()
    assert parts(items) == sent
    assert [message.frame for message in items] == [0, 1, 2, 3]
    assert isinstance(items[1].parts[1], memoryview)
    assert (items[0].keys, items[0].size_bytes) == ({"frame": 0}, 16)
    assert (shown["received"], shown["received_bytes"]) == (4, sum(len(part) for each in sent for part in each))
    assert (shown["messages"], shown["bytes"], shown["lost"]) == (4, shown["received_bytes"], 0)


async def test_publishers_that_take_no_messages_get_the_parts_as_bytes(context: Any) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), pattern="pull", frames=True) as (_, items):
            pusher.send_multipart(frame(0, bytes(100_000)))
            await until(lambda: len(items) == 2)
    assert items == frame(0, bytes(100_000))


async def test_losses_and_restarts_show_by_the_numbers(context: Any) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), pattern="pull", frames=True) as (
            receiver,
            items,
        ):
            for number in (5, 6, 9, 9, 10, 0, 1, 4):
                pusher.send_multipart(frame(number))
            await until(lambda: len(items) == 8)
            shown: Any = receiver.receiver_status()
    assert [shown[name] for name in ("lost", "restarts", "first_frame", "last_frame")] == [4, 1, 5, 4]


async def test_subscribed_frames_with_topics_and_binary_headers(context: Any) -> None:
    options: dict[str, Any] = {"frames": True, "header_part": 1, "mode_metadata": "TestMetadata", "topics": ["camera"]}
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher), keeper=FrameKeeper(), **options) as (_, items):
            await subscribed(publisher)
            publisher.send_multipart([b"other", BinaryHeader(1).encode(), b""])
            publisher.send_multipart([b"camera1", BinaryHeader(2).encode(), b""])
            await until(lambda: items)
    assert [(message.frame, message.keys, message.header_part) for message in items] == [(2, None, 1)]


WRONG = {
    "unreadable header": [b"\xff", b"data"],
    "no frame number": [b"{}", b"data"],
}


async def test_malformed_frames_are_counted_logged_once_a_minute_and_harm_nothing(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), pattern="pull", frames=True) as (
            receiver,
            items,
        ):
            for number in range(300):
                pusher.send_multipart(frame(number))
                for wrong in WRONG.values():
                    pusher.send_multipart(wrong)
            await until(lambda: len(items) == 300)
            await until(lambda: receiver.receiver_status()["received"] == 900)
            shown: Any = receiver.receiver_status()
            logged = [line for line in caplog.messages if line.startswith("refused")]
    assert shown["refused_by_reason"] == dict.fromkeys(WRONG, 300)
    assert shown["lost"] == 0
    assert len(logged) == 2


async def test_a_message_with_too_few_parts_has_no_header(context: Any) -> None:
    options: dict[str, Any] = {"frames": True, "header_part": 1, "pattern": "pull"}
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), **options) as (receiver, items):
            pusher.send_multipart([b'{"frame":0}'])
            pusher.send_multipart([b"topic", b'{"frame":1}'])
            await until(lambda: items)
            assert receiver.receiver_status()["refused_by_reason"] == {"no header": 1}


async def test_ten_thousand_random_messages_do_not_hide_the_good_ones(context: Any) -> None:
    chance = random.Random(7)
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), pattern="pull", frames=True) as (
            receiver,
            items,
        ):
            for number in range(10_000):
                wrong = [chance.randbytes(chance.randrange(40)) for _ in range(chance.randrange(1, 4))]
                wrong[0] = wrong[0] if number % 2 else json.dumps({"frame": number}).encode()[: chance.randrange(10)]
                pusher.send_multipart(wrong)
                if number % 10 == 0:
                    pusher.send_multipart(frame(number))
            await until(lambda: len(items) == 1000)
            await until(lambda: receiver.receiver_status()["received"] == 11_000)
            assert receiver.receiver_status()["refused"] == 10_000
    assert [message.frame for message in items] == list(range(0, 10_000, 10))


async def test_a_frame_above_the_limit_ends_the_connection_and_is_counted(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.sockets.zeromq.dialling._GIVEN_UP_S", 0.01)
    monkeypatch.setattr("rawdaq.sockets.zeromq.connection_state._PATIENCE_S", 0.0)
    options: dict[str, Any] = {"frames": True, "pattern": "pull", "max_message_mb": 0.01}
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), **options) as (receiver, items):
            pusher.send_multipart(frame(0))
            await until(lambda: items)
            pusher.send_multipart(frame(1, bytes(20_000)))
            await until(lambda: receiver.receiver_status()["refused"])
            assert receiver.receiver_status()["refused_by_reason"] == {"too large": 1}
            for number in range(2, 1000):
                pusher.send_multipart(frame(number))
            await until(lambda: len(items) > 1)


async def test_large_frames_are_read_one_after_the_other(context: Any) -> None:
    with sending(context, zmq.PUSH) as pusher:
        async with receiving(address_of(pusher), keeper=FrameKeeper(), pattern="pull", frames=True) as (_, items):
            for number in range(20):
                pusher.send_multipart(frame(number, bytes(2_000_000)))
            await until(lambda: len(items) == 20)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"frames": True, "raw": True}, "remove one of raw and frames"),
    ({"frames": True, "streams": ["XX.*"]}, "with `frames` there are `topics`"),
]


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_options_that_do_not_go_together_are_refused(given: dict[str, Any], why: str) -> None:
    options, mistakes = read_options(ZMQReceiver, {"endpoints": [ANY_PORT], "bind": True, **given}, ROOT)
    assert mistakes == []
    with pytest.raises(InvalidValue, match=why):
        ZMQReceiver.streams(STATION, options)


@pytest.mark.parametrize("given", [{"mode_metadata": "gff"}, {"header_part": -1}, {"io_threads": 0}])
def test_wrong_options_are_named(given: dict[str, Any]) -> None:
    _, mistakes = read_options(ZMQReceiver, {"endpoints": ["tcp://127.0.0.1:9609"], **given}, ROOT)
    assert [mistake.where[0] for mistake in mistakes] == list(given)
