"""ZMQReceiver passes on what another machine or a detector publishes, unchanged, and says what is missing."""

import asyncio
import json
import time
from typing import Any

import numpy as np
import pytest
import zmq

from rawdaq.config.options import read_options
from rawdaq.packet import Packet
from rawdaq.protocols.message import encode
from rawdaq.publishers.zmq_any import ZMQPublisher
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver
from rawdaq.stream_id import StreamId
from tests.helpers import ROOT, until
from tests.makers import START_NS, STREAM, packet
from tests.receivers.zmq_senders import ANY_PORT, Keeper, address_of, is_bound, receiving, sending, subscribed


async def test_packets_keep_names_times_qualities_and_numbers_and_get_our_time_of_arrival(context: Any) -> None:
    sent = [packet(index, sequence=100 + index, timing_quality=90, received_ns=5) for index in range(3)]
    sent += [Packet(StreamId.parse("YY.OTHER..BHN"), START_NS, 62.5, np.ones(7, ">f4"), None, 7)]
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher)) as (receiver, items):
            await subscribed(publisher)
            began_ns = time.time_ns()
            for each in sent:
                publisher.send_multipart(encode(each))
            await until(lambda: len(items) == 4)
            assert receiver.receiver_status()["lost"] == {}
    for before, after in zip(sent, items, strict=True):
        assert (after.stream, after.start_ns, after.rate_hz) == (before.stream, before.start_ns, before.rate_hz)
        assert (after.timing_quality, after.sequence) == (before.timing_quality, before.sequence)
        assert (after.sample_type, after.samples.tolist()) == (before.sample_type, before.samples.tolist())
        assert began_ns <= after.received_ns <= time.time_ns()


async def test_a_station_is_relayed_from_publisher_to_publisher() -> None:
    first, second = ZMQTCPPublisher("127.0.0.1", 0), Keeper()
    await first.open()
    try:
        async with receiving(first.address, keeper=second) as (_, items):
            await until(lambda: first.status()["subscribers"])
            await until(lambda: first.status()["subscribers"][0]["topics"] == [""])  # type: ignore[index]
            await first.deliver([packet(index, sequence=index) for index in range(500)])
            await until(lambda: len(items) == 500)
    finally:
        await first.aclose()
    assert [each.sequence for each in items] == list(range(500))


@pytest.mark.parametrize("options", [{"streams": True}, {"topics": True, "raw": True}])
async def test_thousands_of_patterns_arrive_all_also_after_a_reconnection(
    context: Any, options: dict[str, Any]
) -> None:
    names = [f"XX.S{number:04d}.00.HHZ" for number in range(3000)]
    options = {key: names if key != "raw" else True for key in options}
    arrived: set[bytes] = set()

    def all_arrived(publisher: Any) -> bool:
        while publisher.poll(0):
            message = publisher.recv()
            arrived.update([message[1:]] if message[:1] == b"\x01" else [])
        return len(arrived) == len(names)

    with sending(context, zmq.XPUB) as publisher:
        address = address_of(publisher)
        async with receiving(address, **options):
            await until(lambda: all_arrived(publisher))
            publisher.close()
            arrived.clear()
            with context.socket(zmq.XPUB) as again:
                again.linger = 0
                await until(lambda: is_bound(again, address))
                await until(lambda: all_arrived(again))
    assert arrived == {name.encode() for name in names}


async def _publish_again_and_again(publisher: ZMQPublisher, streams: list[StreamId]) -> None:
    """Publish a packet of each stream until cancelled: a PUB socket does not say when a subscription has arrived."""
    while True:
        await publisher.deliver([packet(stream=stream) for stream in streams])
        await asyncio.sleep(0.05)


async def test_thousands_of_patterns_reach_a_publisher_that_is_libzmqs_own() -> None:
    streams = [StreamId("XX", f"S{number:04d}", "00", "HHZ") for number in range(3000)]
    publisher = ZMQPublisher(bind=ANY_PORT)
    await publisher.open()
    try:
        async with receiving(publisher.address, streams=[str(stream) for stream in streams]) as (_, items):
            sending = asyncio.ensure_future(_publish_again_and_again(publisher, streams))
            await until(lambda: len({each.stream for each in items}) == len(streams))
            sending.cancel()
    finally:
        await publisher.aclose()


async def test_lost_messages_are_counted_by_stream_and_a_restart_is_no_loss(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher)) as (receiver, items):
            await subscribed(publisher)
            for sequence in (5, 6, 9, 10, 0, 1, 3):
                publisher.send_multipart(encode(packet(sequence, sequence=sequence)))
            await until(lambda: len(items) == 7)
            assert receiver.receiver_status()["lost"] == {str(STREAM): 3}
    assert [each.sequence for each in items] == [5, 6, 9, 10, 0, 1, 3]


