"""Live messages go ahead of the packets that they carry, and are the same, whoever listens to what."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np
import pytest

from rawdaq.endpoints import Endpoint
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.message import decode
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.settings import StationSettings
from rawdaq.subscriber import Subscriber
from tests.fake_device import Described, Session, fake_device, wire
from tests.helpers import until
from tests.live import subscribed
from tests.makers import START_NS
from tests.packet_keeper import PacketKeeper
from tests.publishers.zmq_subscribers import SlowSubscriber, ZmqSub, received
from tests.servers import serving

STATION = StationSettings(network="XX", code="DEMO", location="00")
CHANNELS = {1: Described(), 2: Described("100", "big", "int32")}
NAMES = {1: "HHZ", 2: "HHN"}
ROUNDS = 20


def round_of(index: int, channels: Iterable[int] = CHANNELS, size: int = 10) -> bytes:
    """Return what the device sends at once: a packet of each channel."""
    samples = {1: np.arange(size, dtype="<i4"), 2: np.arange(size, dtype=">i4")}
    at_ns = START_NS + index * size * 10_000_000
    return b"".join(wire(channel, at_ns, samples[channel].tobytes(), size) for channel in channels)


class Device:
    """Sends one round when it is asked to, so that each comes alone."""

    def __init__(self) -> None:
        self.session: Session | None = None

    async def play(self, session: Session) -> None:
        await session.handshake(CHANNELS)
        self.session = session
        await session.until_closed()

    async def send(self, data: bytes, receiver: RawReceiver) -> None:
        """Send *data*, and return when *receiver* has published it."""
        assert self.session
        known = sum(each.packets for each in receiver.stats.streams.values())
        await self.session.send(data)
        await until(lambda: sum(each.packets for each in receiver.stats.streams.values()) > known)


@asynccontextmanager
async def live(
    receiver_class: type[RawReceiver] = RawReceiver, live_port: int = 0, **options: Any
) -> AsyncGenerator[tuple[Device, RawReceiver, ZMQTCPPublisher, PacketKeeper]]:
    """Run a receiver with a live stream, and a publisher that keeps its packets, connected to a device."""
    device, keeper = Device(), PacketKeeper()
    publisher = ZMQTCPPublisher("127.0.0.1", live_port, name="live", **options)
    async with fake_device(device.play) as port:
        receiver = receiver_class([publisher, keeper], STATION, port=port, channels=NAMES)
        async with serving(receiver):
            await until(lambda: device.session is not None and len(receiver.formats) == len(CHANNELS))
            yield device, receiver, publisher, keeper


def of(receiver: RawReceiver, name: str) -> dict[str, Any]:
    """Return the status of a publisher."""
    return cast("dict[str, dict[str, Any]]", receiver.cmd_status()["publishers"])[name]


@pytest.mark.usefixtures("each_way_of_single_packets")
@pytest.mark.parametrize("channels", [[1], [1, 2]])  # the second one has samples that a message must turn
async def test_subscribers_get_every_packet_once_as_all_others_get_it(channels: list[int]) -> None:
    async with live() as (device, receiver, publisher, keeper), Subscriber(publisher.address) as all_of_it:
        with ZmqSub(b"XX.DEMO.00.HHZ") as one, ZmqSub(b"XX.OTHER.") as none:
            one.connect(publisher.address)
            none.connect(publisher.address)
            await subscribed(publisher, 3)
            for index in range(ROUNDS):
                await device.send(round_of(index, channels), receiver)
            total = ROUNDS * len(channels)
            await until(lambda: len(keeper.packets) == total)
            assert [await all_of_it.areceive(30) for _ in range(total)] == keeper.packets
            wanted = [each for each in keeper.packets if each.stream.channel == "HHZ"]
            assert [decode(frames) for frames in await received(one, len(wanted))] == wanted
            assert [each.sequence for each in wanted] == list(range(ROUNDS))
            status = of(receiver, "live")
            assert (status["delivered"], status["published"], status["dropped"]) == (total, total, 0)
            assert (status["sent"], sum(each["sent"] for each in status["subscribers"])) == (total + len(wanted),) * 2


async def test_a_packet_that_comes_alone_is_not_made_before_its_message_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    usual = ZMQTCPPublisher.deliver_now

    def counting(self: ZMQTCPPublisher, batch: Sequence[Any]) -> bool:
        made.append(len(batch))
        return usual(self, batch)

    monkeypatch.setattr(ZMQTCPPublisher, "deliver_now", counting)
    async with live() as (device, receiver, publisher, _), Subscriber(publisher.address):
        await subscribed(publisher)
        for index in range(ROUNDS):
            await device.send(round_of(index, [1]), receiver)
        assert of(receiver, "live")["sent"] == ROUNDS
    assert made == [1]  # the first one tells what the others have in common


async def test_a_subclass_that_changes_what_is_published_has_nothing_ahead_of_it() -> None:
    class Thinning(RawReceiver):
        def publish_now(self, data: Iterable[Packet | PacketRun | bytes], endpoint: Endpoint) -> None:
            kept = [each for each in data if isinstance(each, Packet) and each.sequence % 2 == 0]
            super().publish_now(kept, endpoint)

    async with live(Thinning) as (device, receiver, publisher, keeper), Subscriber(publisher.address) as subscriber:
        await subscribed(publisher)
        for index in range(0, ROUNDS, 2):
            await device.send(round_of(index, [1]) + round_of(index + 1, [1]), receiver)
        await until(lambda: len(keeper.packets) == ROUNDS // 2)
        assert [await subscriber.areceive(30) for _ in keeper.packets] == keeper.packets
        assert of(receiver, "live")["sent"] == ROUNDS // 2


async def test_a_new_description_holds_for_the_messages_after_it() -> None:
    turns: asyncio.Queue[int] = asyncio.Queue()

    async def play(session: Session) -> None:
        await session.handshake({1: Described("200" if session.number else "100")})
        for _ in range(3):
            await session.send(round_of(await turns.get(), [1]))
        if session.number:
            await session.until_closed()

    keeper, publisher = PacketKeeper(), ZMQTCPPublisher("127.0.0.1", 0)
    async with fake_device(play) as port:
        receiver = RawReceiver(
            [publisher, keeper], STATION, port=port, channels={1: "HHZ"}, reconnect_first_s=0.01, reconnect_max_s=0.02
        )
        async with serving(receiver), Subscriber(publisher.address) as subscriber:
            await subscribed(publisher)
            got: list[Packet | None] = []
            for index in range(6):
                turns.put_nowait(index)
                got.append(await subscriber.areceive(30))
            await until(lambda: len(keeper.packets) == len(got))
    assert got == keeper.packets
    assert [each.rate_hz for each in keeper.packets] == [100.0] * 3 + [200.0] * 3


async def test_what_a_subscriber_is_too_slow_for_is_dropped_for_it_and_counted_by_stream() -> None:
    async with live(high_water_mb=0.01) as (device, receiver, publisher, keeper):
        with SlowSubscriber(publisher) as slow:
            await slow.subscribe()
            await subscribed(publisher)
            index = 0
            while not of(receiver, "live")["dropped"]:
                await device.send(round_of(index, [1], 2000), receiver)
                index += 1
            await until(lambda: len(keeper.packets) == index)
            status = of(receiver, "live")
            assert status["sent"] + status["dropped"] == index
            assert status["dropped_by_stream"] == {"XX.DEMO.00.HHZ": status["dropped"]}


@pytest.mark.usefixtures("each_way_of_single_packets")
async def test_a_listener_that_is_dialled_gets_what_came_before_it_and_then_every_packet_once() -> None:
    with ZmqSub(b"") as listener:
        port = listener.bind_to_random_port("tcp://127.0.0.1")
        async with live(mode="remote", live_port=port) as (device, receiver, _, keeper):
            got: list[Packet] = []
            for index in range(ROUNDS):
                await device.send(round_of(index), receiver)
                if index > ROUNDS // 2:  # until it reads for the first time, it has not subscribed
                    got += map(decode, await received(listener, len(CHANNELS) * (index + 1) - len(got)))
            await until(lambda: len(keeper.packets) == len(got))
            assert got == keeper.packets
            assert (of(receiver, "live")["delivered"], of(receiver, "live")["dropped"]) == (len(got), 0)
