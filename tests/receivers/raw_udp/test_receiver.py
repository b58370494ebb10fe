"""Datagrams become packets: named, in order, once each; what is wrong with them harms nothing."""

import asyncio
import contextlib
import json
import logging
import random
import socket
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.capture.file import Kind, read_capture
from rawdaq.config.settings import StationSettings
from rawdaq.errors import ComponentError
from rawdaq.packet import Packet
from rawdaq.protocols.raw import RawVersion, encode_packet
from rawdaq.publisher import Publisher
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver
from rawdaq.stream_id import StreamId
from tests.fake_device import wire, wire_1
from tests.helpers import until
from tests.makers import START_NS

obspy: Any = import_module("obspy")  # it has no types
STATION = StationSettings(network="XX", code="DEMO", location="00")
SIZE = 100
NAME = "XX.DEMO.00.HHZ"
CHANNELS = {1: {"code": "HHZ", "rate_hz": 100}}


def datagram(index: int = 0, channel: int = 1) -> bytes:
    """Return packet number *index* of a contiguous run whose samples count up."""
    samples = np.arange(index * SIZE, (index + 1) * SIZE, dtype="<i4")
    return wire(channel, START_NS + index * 10**9, samples.tobytes(), SIZE, 90)


class Keeper(Publisher):
    def __init__(self, name: str = "keeper") -> None:
        super().__init__(name)
        self.packets: list[Packet] = []
        self.plain: list[bytes] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.packets += [item for item in batch if isinstance(item, Packet)]
        self.plain += [item for item in batch if isinstance(item, bytes)]

    @property
    def indices(self) -> list[int]:
        return [int(packet.samples[0]) // SIZE for packet in self.packets]


class Running:
    """A receiver that serves, what it publishes, and a way to send to it."""

    def __init__(self, receiver: RawUDPReceiver, keeper: Keeper) -> None:
        self.receiver, self.keeper = receiver, keeper
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)

    def send(self, *sent: bytes, to: int = 0) -> None:
        port = self.receiver.endpoints[to].port
        for each in sent:
            self._socket.sendto(each, ("127.0.0.1", port))

    async def send_all(self, sent: Iterable[bytes]) -> None:
        """Send many datagrams, no faster than they are taken: nothing gets lost on the way."""
        for number, each in enumerate(sent):
            self.send(each)
            if number % 50 == 49:
                await self.taken(number + 1)

    async def taken(self, count: int) -> None:
        """Return when the receiver has read *count* datagrams."""
        endpoint: Any = self.receiver.endpoints[0]
        await until(lambda: endpoint.datagrams >= count)

    async def published(self, count: int) -> list[Packet]:
        await until(lambda: len(self.keeper.packets) >= count)
        return self.keeper.packets

    def close(self) -> None:
        self._socket.close()

    @property
    def status(self) -> dict[str, Any]:
        return self.receiver.receiver_status()

    @property
    def order(self) -> dict[str, int]:
        """What happened to the order of the only stream."""
        counts: dict[str, int] = self.status["order"].get(NAME, {})
        return {name: count for name, count in counts.items() if count}


@contextlib.asynccontextmanager
async def receiving(*publishers: Publisher, **options: Any) -> AsyncGenerator[Running]:
    """Run a receiver on a port of the system's choice."""
    keeper = Keeper()
    chosen: dict[str, Any] = {"ip": "127.0.0.1", "channels": CHANNELS, "reorder_s": 0.05, **options}
    if "ports" not in chosen:
        chosen.setdefault("port", 0)
    receiver = RawUDPReceiver([keeper, *publishers], STATION, **chosen)
    task = asyncio.ensure_future(receiver.serve())
    running = Running(receiver, keeper)
    try:
        await until(lambda: task.done() or receiver.cmd_status()["state"] == "running")
        yield running
    finally:
        running.close()
        receiver.stop()
        await task