async def test_only_streams_that_match_are_published_and_log_messages_are_not_samples(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.subscriber.messages._MAX_CACHED", 1)
    names = ["XX.DEMO.00.HHZ", "XX.DEMO.00.HHN", "XX.DEMO.00.BHZ", "YY.DEMO.00.HHZ"]
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher), streams=["XX.*.HH?"]) as (receiver, items):
            await subscribed(publisher)
            publisher.send_multipart([b"~log", b"{}"])
            for name in names * 2:
                publisher.send_multipart(encode(packet(stream=StreamId.parse(name))))
            await until(lambda: len(items) == 4)
            assert receiver.receiver_status()["refused"] == 0
    assert [str(each.stream) for each in items] == names[:2] * 2


async def test_log_messages_are_passed_over(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher)) as (receiver, items):
            await subscribed(publisher)
            publisher.send_multipart([b"~log", b"{}"])
            publisher.send_multipart(encode(packet()))
            await until(lambda: items)
            assert receiver.receiver_status()["refused"] == 0


MALFORMED = {
    "wrong number of frames": [b"XX.DEMO.00.HHZ"],
    "unreadable header": [b"XX.DEMO.00.HHZ", b"{", b""],
    "wrong header": [b"XX.DEMO.00.HHZ", b'{"rawdaq": 1}', b""],
    "later layout": [b"XX.DEMO.00.HHZ", b'{"rawdaq": 2}', b""],
    "wrong size": [*encode(packet())[:2], b"123"],
}


async def test_malformed_messages_are_counted_logged_at_a_bounded_rate_and_harm_nothing(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with sending(context, zmq.PUSH) as pusher:
        address = address_of(pusher)
        async with receiving(address, pattern="pull") as (receiver, items):
            for _ in range(300):
                for frames in MALFORMED.values():
                    pusher.send_multipart(frames)
            pusher.send_multipart(encode(packet()))
            await until(lambda: items)
            status = receiver.receiver_status()
            assert status["refused_by_reason"] == dict.fromkeys(MALFORMED, 300)
            assert status["refused_by_sender"] == {address: dict.fromkeys(MALFORMED, 300)}
            told = [line for line in caplog.messages if line.startswith("refused")]
            assert len(told) == 5
            assert f"refused a message from {address}: wrong size: samples of 3 bytes" in " ".join(told)
    assert sum("refused 299 messages" in line for line in caplog.messages) == 5  # at the end


async def test_refusals_are_logged_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.sockets.refusals._CHECK_S", 0.001)
    logged: list[bool] = []
    async with receiving(ANY_PORT, bind=True) as (receiver, _):
        monkeypatch.setattr(receiver.messages.refusals, "log", lambda at_once=False: logged.append(at_once))
        for _ in range(2):  # the first is logged at once
            receiver.messages.refusals.count("malformed", "a sender")
        await until(lambda: len(logged) > 3)
    assert logged[-1]
    assert not any(logged[:-1])


def array_frames(array: np.ndarray[Any, Any], frame: int, **header: Any) -> list[bytes]:
    fields = {"htype": "array-1.0", "type": array.dtype.name, "shape": list(array.shape), "frame": frame, **header}
    return [json.dumps(fields).encode(), array.tobytes()]


async def test_arrays_of_a_detector_become_packets_that_we_number(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with sending(context, zmq.PUSH) as pusher:
        array = {"stream": "HHZ", "rate_hz": 1000.0, "time_key": "t"}
        options = read_options(ZMQReceiver, {"endpoints": [address_of(pusher)], "array": array}, ROOT)[0]
        async with receiving(address_of(pusher), pattern="pull", array=options["array"]) as (receiver, items):
            for frame in (7, 8, 11):
                samples = np.arange(100, dtype="<u2")
                pusher.send_multipart(array_frames(samples, frame, t=START_NS + frame * 10**8))
            pusher.send_multipart([b"{}", b""])
            await until(lambda: len(items) == 3)
            await until(lambda: receiver.receiver_status()["refused"])
            assert receiver.receiver_status()["lost"] == {address_of(pusher): 2}
            await until(lambda: "gap of 0.200000 s (200 samples)" in caplog.text)
    assert [each.sequence for each in items] == [0, 1, 2]
    assert items[0] == Packet(
        StreamId("XX", "DEMO", "00", "HHZ"),
        START_NS + 7 * 10**8,
        1000.0,
        np.arange(100, dtype="int32"),
        received_ns=items[0].received_ns,
    )


async def test_topics_select_what_is_subscribed_to(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher), topics=["cam", "x"], raw=True) as (_, items):
            await subscribed(publisher)
            await subscribed(publisher)
            for topic in (b"other", b"camera", b"xy"):
                publisher.send(topic)
            await until(lambda: len(items) == 2)
    assert items == [b"camera", b"xy"]


async def test_a_message_without_samples_counts_and_carries_nothing(context: Any) -> None:
    empty = packet(0, sequence=1).replace(samples=np.empty(0, "<i4"), start_ns=0)
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher)) as (receiver, items):
            await subscribed(publisher)
            for each in (packet(0, sequence=0), empty, packet(1, sequence=2)):
                publisher.send_multipart(encode(each))
            await until(lambda: len(items) == 2)
            assert receiver.receiver_status()["lost"] == {}
            assert receiver.stats.streams[STREAM].backwards == 0
