"""Programs that others wrote, and our own receivers, read a ring: every record, byte for byte, also cut and resumed."""

import asyncio
import io
import random
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import obspy
import pytest
from obspy.clients.seedlink.basic_client import Client as BasicClient
from obspy.clients.seedlink.client.seedlinkconnection import SeedLinkConnection
from obspy.clients.seedlink.slpacket import SLPacket

from rawdaq.config.settings import StationSettings
from rawdaq.datalink import DataLink
from rawdaq.publishers.ring import RingPublisher
from rawdaq.receivers.datalink import DataLinkReceiver
from rawdaq.receivers.seedlink import SeedLinkReceiver
from tests.helpers import until
from tests.packet_keeper import PacketKeeper
from tests.receivers.seedlink.running import ByteKeeper
from tests.ring.datalink_wire import datalink, framed
from tests.ring.records import STREAMS, number_of, packet, packets, start_ns
from tests.ring.rings import feed, serving
from tests.ring.seedlink_wire import seedlink, wanting

CUTS = 50
STATION = StationSettings(network="XX", code="HUB")


def port(publisher: RingPublisher) -> int:
    return publisher.service.ports["seedlink"]


def cut_all(publisher: RingPublisher) -> int:
    """Cut every client; return how many there were."""
    serving_ = publisher.service._serving
    assert serving_ is not None
    peers = list(serving_.peers)
    for peer in peers:
        peer.abort()
    return len(peers)


@asynccontextmanager
async def fed(publisher: RingPublisher, count: int) -> AsyncGenerator[None]:
    """Feed records, and cut all clients again and again meanwhile."""
    chance, cuts = random.Random(count), 0

    async def run() -> None:
        nonlocal cuts
        for at in range(0, count, 10):
            await feed(publisher, packets(at, 10))
            await asyncio.sleep(chance.random() * 0.02)
            cuts += min(1, cut_all(publisher)) if cuts < CUTS else 0
        while cuts < CUTS:
            await asyncio.sleep(chance.random() * 0.02)
            cuts += min(1, cut_all(publisher))

    feeding = asyncio.create_task(run())
    yield
    await feeding
    assert cuts == CUTS


