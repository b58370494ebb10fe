"""ZMQReceiver passes on what another machine or a detector publishes, unchanged, and says what is missing."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from rawdaq import zmq_endpoint
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.options import read_options
from rawdaq.outlet import OverflowPolicy
from rawdaq.packet import Packet, StreamId
from rawdaq.protocols.message import encode
from rawdaq.publisher import Publisher
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.receivers.zmq_in import ZMQReceiver
from rawdaq.settings import StationSettings
from tests.helpers import ROOT, until
from tests.makers import START_NS, STREAM, packet

STATION = StationSettings(network="XX", code="DEMO", location="00")
ANY_PORT = "tcp://127.0.0.1:*"
Item = Packet | bytes


class Keeper(Publisher):
    def __init__(self) -> None:
        super().__init__("keeper")
        self.items: list[Any] = []
        self.door = asyncio.Event()
        self.door.set()

    async def deliver(self, batch: Sequence[Item]) -> None:
        await self.door.wait()
        self.items += batch


@pytest.fixture
def context() -> Generator["zmq.Context[zmq.Socket[bytes]]"]:
    with zmq.Context() as made:
        yield made
        made.destroy(linger=0)


Sender = Any


@contextlib.contextmanager
def sending(context: "zmq.Context[zmq.Socket[bytes]]", kind: int, address: str = ANY_PORT) -> Generator[Sender]:
    """Give a socket that is bound, or that is connected where the address has a port."""
    with context.socket(kind) as made:
        made.linger = 0
        made.sndhwm = 0
        (made.bind if address.endswith("*") else made.connect)(address)
        yield made


def address_of(sender: Sender) -> str:
    return str(sender.getsockopt_string(zmq.LAST_ENDPOINT))


@contextlib.asynccontextmanager
async def receiving(
    *endpoints: str, keeper: Keeper | None = None, **options: Any
) -> AsyncGenerator[tuple[ZMQReceiver, list[Any]]]:
    """Run a receiver; yield it and what it publishes."""
    keeper = keeper or Keeper()
    receiver = ZMQReceiver([keeper], STATION, endpoints=list(endpoints), **options)
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver._state == "running" or task.done())
    try:
        yield receiver, keeper.items
    finally:
        receiver.stop()
        await task


async def subscribed(sender: Sender) -> None:
    """Return when a subscription has arrived at an XPUB socket."""
    await until(lambda: sender.poll(0))
    sender.recv()


# --- messages of rawdaq --------------------------------------------------------------------------------------------


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
    monkeypatch.setattr("rawdaq.receivers.zmq_in._MAX_CACHED", 1)
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


async def test_malformed_messages_are_counted_told_at_a_bounded_rate_and_harm_nothing(
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


async def test_refusals_are_told_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.refusals._TELL_S", 0.001)
    told: list[bool] = []
    async with receiving(ANY_PORT, bind=True) as (receiver, _):
        monkeypatch.setattr(receiver.refusals, "tell", lambda at_once=False: told.append(at_once))
        await until(lambda: len(told) > 3)
    assert told[-1]
    assert not any(told[:-1])


# --- arrays --------------------------------------------------------------------------------------------------------


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


# --- any bytes -----------------------------------------------------------------------------------------------------


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
            sent = 0
            quiet = 0
            while quiet < 50:
                try:
                    pusher.send(b"%6d" % sent + bytes(50_000), zmq.NOBLOCK)
                    sent, quiet = sent + 1, 0
                except zmq.Again:
                    quiet += 1
                    await asyncio.sleep(0.002)
            assert receiver.endpoints[0].status()["held"] == ["a publisher is full"]
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


async def test_who_sends_on_and_on_does_not_keep_us_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def again() -> bool:
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
            receiver.cmd_pause()
            endpoint: Any = receiver.endpoints[0]
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
    with pytest.raises(ComponentError, match=r"cannot connect ZMQ ipc://aaa.*; see that the address exists"):
        async with receiving("ipc://" + "a" * 200):
            pass


# --- options -------------------------------------------------------------------------------------------------------


def problems(**options: Any) -> str:
    return " ".join(mistake.text for mistake in read_options(ZMQReceiver, options, ROOT)[1])


GOOD = "tcp://127.0.0.1:9004"


def test_options_are_checked_before_anything_starts() -> None:
    for address in (GOOD, "tcp://*:9004", "tcp://[::1]:9004", "tcp://host.example:*", "ipc:///run/x"):
        assert problems(endpoints=[address]) == ""
    assert "missing" in problems()
    assert "at least 1 item" in problems(endpoints=[])
    for address in ("127.0.0.1:9004", "tcp://127.0.0.1:99999", "udp://127.0.0.1:9004"):
        assert "is not a zmq address" in problems(endpoints=[address])
    assert "there twice" in problems(endpoints=[GOOD, GOOD])
    wrong: list[dict[str, Any]] = [
        {"pattern": "pub"},
        {"bind": "yes"},
        {"high_water_mark": 0},
        {"max_message_mb": 0.0},
        {"array": {"stream": "HHZ"}},
        {"array": {"stream": "HHZ", "rate_hz": 100, "start": 1}},
        {"streams": "XX.*"},
    ]
    for options in wrong:
        assert problems(endpoints=[GOOD], **options) != "", options


ARRAY = {"stream": ["HHZ", "10.HHN"], "rate_hz": 100}
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"raw": True, "array": ARRAY}, "remove one"),
    ({"raw": True, "streams": ["XX.*"]}, "there are `topics`"),
    ({"array": ARRAY, "streams": ["XX.*"]}, "there are `topics`"),
    ({"raw": True, "topics": ["a"], "pattern": "pull"}, "a `pull` gets everything"),
    ({"topics": ["a"]}, "selected by `streams`"),
    ({"endpoints": [GOOD, "tcp://*:9004"]}, "name the machine to connect to"),
]


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_options_that_do_not_go_together_are_told(given: dict[str, Any], why: str) -> None:
    options, mistakes = read_options(ZMQReceiver, {"endpoints": [GOOD], **given}, ROOT)
    assert mistakes == []
    with pytest.raises(InvalidValue, match=why):
        ZMQReceiver.streams(STATION, options)
    with pytest.raises(InvalidValue, match=why):
        ZMQReceiver([], STATION, **options)


def test_streams_of_a_detector_are_known_from_the_options() -> None:
    options = read_options(ZMQReceiver, {"endpoints": [GOOD], "array": ARRAY}, ROOT)[0]
    assert [str(stream) for stream in ZMQReceiver.streams(STATION, options)] == ["XX.DEMO.00.HHZ", "XX.DEMO.10.HHN"]
    assert ZMQReceiver.streams(STATION, read_options(ZMQReceiver, {"endpoints": [GOOD]}, ROOT)[0]) == []


async def test_a_message_without_samples_counts_and_carries_nothing(context: Any) -> None:
    empty = replace(packet(0, sequence=1), samples=np.empty(0, "<i4"), start_ns=0)
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(address_of(publisher)) as (receiver, items):
            await subscribed(publisher)
            for each in (packet(0, sequence=0), empty, packet(1, sequence=2)):
                publisher.send_multipart(encode(each))
            await until(lambda: len(items) == 2)
            assert receiver.receiver_status()["lost"] == {}
            assert receiver.stats.streams[STREAM].backwards == 0
