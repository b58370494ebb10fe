"""MiniSeedPublisher: what it delivers is in its files, and a bad disk stops nothing else."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from obspy import read

from rawdaq.archive.layout import LAYOUTS
from rawdaq.config.options import read_options
from rawdaq.delivery.fanout import Fanout
from rawdaq.disk.threads import DiskThread
from rawdaq.errors import ComponentError
from rawdaq.miniseed.maker import Encoding, Record, RecordFormat
from rawdaq.packet import Packet
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.sockets.dialling import Backoff
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso
from tests.disks import Disk, let_no_sync_succeed
from tests.fanouts import running
from tests.helpers import until, wait_for
from tests.record_makers import RecordMaker, as_runs

STREAM = StreamId.parse("XX.DEMO.00.HHZ")
START_NS = from_iso("2026-11-21T00:00:00Z")
DAY = "2026/XX/DEMO/HHZ.D/XX.DEMO.00.HHZ.D.2026.325"
DEFAULTS: dict[str, Any] = {
    "path": Path("/a/b"),
    "layout": "sds",
    "version": 2,
    "record_length": 512,
    "encoding": Encoding.AUTO,
    "flush_after_s": None,
    "fsync_s": 5.0,
    "max_open_files": 1024,
}


def packets(count: int = 30) -> list[Packet]:
    noise = np.random.default_rng(3).normal(0, 500, 100 * count).cumsum().astype(np.int32)
    return [
        Packet(STREAM, START_NS + index * 10**9, 100.0, noise[index * 100 : index * 100 + 100], 100)
        for index in range(count)
    ]


def records(publisher: MiniSeedPublisher) -> list[Record]:
    assert publisher.record_format is not None
    maker = RecordMaker(publisher.record_format)
    return maker.add(packets(), 0) + maker.flush()


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[MiniSeedPublisher]:
    """A publisher that fsyncs only at its end."""
    publisher = MiniSeedPublisher(tmp_path / "archive", fsync_s=3600.0, name="archive")
    await publisher.open()
    yield publisher
    await publisher.aclose()


def test_building_one_touches_nothing(tmp_path: Path) -> None:
    publisher = MiniSeedPublisher(tmp_path / "archive", version=3, record_length=600, encoding=Encoding.STEIM1)
    assert publisher.record_format == RecordFormat(3, 600, Encoding.STEIM1, None)
    assert not list(tmp_path.iterdir())


async def test_packets_of_a_component_arrive_in_obspy(publisher: MiniSeedPublisher, tmp_path: Path) -> None:
    fanout = Fanout([publisher], publisher.log)
    async with running(fanout):
        fanout.put([*packets()])
        await fanout.drain(30.0)
    status = publisher.status()
    await publisher.aclose()
    trace = read(tmp_path / "archive" / DAY)[0]
    assert np.array_equal(trace.data, np.concatenate([packet.samples for packet in packets()]))
    assert trace.stats.starttime.ns == START_NS
    size_bytes = (tmp_path / "archive" / DAY).stat().st_size
    assert status == {
        "path": str(tmp_path / "archive"),
        "records": size_bytes // 512,
        "bytes": size_bytes,
        "open_files": 1,
        "unsynced_files": 1,
        "sync_error": None,
        "torn_tails": 0,
        "held_bytes": 0,
        "restart_gaps": {},
        "restart_gap_s": 0.0,
        "already_there": 0,
    }


async def test_a_full_disk_pauses_and_goes_on(
    publisher: MiniSeedPublisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = records(publisher)
    with monkeypatch.context() as full:
        Disk(tmp_path, full).room_bytes = 3 * 512 + 100
        with pytest.raises(PublisherUnavailable, match="free space on that disk") as unavailable:
            await publisher.deliver(as_runs(made))
    await publisher.deliver(as_runs(made[unavailable.value.delivered :]))
    assert (tmp_path / "archive" / DAY).read_bytes() == b"".join(record.data for record in made)


async def test_records_are_safe_after_fsync_s(tmp_path: Path) -> None:
    publisher = MiniSeedPublisher(tmp_path, fsync_s=0.01)
    await publisher.open()
    for record in records(publisher)[:2]:
        await publisher.deliver(as_runs([record]))
        await until(lambda: publisher.status()["unsynced_files"] == 0)
    await publisher.aclose()


async def test_records_are_safe_at_each_batch_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = MiniSeedPublisher(tmp_path, fsync_s=0.0)
    await publisher.open()
    made = records(publisher)
    await publisher.deliver(as_runs(made[:1]))
    assert publisher.status()["unsynced_files"] == 0
    with monkeypatch.context() as broken:
        let_no_sync_succeed(broken)
        for _ in range(2):
            with pytest.raises(PublisherUnavailable, match="Input/output error") as unsafe:
                await publisher.deliver(as_runs(made[1:]))
            assert unsafe.value.delivered == 0
    await publisher.deliver(as_runs(made[1:]))
    assert publisher.status()["unsynced_files"] == 0
    await publisher.aclose()
    assert (tmp_path / DAY).read_bytes() == b"".join(record.data for record in made)


async def test_a_batch_that_is_to_be_safe_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.delivery.worker.Backoff", lambda: Backoff(0.01, 0.01))
    publisher = MiniSeedPublisher(tmp_path, fsync_s=0.0, flush_after_s=0.0, name="archive")
    await publisher.open()
    async with running(fanout := Fanout([publisher], publisher.log)):
        with monkeypatch.context() as broken:
            let_no_sync_succeed(broken)
            fanout.put([*packets(1)])
            await until(lambda: fanout.status()["archive"]["state"] == "paused")
            status = fanout.status()["archive"]
            assert (status["delivered"], status["waiting"], status["records"]) == (0, 1, 1)
        await until(lambda: fanout.status()["archive"]["state"] == "running")
    status = fanout.status()["archive"]
    assert (status["delivered"], status["waiting"], status["unsynced_files"]) == (1, 0, 0)
    await publisher.aclose()
    assert np.array_equal(read(tmp_path / DAY)[0].data, packets(1)[0].samples)


async def test_a_disk_that_does_not_sync_is_reported_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.disk.late_sync._RETRY_S", 0.01)
    publisher = MiniSeedPublisher(tmp_path, fsync_s=0.01)
    await publisher.open()
    with monkeypatch.context() as broken:
        let_no_sync_succeed(broken)
        await publisher.deliver(as_runs(records(publisher)))
        await until(lambda: "Input/output error" in str(publisher.status()["sync_error"]))
        assert "may not be on the disk" in caplog.text
    await until(lambda: publisher.status()["sync_error"] is None)
    assert publisher.status()["unsynced_files"] == 0
    await publisher.aclose()


async def test_what_a_full_disk_took_is_made_safe_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = MiniSeedPublisher(tmp_path, fsync_s=0.01)
    await publisher.open()
    first = records(publisher)[0]
    other = first._replace(stream=StreamId.parse("XX.DEMO.00.HHN"))
    with monkeypatch.context() as full:
        Disk(tmp_path, full).room_bytes = 700
        with pytest.raises(PublisherUnavailable):
            await publisher.deliver(as_runs([first, other]))
    assert publisher.status()["open_files"] == 1
    await until(lambda: publisher.status()["unsynced_files"] == 0)
    await publisher.aclose()


async def test_archives_that_stop_together_are_written_in_one_hand_over_without_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.disk.threads._PER_DISK", 1)
    monkeypatch.setattr(MiniSeedPublisher, "gather_s", 1e6)
    monkeypatch.setattr(MiniSeedPublisher, "gather_bytes", 1 << 30)
    publishers = [MiniSeedPublisher(tmp_path / name, name=name) for name in "abc"]
    hand_overs: list[int] = []
    hand_over = DiskThread._hand_over

    def counted(thread: DiskThread) -> None:
        hand_overs.append(len(thread._submitted))
        hand_over(thread)

    for publisher in publishers:
        await publisher.open()
    with monkeypatch.context() as counting:
        counting.setattr(DiskThread, "_hand_over", counted)
        async with running(fanout := Fanout(publishers, publishers[0].log)):
            fanout.put([*packets()])
            await fanout.drain(30.0)
    assert hand_overs[0] == 3
    for publisher in publishers:
        await publisher.aclose()
        trace = read(tmp_path / publisher.name / DAY)[0]
        assert np.array_equal(trace.data, np.concatenate([packet.samples for packet in packets()]))


async def test_what_is_held_waits_and_is_written_when_its_file_can_be_also_when_nothing_more_comes(
    publisher: MiniSeedPublisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "archive" / DAY
    file.mkdir(parents=True)
    made = records(publisher)
    await publisher.deliver(as_runs(made))
    held = publisher.held
    assert held is not None
    assert held.reason.startswith(f"cannot write {file}: Is a directory; move the folder that has this name")
    assert sum(map(len, held.items)) == len(made)
    file.rmdir()
    publisher.retry()
    await until(lambda: publisher.held is None)
    assert file.read_bytes() == b"".join(record.data for record in made)

    monkeypatch.setattr("rawdaq.publishers.miniseed.RETRY_S", 0.01)
    file.rename(aside := file.with_name("aside"))
    file.mkdir()
    await publisher.deliver(as_runs(made))
    assert publisher.held
    file.rmdir()
    await until(lambda: publisher.held is None)
    assert file.read_bytes() == aside.read_bytes()


async def test_a_disk_that_is_done_before_the_end_waits_for_it_has_answered(
    publisher: MiniSeedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_back = DiskThread.give_back

    def slowly(thread: DiskThread) -> None:
        done = thread.calls_done
        give_back(thread)
        wait_for(lambda: thread.calls_done > done)

    monkeypatch.setattr(DiskThread, "give_back", slowly)
    await publisher.aclose()


async def test_a_slow_disk_that_answers_is_waited_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, others = MiniSeedPublisher(tmp_path), threading.Semaphore(0)
    await publisher.open()
    thread = publisher._thread
    assert thread is not None
    calls = [thread.submit(others.acquire) for _ in range(3)]

    async def timed_out(*_: object, **__: object) -> None:
        done = thread.calls_done
        others.release()
        await until(lambda: thread.calls_done > done)

    monkeypatch.setattr("rawdaq.publishers.miniseed.asyncio.wait", timed_out)
    await publisher.aclose()
    monkeypatch.undo()
    assert all(await asyncio.gather(*calls))


async def test_a_disk_that_hangs_stops_neither_the_loop_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, write = threading.Event(), os.write

    def hanging(fd: int, data: bytes) -> int:
        if threading.current_thread().name.startswith("disk"):
            answers.wait()
        return write(fd, data)

    publisher = MiniSeedPublisher(tmp_path, name="hung")
    await publisher.open()
    monkeypatch.setattr(os, "write", hanging)
    publisher.close_timeout_s = 0.05
    delivery = asyncio.create_task(publisher.deliver(as_runs(records(publisher))))
    await until(lambda: (tmp_path / DAY).exists())
    try:
        with pytest.raises(ComponentError, match="does not answer: the last records may not be on it"):
            await publisher.aclose()
    finally:
        answers.set()
        await delivery
    await publisher.aclose()


async def test_records_that_are_lost_at_the_end_are_reported(tmp_path: Path) -> None:
    (tmp_path / DAY).mkdir(parents=True)
    publisher = MiniSeedPublisher(tmp_path)
    await publisher.open()
    await publisher.deliver(as_runs(records(publisher)[:1]))
    with pytest.raises(ComponentError, match=r"1 records could not be written and are lost: .* Is a directory"):
        await publisher.aclose()


async def test_the_disk_is_not_asked_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, loop, asked = MiniSeedPublisher(tmp_path, fsync_s=0.01), asyncio.get_running_loop(), list[object]()
    await publisher.open()
    await publisher.deliver(as_runs(records(publisher)[:1]))
    await publisher.aclose()

    def count(*args: object) -> None:
        asked.append(args)

    monkeypatch.setattr(DiskThread, "submit", count)
    due_s = loop.time() + 0.01
    await until(lambda: loop.time() > due_s)
    assert asked == []


async def test_nothing_is_delivered_before_it_is_open(tmp_path: Path) -> None:
    publisher = MiniSeedPublisher(tmp_path, name="archive")
    with pytest.raises(ComponentError, match="archive is not open"):
        await publisher.deliver(as_runs(records(publisher)[:1]))
    await publisher.aclose()


async def test_closing_twice_is_fine_and_so_is_closing_what_never_opened(tmp_path: Path) -> None:
    publisher = MiniSeedPublisher(tmp_path)
    await publisher.aclose()
    await publisher.aclose()


async def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "archive").touch()
    publisher = MiniSeedPublisher(tmp_path / "archive")
    with pytest.raises(ComponentError, match="File exists; move the file that stands in the way"):
        await publisher.open()
    await publisher.aclose()


def test_only_the_path_is_required() -> None:
    assert read_options(MiniSeedPublisher, {"path": "b"}, Path("/a")) == (DEFAULTS, [])


def test_every_option_can_be_given() -> None:
    given = {
        "path": "/b",
        "layout": "%n/%s",
        "version": 3,
        "record_length": 1000,
        "encoding": "int32",
        "flush_after_s": 1,
        "fsync_s": 0,
        "max_open_files": 7,
    }
    options, mistakes = read_options(MiniSeedPublisher, given, Path("/a"))
    assert mistakes == []
    assert options == given | {"path": Path("/b")}
    assert MiniSeedPublisher(**options).record_format == RecordFormat(3, 1000, Encoding.INT32, 1.0)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("layout", "sdss", "is not sds, bud or a pattern with % letters"),
        ("layout", "%n/%x", "%x is unknown"),
        ("version", 4, "it should be 2 or 3"),
        ("record_length", 64, "greater than or equal to 128"),
        ("record_length", "512", "valid integer"),
        ("encoding", "zip", "'auto', 'steim1'"),
        ("flush_after_s", -1, "greater than or equal to 0"),
        ("fsync_s", -1, "greater than or equal to 0"),
        ("max_open_files", 0, "greater than or equal to 1"),
        ("fsync", 1, "did you mean 'fsync_s'?"),
    ],
)
def test_a_wrong_option_is_reported(key: str, value: object, reason: str) -> None:
    _, mistakes = read_options(MiniSeedPublisher, {"path": "b", key: value}, Path("/a"))
    assert [mistake.where for mistake in mistakes] == [(key,)]
    assert reason in mistakes[0].text


@pytest.mark.parametrize(
    ("options", "stream", "reason"),
    [
        ({}, "XX.DEMO.00.HHZ", None),
        ({"record_length": 500}, "XX.DEMO.00.HHZ", "record length 500 is not a power of two from 128 to 131072"),
        ({"version": 3, "record_length": 500}, "XX.STATION.00.HHZ", None),
        ({}, "XX.STATION.00.HHZ", "miniSEED 2 has no room for station STATION (5 characters); use version 3"),
    ],
)
def test_a_station_file_is_checked_before_anything_starts(
    options: dict[str, Any], stream: str, reason: str | None
) -> None:
    streams = [STREAM, StreamId.parse(stream)]
    assert MiniSeedPublisher.check_streams(streams, DEFAULTS | options) == reason


def test_an_archive_is_named_by_its_folder_and_layout_however_that_is_written() -> None:
    sds = MiniSeedPublisher.exclusive_by_stream(DEFAULTS)
    assert sds == f"archive {DEFAULTS['path']} (sds)"
    assert MiniSeedPublisher.exclusive_by_stream(DEFAULTS | {"layout": LAYOUTS["sds"]}) == sds
    other = MiniSeedPublisher.exclusive_by_stream(DEFAULTS | {"layout": "%n.%s"})
    assert other == f"archive {DEFAULTS['path']} (%n.%s)"
