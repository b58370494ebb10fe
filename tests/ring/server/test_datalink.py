"""DataLink from and into a ring, as a strict client sees it."""

import asyncio
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rawdaq.publishers.ring import RingPublisher
from rawdaq.store.errors import DiskFull
from rawdaq.store.store import Store
from tests.ring.datalink_wire import DataLinkWire, datalink, framed, write
from tests.ring.records import START_NS, STREAMS, name, packet, packets, start_ns
from tests.ring.rings import SMALL_BYTES, contents, feed, serving

T0 = START_NS // 1000


def port(publisher: RingPublisher) -> int:
    return publisher.service.ports["datalink"]


async def streaming(wire: DataLinkWire, expression: str = "", position: str = "") -> None:
    if expression:
        await wire.ok(f"MATCH {len(expression)}", expression.encode())
    if position:
        await wire.ok(f"POSITION SET {position}")
    wire.send(framed("STREAM"), framed("ID is:it:1:on"))
    assert (await wire.hear()).kind == "ID"


async def test_a_written_packet_is_acknowledged_read_streamed_and_in_the_ring(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        async with datalink(port(publisher)) as writer, datalink(port(publisher)) as reader:
            await streaming(reader)
            assert await writer.write("XX_AAA_00_HHZ/MSEED", T0, T0 + 5, b"any\0") == first
            assert await writer.write("any/JSON", T0 - 1, T0 - 7, b"{}") == first + 1
            one, two = await reader.packets(2)
            assert one.words[:3] == ["PACKET", "FDSN:XX_AAA_00_H_H_Z/MSEED", str(first)]
            assert one.words[4:] == [str(T0), str(T0 + 5), "4"]
            assert (one.data, two.data) == (b"any\0", b"{}")
            assert abs(int(one.words[3]) / 1e6 - time.time()) < 60
            assert await writer.ask(f"READ {first}") == one
            assert two.words[4:6] == [str(T0 - 1), str(T0 - 7)]
        assert [each.position for each in await contents(publisher.service.ring)] == [first, first + 1]


async def test_what_is_not_acknowledged_is_there_when_a_later_command_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, datalink(port(publisher)) as wire:
        first = publisher.service.ring.reader.end
        packets_ = [write("a/b", at, at, b"%d" % at, "N") for at in range(3000)]
        wire.send(*packets_, framed("POSITION SET LATEST"), write("a/b", 0, 0, b"x"), framed("ID x"))
        assert (await wire.hear()).value == first + 2999
        assert (await wire.hear()).value == first + 3000
        assert (await wire.hear()).kind == "ID"


async def test_acknowledgements_wait_for_the_sync_that_the_station_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_sync, sync = asyncio.Event(), Store.sync
    loop = asyncio.get_running_loop()

    def wait(store: Store) -> int:
        asyncio.run_coroutine_threadsafe(may_sync.wait(), loop).result(30)
        return sync(store)

    async with serving(tmp_path / "ring", sync_s=0) as publisher:
        monkeypatch.setattr(Store, "sync", wait)
        async with datalink(port(publisher)) as wire, datalink(port(publisher)) as reader:
            await streaming(reader)
            wire.send(*(write("a/b", at, at, b"x") for at in range(5)))
            await reader.packets(5)  # readers get it as soon as a kill cannot undo it
            wire.send(framed("ID x"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await wire.reader.read(1)
            may_sync.set()
            assert [(await wire.hear()).kind for _ in range(6)] == ["OK"] * 5 + ["ID"]
        monkeypatch.undo()


async def test_positions_by_number_time_and_place(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, datalink(port(publisher)) as wire:
        first = publisher.service.ring.reader.end
        assert await wire.ok("POSITION SET EARLIEST") == 0
        await feed(publisher, [packet(number, STREAMS[0]) for number in (3, 4, 1, 5)])
        wire.send(framed("STREAM"))  # all that came after it was asked for, although the ring was empty
        assert [int(each.words[2]) for each in await wire.packets(4)] == [first + at for at in range(4)]
        end_us = start_ns(4) // 1000 + 990_000
        for command, expected in (
            ("SET EARLIEST", 0),
            ("SET LATEST", 3),
            (f"SET {first + 2}", 2),
            (f"AFTER {end_us - 1}", 1),
            (f"AFTER {end_us}", 3),
            (f"AFTER {end_us + 10**9}", 3),
            ("AFTER 0", 0),
        ):
            assert await wire.ok(f"POSITION {command}") == first + expected, command
        taken_us = (await wire.ask(f"READ {first + 1}")).words[3]
        assert await wire.ok(f"POSITION SET {first + 1} {taken_us}") == first + 1
        assert (await wire.ask(f"POSITION SET {first + 1} {int(taken_us) - 2_000_000}")).kind == "ERROR"
        missing = await wire.ask(f"READ {first + 4}")
        assert missing.kind == "ERROR"
        assert str(first) in missing.data.decode()  # the earliest
        wire.send(framed("STREAM"))
        assert [int(each.words[2]) for each in await wire.packets(2)] == [first + 2, first + 3]


async def test_match_and_reject_select_by_name(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, datalink(port(publisher)) as wire:
        await feed(publisher, packets(0, 8))
        assert await wire.ok("MATCH 7", b"^FDSN:X") == 3
        assert await wire.ok("REJECT 5", b"B{3}_") == 2
        await wire.ok("POSITION SET EARLIEST")
        wire.send(framed("STREAM"))
        assert [int(each.words[4]) for each in await wire.packets(3)] == [start_ns(at) // 1000 for at in (1, 4, 5)]
        assert (await wire.ask("MATCH 1", b"(")).kind == "ERROR"
        assert await wire.ok("REJECT") == 4  # a bad expression is none
        too_large = await wire.ask("MATCH 70000", b"A" * 70_000)
        assert "too large" in too_large.data.decode()
        assert (await wire.ask("ID x")).kind == "ID"


async def test_streaming_ends_without_loss_and_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, datalink(port(publisher)) as wire:
        await feed(publisher, packets(0, 2000))
        first = publisher.service.ring.reader.oldest
        await wire.ok("POSITION SET EARLIEST")
        got = [first]
        while len(got) < 2000:
            wire.send(framed("STREAM"), framed("ENDSTREAM"))
            while (said := await wire.hear()).kind == "PACKET":
                got.append(int(said.words[2]))
            assert said.kind == "ENDSTREAM"
            wire.send(framed("STREAM"))
            got += [int(each.words[2]) for each in await wire.packets(min(100, 2000 - len(got)))]
            wire.send(framed("ENDSTREAM"))
            while (said := await wire.hear()).kind == "PACKET":
                got.append(int(said.words[2]))
        assert got == list(range(first, first + 2000))


async def test_numbers_of_a_writers_own_rise_and_are_refused_when_they_cannot_be(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        async with datalink(port(publisher)) as wire:
            wire.send(write("a/b", 0, 0, b"x"), write("a/b", 0, 0, b"y", "IA", first + 50), write("a/b", 0, 0, b"z"))
            assert [(await wire.hear()).value for _ in range(3)] == [first, first + 50, first + 51]
        for number in (first, first + 51, first + (1 << 50), 2**64 - 5):
            async with datalink(port(publisher)) as wire:
                wire.send(write("a/b", 0, 0, b"y", "IA", number), write("a/b", 0, 0, b"never"))
                assert (await wire.hear()).kind == "ERROR"
                assert await wire.is_closed() == b""
        assert publisher.service.ring.reader.end == first + 52


@pytest.mark.parametrize(
    ("packet_", "text"),
    [
        (write("a/b", 0, 0, b"x" * 1025), "maximum is 1024"),
        (write("é/b", 0, 0, b"x"), "printable ASCII"),
        (framed("WRITE a/b x 0 A 3"), "Error parsing WRITE"),
        (framed("INFO NONSENSE"), "Unrecognized INFO"),
    ],
)
async def test_what_ends_the_connection_says_why(tmp_path: Path, packet_: bytes, text: str) -> None:
    async with serving(tmp_path / "ring", packet_bytes=1024) as publisher, datalink(port(publisher)) as wire:
        wire.send(write("a/b", 0, 0, b"x"), packet_)
        assert (await wire.hear()).kind == "OK"
        said = await wire.hear()
        assert said.kind == "ERROR"
        assert text in said.data.decode()
        assert await wire.is_closed() == b""
        assert publisher.status()["received"] == 1


async def test_only_those_who_may_write_can(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", write=["192.0.2.0/24"]) as publisher, datalink(port(publisher)) as wire:
        assert "WRITE" not in (await wire.ask("ID x")).words
        wire.send(write("a/b", 0, 0, b"x", "N"))
        assert b"no soup" in (await wire.hear()).data
        await wire.is_closed()
        assert not await contents(publisher.service.ring)


async def test_a_disk_that_is_full_is_told_to_writers_and_nobody_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path / "ring") as publisher:
        async with datalink(port(publisher)) as wire:
            await wire.write("a/b", 0, 0, b"x")

            def fail(*args: object) -> None:
                raise DiskFull("ring", "No space left on device")

            monkeypatch.setattr(Store, "append", fail)
            wire.send(write("a/b", 0, 0, b"y"), write("a/b", 0, 0, b"z"))
            said = await wire.hear()
            assert said.kind == "ERROR"
            assert "No space left" in said.data.decode()
            assert await wire.is_closed() == b""
        monkeypatch.undo()
        async with datalink(port(publisher)) as wire:
            await wire.write("a/b", 0, 0, b"y")
        assert [each.data for each in await contents(publisher.service.ring)] == [b"x", b"y"]


async def test_a_reader_that_was_lapped_goes_on_with_the_earliest_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "ring", max_gb=SMALL_BYTES / 1e9, sync_s=0) as publisher:
        one = publisher.service.ring
        await feed(publisher, packets(0, 10))
        first = one.reader.oldest
        one.reader.tail._clock = lambda: 1e9
        async with datalink(port(publisher)) as wire:
            await wire.ok(f"POSITION SET {first}")
            for at in range(40):
                await feed(publisher, packets(at * 300, 300))
            oldest = one.reader.oldest
            assert oldest > first
            wire.send(framed("STREAM"))
            assert int((await wire.hear()).words[2]) == oldest
            assert publisher.status()["missed"] == oldest - first - 1
        assert f"missed packets {first + 1} to {oldest - 1}" in caplog.text
        assert "max_gb" in caplog.text


async def test_info_says_what_there_is(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", organization="Testing") as publisher, datalink(port(publisher)) as wire:
        empty = ET.fromstring((await wire.ask("INFO STATUS")).data).find("Status")
        assert empty is not None
        assert (empty.get("EarliestPacketID"), empty.get("LatestPacketDataEndTime")) == ("0", "-")
        await feed(publisher, packets(0, 8))
        first = publisher.service.ring.reader.oldest
        await wire.ask("ID prog:me:7:linux")
        root = ET.fromstring((await wire.ask("INFO STATUS")).data)
        status, threads = root.find("Status"), root.find("ServerThreads")
        assert root.get("ServerID") == "Testing"
        assert status is not None
        assert threads is not None
        assert (status.get("EarliestPacketID"), status.get("LatestPacketID")) == (str(first), str(first + 7))
        assert (status.get("TotalStreams"), status.get("VolatileRing")) == ("4", "FALSE")
        assert [each.get("Type") for each in threads] == ["IPv4: SeedLink DataLink HTTP"]
        streams = ET.fromstring((await wire.ask("INFO STREAMS 3", b"AAA")).data).find("StreamList")
        assert streams is not None
        assert (streams.get("TotalStreams"), streams.get("SelectedStreams")) == ("4", "2")
        assert [each.get("Name") for each in streams] == [name(STREAMS[1]), name(STREAMS[0])]
        assert streams[1].get("LatestPacketDataEndTime") == "2026-11-21T00:00:04.990000Z"
        clients = ET.fromstring((await wire.ask("INFO CONNECTIONS")).data).find("ConnectionList")
        assert clients is not None
        assert [(each.get("ClientID"), each.get("Type")) for each in clients] == [("prog:me:7:linux", "DataLink")]
        assert (await wire.ask("INFO STREAMS 1", b"(")).kind == "ERROR"
        assert (await wire.ask("AUTH JWT 3", b"abc")).kind == "ERROR"
        assert (await wire.ask("ID x")).kind == "ID"
