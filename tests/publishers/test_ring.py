"""RingPublisher in a component: packets become records for SeedLink and DataLink, and a station file says how."""

import logging
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.files import load
from rawdaq.config.options import read_options
from rawdaq.errors import ComponentError
from rawdaq.miniseed.reader import read_record
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.ring import RingPublisher
from rawdaq.ring.server.settings import ListenSettings
from rawdaq.store.errors import DiskFull
from rawdaq.store.store import Store
from rawdaq.stream_id import StreamId
from tests.helpers import until
from tests.makers import packet
from tests.record_makers import NOISE, as_runs, make, packets
from tests.ring.records import STREAMS, record
from tests.ring.rings import contents, serving
from tests.ring.rings import numbers as record_numbers
from tests.ring.seedlink_wire import seedlink, wanting
from tests.servers import Idle
from tests.servers import serving as running


def publisher_of(path: Path, **options: Any) -> RingPublisher:
    chosen: dict[str, Any] = {"max_gb": 0.1, "seedlink": ListenSettings(port=0), "sync_s": 0.05, **options}
    return RingPublisher(path, **chosen)


async def test_packets_of_a_component_reach_clients_as_records_within_the_time_that_was_asked(tmp_path: Path) -> None:
    one = publisher_of(tmp_path / "ring", flush_after_s=0.0)
    server = Idle([one])
    async with running(server), seedlink(one.service.ports["seedlink"], 4) as wire:
        await wanting(wire, "STATION XX_DEMO", "DATA")
        await until(lambda: one.status()["streaming_count"])
        got: list[int] = []
        for index in range(5):
            await server.publish(packet(index, 10))
            info, content = read_record((await wire.packet()).data)
            assert (info.name, info.length_bytes) == ("XX.DEMO.00.HHZ", 512)
            assert content.samples is not None
            got += content.samples.tolist()
        assert got == list(range(50))


async def test_records_are_those_that_an_archive_of_the_same_format_gets(tmp_path: Path) -> None:
    one = publisher_of(tmp_path / "ring", flush_after_s=None)
    archive = MiniSeedPublisher(tmp_path / "archive")
    one.record_format = archive.record_format
    server = Idle([one, archive])
    async with running(server):
        await server.publish(packets(NOISE))
        await server.delivered()
        assert archive.record_format is not None
        stored = [each.data for each in await contents(one.service.ring)]
        assert len(stored) > 10
    (file,) = (path for path in (tmp_path / "archive").rglob("*") if path.is_file())
    assert file.read_bytes().startswith(b"".join(stored))


async def test_whole_records_of_the_wanted_format_pass_as_they_are_and_others_are_made_anew(tmp_path: Path) -> None:
    one = publisher_of(tmp_path / "ring", flush_after_s=0.0)
    server = Idle([one])
    async with running(server):
        await server.publish([record(number, STREAMS[number % 2]) for number in range(6)])
        await server.publish([record(6, STREAMS[0], 256), b"neither record nor packet"])
        await server.delivered()
        await until(lambda: one.service.ring.reader.end - one.service.ring.reader.oldest == 7)
        found = await contents(one.service.ring)
        status: Any = server.cmd_status()
        assert status["publishers"]["RingPublisher"]["refused"] == 1
    assert record_numbers(found[:6]) == list(range(6))
    content = read_record(found[6].data)[1]
    assert content.samples is not None
    assert content.samples.tolist() == list(range(600, 648))
    assert len(found[6].data) == 512


async def test_a_full_disk_pauses_it_and_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path / "ring") as one:
        runs = as_runs(make(packets(NOISE)))
        append = Store.append

        def fail(*args: object) -> None:
            raise DiskFull("ring", "No space left on device")

        monkeypatch.setattr(Store, "append", fail)
        with pytest.raises(PublisherUnavailable, match="No space left") as caught:
            await one.deliver(runs)
        assert caught.value.delivered == 0
        monkeypatch.setattr(Store, "append", append)
        await one.deliver(runs)
        assert [each.data for each in await contents(one.service.ring)] == [run.data for run in runs]


async def test_clients_of_version_3_that_would_get_nothing_are_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(tmp_path / "ring", length=256):
        pass
    assert "clients of SeedLink 3 get none of them" in caplog.text


async def test_an_address_that_is_taken_is_named_with_a_remedy_and_the_ring_is_free_again(tmp_path: Path) -> None:
    async with serving(tmp_path / "one") as one:
        taken = ListenSettings(port=one.service.ports["seedlink"])
        other = publisher_of(tmp_path / "two", seedlink=taken)
        with pytest.raises(ComponentError, match=f"127.0.0.1:{taken.port}.*another program uses it"):
            await other.open()
        async with serving(tmp_path / "two"):
            pass


STATION = """
station: {{network: XX, code: DEMO}}
One:
  Receiver: {{class: RawReceiver, channels: {{1: HHZ}}}}
  Publishers:
    ring: {{class: RingPublisher, path: ring, {more}}}
"""


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("max_gb: 2", "serves nothing: give it `seedlink`"),
        ("seedlink: {port: 18000}, max_gb: 0", "max_gb"),
        ("seedlink: {ip: nowhere.., port: 18000}", "no host name"),
        ("seedlink: {port: 70000}", "port"),
        ("seedlink: {port: 18000}, write: [10.0.0.0/33]", "no address or network"),
        ("seedlink: {port: 18000}, tls: {certificate: a.pem}", "key"),
        ("seedlink: {port: 18000}, length: 500", "power of two"),
        ("seedlink: {port: 18000}, organization: ' '", "who runs the server"),
        ("datalink: {ip: 127.0.0.1, port: 16000, tls: true}", "unknown key"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(tmp_path: Path, more: str, reason: str) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(STATION.format(more=more))
    with pytest.raises(Exception, match=reason):
        load(file)


def test_a_station_file_makes_it_with_all_its_options(tmp_path: Path) -> None:
    given = {
        "path": "ring",
        "max_gb": 1.5,
        "seedlink": {"ip": "0.0.0.0", "port": 18000},  # as one who means it writes
        "datalink": {"port": 16000},
        "tls": {"certificate": "server.pem", "key": "key.pem"},
        "format": 3,
        "read": ["192.0.2.0/24", "::1"],
    }
    options, mistakes = read_options(RingPublisher, given, tmp_path)
    assert mistakes == []
    assert options["tls"].certificate == tmp_path / "server.pem"
    one = RingPublisher(**options)
    assert one.record_format is not None
    assert (one.record_format.version, one.service.ring.max_bytes) == (3, 1_500_000_000)
    assert RingPublisher.exclusive(options) == ["tcp://0.0.0.0:18000", "tcp://127.0.0.1:16000"]
    assert RingPublisher.check_streams([StreamId("X" * 8, "Y" * 8, "00", "HHZ")], options) is None