@pytest.mark.parametrize("version", [3, 4])
async def test_a_strict_client_that_is_cut_fifty_times_gets_everything_once(tmp_path: Path, version: int) -> None:
    async with serving(tmp_path / "ring") as publisher:
        got: list[int] = []
        following = publisher.service.ring.reader.end
        when = ""
        async with fed(publisher, 1000):
            while len(got) < 250:
                try:
                    async with seedlink(port(publisher), version) as wire:
                        number = f"{following % (1 << 24):06X} {when}" if version == 3 else str(following)
                        station = "STATION AAA XX" if version == 3 else "STATION XX_AAA"
                        await wanting(wire, station, "SELECT 00HHZ", f"DATA {number}".strip())
                        while len(got) < 250:
                            one = await wire.packet()
                            got.append(one.number)
                            following = one.sequence + 1
                            when = time.strftime("%Y,%m,%d,%H,%M,%S", time.gmtime(start_ns(one.number) // 10**9))
                except (OSError, EOFError):
                    continue
            assert got == list(range(0, 1000, 4))


async def test_a_datalink_reader_that_is_cut_fifty_times_gets_everything_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        got: list[int] = []
        position = ""
        async with fed(publisher, 1000):
            while len(got) < 1000:
                try:
                    async with datalink(port(publisher)) as wire:
                        if not position:
                            first = (await wire.ask("POSITION SET EARLIEST")).value
                            if not first:
                                continue
                            said = await wire.ask(f"READ {first}")
                            got.append(number_of(said.data))
                            position = f"{said.words[2]} {said.words[3]}"
                        await wire.ok(f"POSITION SET {position}")
                        wire.send(framed("STREAM"))
                        while len(got) < 1000:
                            said = await wire.hear()
                            got.append(number_of(said.data))
                            position = f"{said.words[2]} {said.words[3]}"
                except (OSError, EOFError):
                    continue
            assert got == list(range(1000))


async def test_our_own_receivers_get_everything_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        bytes_, packets_ = ByteKeeper(), PacketKeeper()
        quick: dict[str, Any] = {"reconnect_first_s": 0.01, "reconnect_max_s": 0.02}
        seedlink_options: dict[str, Any] = {"stations": {"*": []}, "start": "earliest", "raw": True, **quick}
        one = SeedLinkReceiver([bytes_], STATION, host="127.0.0.1", port=port(publisher), **seedlink_options)
        url = f"datalink://127.0.0.1:{port(publisher)}"
        two = DataLinkReceiver([packets_], STATION, url=url, start="earliest", state=tmp_path / "state", **quick)
        tasks = [asyncio.ensure_future(each.serve()) for each in (one, two)]
        async with fed(publisher, 600):
            pass
        await until(lambda: len(bytes_.messages) >= 600 and len(packets_.packets) >= 600)
        one.stop()
        two.stop()
        await asyncio.gather(*tasks)
    assert sorted(map(number_of, bytes_.messages)) == list(range(600))
    assert sorted(each.start_ns for each in packets_.packets) == [start_ns(number) for number in range(600)]


async def test_our_own_link_writes_and_reads(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        for scheme, path in (("datalink", ""), ("ws", "/datalink")):
            async with DataLink(f"{scheme}://127.0.0.1:{port(publisher)}{path}") as link:
                number = await link.write("a/JSON", 0, 1, b"{}")
                assert number is not None
                assert (await link.read(number)).data == b"{}"


class ObsPy(threading.Thread):
    """ObsPy's connection in a thread: collects so many records, a part with each connection, and resumes each time."""

    def __init__(self, port_: int, count: int, connections: int) -> None:
        super().__init__(name="ObsPy")
        self.records: list[bytes] = []
        self.failure: Exception | None = None
        self._port, self._count, self._connections = port_, count, connections

    def run(self) -> None:
        try:
            last = -1
            for number in range(1, self._connections + 1):
                last = self._collect(last, self._count * number // self._connections)
        except Exception as error:  # whatever ObsPy raises fails the test, not the thread
            self.failure = error

    def _collect(self, last: int, count: int) -> int:
        """Collect records up to *count* with a new connection, behind the one with the number *last*."""
        connection = SeedLinkConnection(timeout=10)
        connection.set_sl_address(f"127.0.0.1:{self._port}")
        connection.add_stream("XX", "AAA", "00HHZ", last, None)
        if last < 0:
            connection.begin_time = obspy.UTCDateTime("2026-11-21T00:00:00Z")
        connection.netdly = 0
        try:
            while len(self.records) < count:
                got = connection.collect()
                if isinstance(got, SLPacket) and not got.slhead.startswith(SLPacket.INFOSIGNATURE):
                    self.records.append(bytes(cast("bytes", got.msrecord)))
                    last = got.get_sequence_number()
            return last
        finally:
            connection.close()


async def test_obspy_collects_every_record_byte_for_byte_also_when_it_resumes_fifty_times(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, packets(0, 200))
        client = ObsPy(port(publisher), 150, CUTS)
        client.start()
        for at in range(200, 600, 8):
            await feed(publisher, packets(at, 8))
            await asyncio.sleep(0.01)
        await until(lambda: not client.is_alive())
        assert client.failure is None
        assert [number_of(data) for data in client.records] == list(range(0, 600, 4))


async def test_obspys_basic_client_gets_a_window_and_lists_stations(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(100)])

        def ask() -> tuple[Any, Any]:
            client: Any = BasicClient("127.0.0.1", port(publisher), timeout=10)
            begin = obspy.UTCDateTime("2026-11-21T00:00:20Z")
            return client.get_waveforms("XX", "AAA", "00", "HHZ", begin, begin + 30), client.get_info()

        stream, stations = await asyncio.to_thread(ask)
        (trace,) = stream.merge()
        assert trace.id == "XX.AAA.00.HHZ"
        assert trace.data.tolist() == list(range(2000, 2000 + len(trace.data)))
        assert len(trace.data) >= 3000
        assert stations == [("XX", "AAA")]


async def test_records_on_the_wire_are_those_that_obspy_reads(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, seedlink(port(publisher)) as wire:
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(3)])
        await wanting(wire, "STATION AAA XX", "TIME 2026,11,21,0,0,0")
        data = b"".join(one.data for one in await wire.records(3))
    (trace,) = obspy.read(io.BytesIO(data), format="MSEED").merge()
    assert trace.data.tolist() == list(range(300))