async def test_samples_arrive_with_name_time_quality_and_number() -> None:
    async with receiving() as running:
        running.send(datagram(0))
        running.send(datagram(1))
        first, second = await running.published(2)
    assert first.stream == StreamId.parse(NAME)
    assert (first.start_ns, first.rate_hz, first.timing_quality, first.sequence) == (START_NS, 100.0, 90, 0)
    assert first.samples.tolist() == list(range(SIZE))
    assert first.received_ns > START_NS - 10**18
    assert (second.start_ns, second.sequence) == (START_NS + 10**9, 1)


async def test_each_channel_has_the_rate_type_and_byte_order_that_the_station_file_gives_it() -> None:
    kinds = [(kind, order) for kind in ("int8", "int16", "int32", "float32", "float64") for order in ("big", "little")]
    channels = {
        number: {"code": f"{number:02d}.HHZ", "rate_hz": 10 + number, "type": kind, "endianness": order}
        for number, (kind, order) in enumerate(kinds)
    }
    async with receiving(channels=channels) as running:
        for number, (kind, order) in enumerate(kinds):
            samples = np.arange(-5, 5).astype(np.dtype(kind).newbyteorder("<" if order == "little" else ">"))
            running.send(wire(number, START_NS, samples.tobytes(), 10))
        packets = await running.published(len(kinds))
    for packet in packets:
        number = int(packet.stream.location)
        assert (packet.rate_hz, packet.sample_type) == (10 + number, kinds[number][0])
        assert packet.samples.tolist() == list(range(-5, 5))


async def test_what_all_channels_have_in_common_is_said_once() -> None:
    options: dict[str, Any] = {"channels": {1: "HHZ", 2: {"code": "10.HHN", "type": "int32"}}}
    async with receiving(**options, rate_hz=50, type="int16", endianness="big") as running:
        running.send(wire(1, START_NS, np.array([1, -2], ">i2").tobytes(), 2))
        running.send(wire(2, START_NS, np.array([3], ">i4").tobytes(), 1))
        packets = await running.published(2)
    shown = {str(packet.stream): (packet.rate_hz, packet.samples.tolist()) for packet in packets}
    assert shown == {NAME: (50, [1, -2]), "XX.DEMO.10.HHN": (50, [3])}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_older_headers_are_read_when_the_station_file_says_so(version: str) -> None:
    async with receiving(version=version, channels={70_000: CHANNELS[1]}) as running:
        running.send(wire_1(70_000, START_NS, bytes(400), 100))
        (packet,) = await running.published(1)
    assert packet.timing_quality == 100


