"""RingServer, the hub: what others write is served again and published; and hubs of the other receivers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.config.settings import StationSettings
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.miniseed.reader import read_record
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.publishers.datalink import DataLinkPublisher
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.ring import RingPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers import ring_server
from rawdaq.receivers.datalink import DataLinkReceiver
from rawdaq.receivers.ring_server import RingServer
from rawdaq.receivers.seedlink import SeedLinkReceiver
from rawdaq.ring.packets import NewPacket
from rawdaq.ring.reading import Part, RingReader
from rawdaq.ring.server.settings import ListenSettings
from tests.helpers import until
from tests.packet_keeper import PacketKeeper
from tests.receivers.seedlink.running import ByteKeeper
from tests.ring.datalink_wire import datalink
from tests.ring.records import NS_PER_S, RATE_HZ, STREAMS, packet, packets, record, start_ns
from tests.ring.rings import contents, numbers, ring
from tests.ring.seedlink_wire import seedlink, wanting

STATION = StationSettings(network="XX", code="HUB")


@contextlib.asynccontextmanager
async def hub(path: Path, *publishers: Publisher, **options: Any) -> AsyncGenerator[RingServer]:
    """Run a hub that serves both protocols on one port."""
    listens = {"seedlink": ListenSettings(port=0), "datalink": ListenSettings(port=0)}
    chosen: dict[str, Any] = {"max_gb": 0.1, "sync_s": 0.05, **listens, **options}
    one = RingServer(publishers, STATION, path=path, **chosen)
    task = asyncio.ensure_future(one.serve())
    await until(lambda: one.cmd_status()["state"] == "running" or task.done())
    try:
        yield one
    finally:
        one.stop()
        await task


async def write(one: RingServer, new: Sequence[NewPacket]) -> None:
    async with datalink(one.service.ports["datalink"]) as wire:
        for each in new:
            await wire.write(each.name, each.start_ns // 1000, each.end_ns // 1000, each.data)


async def test_what_is_written_is_served_again_and_published_as_packets(tmp_path: Path) -> None:
    keeper = PacketKeeper()
    async with hub(tmp_path / "ring", keeper) as one:
        async with seedlink(one.service.ports["seedlink"], 4) as wire:
            await wanting(wire, "STATION *", "DATA")
            await until(lambda: one.service.status()["streaming_count"])
            await write(one, [*packets(0, 8), NewPacket("a/JSON", 0, 0, b"{}")])
            assert await wire.numbers(8) == list(range(8))
        await until(lambda: len(keeper.packets) == 8)
        status: Any = one.cmd_status()
        assert status["receiver"]["other_packets"] == 1
        assert status["receiver"]["waiting_packets"] == 0
        assert "SeedLink" in status["receiver"]["addresses"]
    for number, made in enumerate(keeper.packets):
        assert (made.start_ns, made.rate_hz) == (start_ns(number), RATE_HZ)
        assert str(made.stream) == ".".join(STREAMS[number % 4])
        assert made.samples.tolist() == list(range(number * 100, number * 100 + 100))


def _has(got: Sequence[Packet], count: int) -> bool:
    return len(got) == count


async def test_it_goes_on_publishing_where_it_was_stopped(tmp_path: Path) -> None:
    for first in (0, 4):
        keeper = PacketKeeper()
        got = keeper.packets
        async with hub(tmp_path / "ring", keeper) as one:
            await write(one, packets(first, 4))
            await until(partial(_has, got, 4))
        assert [each.start_ns for each in keeper.packets] == [start_ns(number) for number in range(first, first + 4)]
    async with hub(tmp_path / "ring") as one:  # nobody to publish to: it stays where it was
        await write(one, packets(8, 4))
    keeper = PacketKeeper()
    async with hub(tmp_path / "ring", keeper):
        await until(lambda: len(keeper.packets) == 4)
    assert [each.start_ns for each in keeper.packets] == [start_ns(number) for number in range(8, 12)]


async def test_what_was_not_delivered_is_published_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_server, "_SAVE_S", 0.01)
    stuck = Stuck()
    async with hub(tmp_path / "ring", stuck) as one:
        await write(one, packets(0, 3))
        await until(lambda: stuck.entered)
        assert (await one.service.ring.reader.first()) is not None
        moved = one.service.ring.cursor("publishers")
        assert moved == one.service.ring.reader.oldest
        stuck.may.set()
        await until(lambda: one.service.ring.cursor("publishers") == one.service.ring.reader.end)


class Stuck(Publisher):
    """Delivers nothing before it may."""

    def __init__(self) -> None:
        super().__init__("stuck")
        self.may = asyncio.Event()
        self.entered = False

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.entered = True
        await self.may.wait()


async def test_what_waits_in_a_full_queue_at_a_stop_is_delivered_and_not_published_again(tmp_path: Path) -> None:
    stuck, keeper = Stuck(), PacketKeeper()
    stuck.queue_packets = 1
    async with hub(tmp_path / "ring", stuck, keeper) as one:
        await write(one, packets(0, 1))
        await until(partial(_has, keeper.packets, 1))
        one.stop()
        await until(lambda: "ct_publish" not in {task.get_name() for task in asyncio.all_tasks()})
        stuck.may.set()
    again = PacketKeeper()
    async with hub(tmp_path / "ring", again) as one:
        await write(one, packets(1, 1))
        await until(lambda: [each.start_ns for each in again.packets][-1:] == [start_ns(1)])
    assert [each.start_ns for each in again.packets] == [start_ns(1)]


async def test_what_makes_room_while_it_is_read_is_logged_as_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub(tmp_path / "ring", PacketKeeper()) as one:
        await write(one, packets(0, 1))
        await until(lambda: one.receiver_status()["waiting_packets"] == 0)
    keeper = PacketKeeper()
    async with ring(tmp_path / "ring") as alone:  # nobody publishes
        first = alone.reader.end
        await alone.append(packets(1, 10))
    read, is_running = RingReader.from_, asyncio.Event()

    async def read_late(reader: RingReader, position: int) -> Part:
        monkeypatch.setattr(RingReader, "from_", read)
        await is_running.wait()
        for at in range(40):
            await one.service.ring.append(packets(11 + at * 300, 300))
        return await read(reader, position)

    monkeypatch.setattr(RingReader, "from_", read_late)
    async with hub(tmp_path / "ring", keeper, max_gb=0.004, sync_s=0) as one:
        is_running.set()
        await until(lambda: keeper.packets)
        oldest = first + (keeper.packets[0].start_ns - start_ns(1)) // NS_PER_S
        assert oldest > first
        assert f"missed packets {first} to {oldest - 1}:" in caplog.text


async def test_records_that_cannot_be_read_are_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    keeper = PacketKeeper()
    async with hub(tmp_path / "ring", keeper) as one:
        await write(one, [packet(0)._replace(data=b"no record"), packet(1)])
        await until(lambda: keeper.packets)
        assert one.receiver_status()["refused"] == 1
    assert "cannot be read" in caplog.text


async def test_raw_passes_whole_records_into_an_archive_as_they_are(tmp_path: Path) -> None:
    keeper, archive = ByteKeeper(), MiniSeedPublisher(tmp_path / "archive", fsync_s=0)
    async with hub(tmp_path / "ring", keeper, archive, raw=True) as one:
        await write(one, [packet(number, STREAMS[0]) for number in range(4)])
        await until(lambda: len(keeper.messages) == 4)
    (file,) = (path for path in (tmp_path / "archive").rglob("*") if path.is_file())
    assert file.read_bytes() == b"".join(record(number, STREAMS[0]) for number in range(4))


async def test_a_component_that_writes_into_a_hub_by_datalink(tmp_path: Path) -> None:
    async with hub(tmp_path / "hub") as one:
        sender = DataLinkPublisher(f"datalink://127.0.0.1:{one.service.ports['datalink']}")
        async with hub(tmp_path / "station", sender, raw=True) as station:
            await write(station, packets(0, 40))
            await until(lambda: one.service.ring.reader.end - one.service.ring.reader.oldest == 40)
        found = await contents(one.service.ring)
    assert sorted(numbers(found)) == list(range(40))


@contextlib.asynccontextmanager
async def running(receiver: ReceiverServer) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver.cmd_status()["state"] == "running" or task.done())
    try:
        yield
    finally:
        receiver.stop()
        await task


async def test_a_hub_of_datalink_receivers_serves_the_same_samples_again(tmp_path: Path) -> None:
    async with hub(tmp_path / "source") as source:
        ring = RingPublisher(tmp_path / "hub", max_gb=0.1, seedlink=ListenSettings(port=0), flush_after_s=0)
        url = f"datalink://127.0.0.1:{source.service.ports['datalink']}"
        await write(source, packets(0, 8))
        receiver = DataLinkReceiver([ring], STATION, url=url, start="earliest", state=tmp_path / "state.json")
        async with running(receiver):
            await write(source, packets(8, 8))
            await until(lambda: ring.service.ring.reader.end - ring.service.ring.reader.oldest == 16)
            found = [read_record(each.data) for each in await contents(ring.service.ring)]
    assert sorted((info.name, info.start_ns) for info, _ in found) == sorted(
        (".".join(STREAMS[number % 4]), start_ns(number)) for number in range(16)
    )
    for info, content in found:
        number = (info.start_ns - start_ns(0)) // NS_PER_S
        assert content.samples is not None
        assert content.samples.tolist() == list(range(number * 100, number * 100 + 100))


async def test_a_hub_of_seedlink_receivers_serves_and_archives_the_same_records_again(tmp_path: Path) -> None:
    async with hub(tmp_path / "source") as source:
        ring = RingPublisher(tmp_path / "hub", max_gb=0.1, seedlink=ListenSettings(port=0))
        archive = MiniSeedPublisher(tmp_path / "archive", fsync_s=0)
        options: dict[str, Any] = {"host": "127.0.0.1", "port": source.service.ports["seedlink"], "raw": True}
        await write(source, packets(0, 40))
        receiver = SeedLinkReceiver([ring, archive], STATION, stations={"*": []}, start="earliest", **options)
        async with running(receiver):
            await write(source, packets(40, 40))
            await until(lambda: ring.service.ring.reader.end - ring.service.ring.reader.oldest == 80)
            assert numbers(await contents(ring.service.ring)) == list(range(80))
    archived = b"".join(path.read_bytes() for path in (tmp_path / "archive").rglob("*") if path.is_file())
    assert len(archived) == 80 * 512


async def test_a_taken_port_ends_it_with_the_reason_and_frees_the_ring(tmp_path: Path) -> None:
    async with hub(tmp_path / "one") as one:
        taken = ListenSettings(port=one.service.ports["seedlink"])
        other = RingServer([], STATION, path=tmp_path / "two", max_gb=0.1, seedlink=taken)
        with pytest.raises(ComponentError, match="another program uses it"):
            await other.serve()
        async with hub(tmp_path / "two"):
            pass


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    options, mistakes = read_options(RingServer, {"path": "ring"}, tmp_path)
    assert mistakes == []
    with pytest.raises(InvalidValue, match="serves nothing"):
        RingServer.streams(STATION, options)
    options, _ = read_options(RingServer, {"path": "ring", "datalink": {"port": 16000}}, tmp_path)
    assert RingServer.streams(STATION, options) == []
    assert RingServer.exclusive(options) == ["tcp://127.0.0.1:16000", f"ring {tmp_path / 'ring'}"]