async def test_several_packets_of_several_channels_may_share_a_datagram() -> None:
    channels = {1: CHANNELS[1], 2: {"code": "HHN", "rate_hz": 100}}
    async with receiving(channels=channels) as running:
        await running.send_all(datagram(index, 1) + datagram(index, 2) for index in range(200))
        packets = await running.published(400)
    for name in (NAME, "XX.DEMO.00.HHN"):
        own = [packet for packet in packets if str(packet.stream) == name]
        assert [int(packet.samples[0]) // SIZE for packet in own] == list(range(200))


async def test_several_ports_are_one_receiver() -> None:
    async with receiving(ports=[0, 0]) as running:
        running.send(datagram(0), to=0)
        running.send(datagram(1), to=1)
        await running.published(2)
        ports = {endpoint.port for endpoint in running.receiver.endpoints}
    assert len(ports) == 2
    assert running.keeper.indices == [0, 1]


async def test_one_socket_takes_both_families() -> None:
    try:
        async with receiving(ip="::") as running:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
                six.sendto(datagram(0), ("::1", running.receiver.endpoints[0].port))
            running.send(datagram(1))
            await running.published(2)
    except (ComponentError, OSError) as error:
        pytest.skip(f"this machine has no IPv6: {error}")


# --- order, copies, losses -----------------------------------------------------------------------------------------


async def test_shuffled_doubled_and_lost_datagrams_give_each_received_sample_once_in_order(tmp_path: Path) -> None:
    chance = random.Random(5)
    kept = [index for index in range(2000) if chance.random() > 0.05 or index == 0]
    copies = [index for index in kept if chance.random() < 0.1]
    mixed = sorted(kept + copies, key=lambda index: index + chance.uniform(0, 20))
    archive = MiniSeedPublisher(tmp_path, flush_after_s=3600.0)
    async with receiving(archive, reorder_s=5.0) as running:
        await running.send_all(map(datagram, mixed))
        await running.taken(len(mixed))
        running.receiver.stop()
        await running.published(len(kept))
        report: Any = running.receiver.cmd_stats()[NAME]
    assert running.keeper.indices == kept
    lost = [(index + 1, later - index - 1) for index, later in pairwise(kept) if later - index > 1]
    assert report["gaps"] == len(lost)
    assert report["gap_s"] == sum(seconds for _, seconds in lost)
    assert (report["overlaps"], report["backwards"]) == (0, 0)
    assert running.order["duplicates"] == len(copies)
    assert "too_late" not in running.order
    stream = obspy.Stream()
    for file in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        stream += obspy.read(str(file))
    stream.merge(method=-1)
    assert [(trace.stats.starttime.ns - START_NS) // 10**9 for trace in stream] == [
        0,
        *(first + missing for first, missing in lost),
    ]
    values = np.concatenate([trace.data for trace in stream])
    assert values.tolist() == [value for index in kept for value in range(index * SIZE, (index + 1) * SIZE)]


async def test_the_gaps_that_are_logged_are_those_that_were_made(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as running:
        await running.send_all(datagram(index) for index in (0, 2, 1, 6, 5, 5, 9))
        await running.published(6)
        await until(lambda: len([line for line in caplog.messages if " gap of " in line]) == 2)
    gaps = [line.split(" from ")[0] for line in caplog.messages if " gap of " in line]
    assert gaps == [f"{NAME} gap of 2.000000 s (200 samples)"] * 2
    assert running.order == {"reordered": 2, "duplicates": 1, "given_up": 2}


async def test_what_comes_too_late_is_counted_and_not_published() -> None:
    async with receiving() as running:
        running.send(datagram(0), datagram(2))
        await running.published(2)
        running.send(datagram(1), datagram(3))
        await running.published(3)
    assert running.keeper.indices == [0, 2, 3]
    assert running.order == {"too_late": 1, "given_up": 1}


async def test_without_reordering_packets_are_published_as_they_come() -> None:
    async with receiving(reorder_s=0.0) as running:
        running.send(*(datagram(index) for index in (5, 3, 3, 4)))
        await running.published(3)
    assert running.keeper.indices == [5, 3, 4]


async def test_stopping_publishes_what_still_waits() -> None:
    async with receiving(reorder_s=60.0) as running:
        running.send(*(datagram(index) for index in (7, 3, 9)))
        await running.taken(3)
        assert running.keeper.packets == []
    assert running.keeper.indices == [3, 7, 9]


async def test_a_full_publisher_stops_the_reading_and_what_the_system_keeps_is_not_lost() -> None:
    class Slow(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            await super().deliver(batch)

    slow = Slow("slow")
    slow.queue_packets = 10
    async with receiving(slow, receive_buffer_mb=4) as running:
        running.send(*(datagram(index) for index in range(100)))
        await until(lambda: len(slow.packets) == 100)
    assert slow.indices == list(range(100))


async def test_pause_leaves_datagrams_to_the_system_and_resume_takes_them() -> None:
    async with receiving() as running:
        running.send(datagram(0))
        await running.published(1)
        running.receiver.cmd_pause()
        running.send(datagram(1))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(running.keeper.packets) == 1
        running.receiver.cmd_resume()
        await running.published(2)


async def test_what_arrived_during_a_pause_is_published_when_it_ends_with_a_stop() -> None:
    async with receiving() as running:
        running.receiver.cmd_pause()
        running.send(datagram(0))
    assert running.keeper.indices == [0]


# --- what is wrong -------------------------------------------------------------------------------------------------

BAD = {
    "empty": b"",
    "header cut": datagram()[:17],
    "packet cut": datagram()[:-1],
    "unknown channel": datagram(0, 9),
    "other sample type": encode_packet(RawVersion.V2_0, 1, START_NS, 100, bytes(80), 10),
}


async def test_what_is_wrong_is_counted_by_sender_and_reason_told_once_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with receiving() as running:
        running.send(datagram(0))
        for index in range(1, 51):
            running.send(*BAD.values(), datagram(index))
            await running.taken(index * (len(BAD) + 1) + 1)
        await running.published(51)
        expected = dict.fromkeys(BAD, 50)
        status = json.loads(json.dumps(running.receiver.cmd_status()))["receiver"]
        assert status["refused_by_reason"] == expected
        assert status["refused_by_sender"] == {"127.0.0.1": expected}
        assert status["refused"] == 50 * len(BAD)
        assert running.receiver.cmd_refused() == {"127.0.0.1": expected}
        lines = [line for line in caplog.messages if line.startswith("refused a datagram")]
        assert len(lines) == len(BAD)
        assert "refused a datagram from 127.0.0.1: unknown channel: packet of channel 9, known are 1" in lines
        assert any("channel 1 is declared int32 little, the packet's length fits float64" in line for line in lines)
    assert running.keeper.indices == list(range(51))
    assert len([line for line in caplog.messages if line.startswith("refused 49 datagrams")]) == len(BAD)


async def test_wrong_datagrams_amid_a_burst_of_right_ones_cost_only_themselves() -> None:
    async with receiving(receive_buffer_mb=4) as running:
        running.receiver.cmd_pause()
        sent = [datagram(index) for index in range(200)]
        sent[150:150] = [b"\xff" * len(datagram())] * 3
        running.send(*sent)
        running.receiver.cmd_resume()
        await running.published(200)
        assert running.status["refused_by_reason"] == {"unknown channel": 3}
    assert running.keeper.indices == list(range(200))


async def test_what_is_refused_is_logged_again_and_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.sockets.refusals._CHECK_S", 0.01)
    async with receiving() as running:
        running.send(b"?", b"?", b"?")
        await until(lambda: running.status["refused"] == 3)
        running.receiver.refusals._newest["header cut"][0].interval_s = 0.0
        await until(lambda: "refused 2 datagrams, the last one from 127.0.0.1: header cut" in caplog.text)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
async def test_only_our_senders_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving(senders=["192.0.2.7", "127.0.0.2/31"]) as running:
        running.send(datagram(0))
        for ours in ("127.0.0.2", "127.0.0.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((ours, 0))
                index = int(ours[-1])
                sender.sendto(datagram(index), ("127.0.0.1", running.receiver.endpoints[0].port))
        await running.published(2)
        assert running.status["refused_by_sender"] == {"127.0.0.1": {"foreign sender": 1}}
    assert running.keeper.indices == [2, 3]
    assert "refused a datagram from 127.0.0.1: foreign sender" in caplog.text


# --- plain relay, capture ------------------------------------------------------------------------------------------


async def test_raw_passes_datagrams_on_unchanged() -> None:
    sent = [b"", b"a", b"bc", b"de", bytes(range(256)) * 200, *(b"%d" % number for number in range(100, 400))]
    async with receiving(raw=True, channels=None) as running:
        await running.send_all(sent)
        await until(lambda: len(running.keeper.plain) == len(sent))
        assert running.status["messages"] == len(sent)
    assert running.keeper.plain == sent
    assert running.keeper.packets == []


async def test_a_capture_keeps_what_our_senders_sent_right_or_wrong(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    sent = [datagram(0), b"?", b"", datagram(1)]
    async with receiving(capture=path, capture_mb=10.0, capture_files=2) as running:
        running.send(*sent)
        await running.published(2)
        assert running.status["capture"]["path"] == str(path)
        port = running.receiver.endpoints[0].port
    entries = [entry for entry in read_capture(path, logging.getLogger()) if entry.kind is Kind.DATAGRAM]
    assert [entry.data for entry in entries] == sent
    assert {entry.connection for entry in entries} == {port}
    assert all(entry.peer.startswith("127.0.0.1:") for entry in entries)
