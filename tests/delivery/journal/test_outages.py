"""A journal that is full, a disk that refuses, a publisher that is away: told once, counted, and nothing is lost."""

import asyncio
import errno
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.settings import JournalSettings
from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.journal.journal import Journal
from rawdaq.publisher import CursorMarks, OverflowPolicy, PublisherUnavailable
from rawdaq.store.async_store import AsyncStore
from rawdaq.times import NS_PER_DAY
from tests.fanouts import HHN, LOG, Keeper
from tests.helpers import DEADLINE_S, until
from tests.journals import MustKeep, journalled
from tests.makers import STREAM, packet
from tests.store.faults import FaultyDisk

SEGMENT_BYTES = 1 << 14


def status_of(fanout: Fanout) -> Any:
    assert fanout.journal is not None
    return fanout.journal.status()


async def fill(fanout: Fanout) -> int:
    """Put packets until the journal takes no more, nor waits for more; return how many."""
    count = 0
    while not status_of(fanout)["is_taking_nothing"]:
        fanout.put([packet(count)])
        count += 1
        assert count < 5000
        await until(lambda: not len(fanout.journal.queue) or status_of(fanout)["is_taking_nothing"])  # type: ignore[union-attr]
    while fanout.put([packet(count)]):
        count += 1
    return count + 1


async def is_written(fanout: Fanout) -> None:
    assert fanout.journal is not None
    await fanout.journal.drain()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a journal have four segments of 16 KB, and few packets wait for it."""
    monkeypatch.setattr("rawdaq.delivery.journal.journal.SEGMENT_BYTES", SEGMENT_BYTES)
    monkeypatch.setattr("rawdaq.delivery.journal.journal._MAX_PACKETS", 20)
    monkeypatch.setattr("rawdaq.delivery.journal.journal._RETRY_MAX_S", 0.02)

    def small_settings(path: Path) -> JournalSettings:
        return JournalSettings.model_construct(path=path, max_gb=5 * SEGMENT_BYTES / 1e9, max_days=7.0, sync_s=0.0)

    monkeypatch.setattr("tests.journals.settings", small_settings)


async def test_a_full_journal_holds_the_device_and_says_for_whom(
    tmp_path: Path, small: None, caplog: pytest.LogCaptureFixture
) -> None:
    live, archive = Keeper("live"), MustKeep("archive")
    archive.queue_packets = 5
    archive.gate.clear()
    async with journalled(tmp_path, [live, archive]) as fanout:
        count = await fill(fanout)
        assert fanout.full == ["the journal"]
        assert "are kept for archive; let these go on, or allow more" in caplog.text
        assert status_of(fanout)["cursors"]["archive"]["dropped"] == 0
        await until(lambda: len(live.kept) == count)
        waiting = asyncio.ensure_future(fanout.room())
        archive.gate.set()
        await waiting
        await until(lambda: len(archive.kept) == count)
    assert archive.kept == live.kept
    assert caplog.text.count("the journal takes nothing now") == 1
    assert caplog.text.count("the journal takes data again") == 1


async def test_a_publisher_that_may_drop_loses_the_oldest_counted_by_stream(
    tmp_path: Path, small: None, caplog: pytest.LogCaptureFixture
) -> None:
    archive = MustKeep("archive")
    archive.queue_packets, archive.overflow = 5, OverflowPolicy.DROP_OLDEST
    archive.gate.clear()
    async with journalled(tmp_path, [archive]) as fanout:
        for index in range(500):
            fanout.put([packet(index, stream=(STREAM, HHN)[index % 2])])
            await is_written(fanout)
        lost = status_of(fanout)["cursors"]["archive"]
        archive.gate.set()
        fanout.put([packet(500)])
        await until(lambda: archive.kept and archive.kept[-1] == packet(500))
    assert 0 < lost["dropped"] == sum(lost["dropped_by_stream"].values()) < 500
    assert lost["dropped_by_stream"].keys() == {str(STREAM), str(HHN)}
    assert "archive had not read XX.DEMO.00.HHZ: " in caplog.text
    begin = archive.kept.index(packet(499, stream=HHN)) - len(archive.kept) + 2
    assert begin == 0
    kept = [each.start_ns for each in archive.kept]
    assert kept == sorted(kept)
    assert len(kept) >= 501 - lost["dropped"]


async def test_one_that_must_not_drop_is_not_dropped_for_one_that_may(tmp_path: Path, small: None) -> None:
    lossy, archive = MustKeep("lossy"), MustKeep("archive")
    lossy.overflow = OverflowPolicy.DROP_OLDEST
    for each in (lossy, archive):
        each.queue_packets = 5
        each.gate.clear()
    async with journalled(tmp_path, [lossy, archive]) as fanout:
        count = await fill(fanout)
        assert status_of(fanout)["cursors"]["lossy"]["dropped"] == 0
        archive.gate.set()
        lossy.gate.set()
        await until(lambda: len(archive.kept) == count)


async def test_a_full_disk_is_told_once_and_all_is_delivered_when_it_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.delivery.journal.journal._RETRY_MAX_S", 0.02)
    disk = FaultyDisk(tmp_path, monkeypatch)
    live, archive = Keeper("live"), MustKeep("archive")
    async with journalled(tmp_path / "log", [live, archive]) as fanout:
        fanout.put([packet(0)])
        await is_written(fanout)
        disk.write_error = errno.ENOSPC
        fanout.put([packet(1)])
        await until(lambda: status_of(fanout)["is_taking_nothing"])
        fanout.put([packet(2)])
        await until(lambda: len(live.kept) == 3)
        assert archive.kept == [packet(0)]
        disk.write_error = None
        await until(lambda: len(archive.kept) == 3)
        assert not status_of(fanout)["is_taking_nothing"]
    assert archive.kept == [packet(index) for index in range(3)]
    assert caplog.text.count("the journal takes nothing now: ") == 1
    assert "free some room" in caplog.text


async def test_a_disk_that_cannot_be_read_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FaultyDisk(tmp_path, monkeypatch)
    archive = MustKeep("archive")
    archive.queue_packets = 2
    archive.gate.clear()
    async with journalled(tmp_path / "log", [archive]) as fanout:
        for index in range(20):
            fanout.put([packet(index)])
            await is_written(fanout)
        disk.read_error = errno.EIO
        archive.gate.set()
        await until(lambda: "archive cannot read on in the journal" in caplog.text)
        disk.read_error = None
        await until(lambda: len(archive.kept) == 20)
    assert archive.kept == [packet(index) for index in range(20)]
    assert caplog.text.count("cannot read on") == caplog.text.count("archive reads on in the journal") == 1


async def test_an_entry_with_a_flipped_bit_costs_that_entry_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = MustKeep("archive")
    away.gate.clear()
    async with journalled(tmp_path, [away], is_killed=True) as fanout:
        for index in range(9):
            fanout.put([packet(index)])
            await is_written(fanout)
    (segment,) = tmp_path.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(packet(3).samples.tobytes()) + 5] ^= 4
    segment.write_bytes(data)
    async with journalled(tmp_path, [back := MustKeep("archive")]) as fanout:
        await until(lambda: len(back.kept) == 8)
        status = status_of(fanout)
    assert back.kept == [packet(index) for index in range(9) if index != 3]
    assert (status["lost"], status["lost_by_stream"]) == (1, {str(STREAM): 1})
    assert status["cursors"]["archive"]["unreadable"] == 1
    assert f"lost 1 entries of {STREAM}, 2026-11-21T00:00:03" in caplog.text


async def test_what_cannot_be_delivered_at_a_stop_stays_and_is_no_failure(tmp_path: Path) -> None:
    away = MustKeep("archive", [PublisherUnavailable("no disk")] * 1000)
    journal = Journal(JournalSettings(path=tmp_path, sync_s=0.0), LOG)
    fanout = Fanout([away], LOG, journal=journal)
    await fanout.open(is_strict=True)
    tasks = [asyncio.ensure_future(run()) for run in fanout.tasks().values()]
    fanout.put([packet(0)])
    await journal.drain()
    assert await fanout.drain(0.2) is None
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await fanout.aclose(DEADLINE_S)
    async with journalled(tmp_path, [back := MustKeep("archive")]):
        await until(lambda: back.kept == [packet(0)])


class Unsafe(MustKeep):
    """Cannot say that what it has got is safe while `refuses` is set."""

    refuses = True

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        if self.refuses:
            raise PublisherUnavailable("the disk does not sync")
        return {b"so far": str(len(self.kept)).encode()}


async def test_the_cursor_stays_while_a_publisher_does_not_say_that_all_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.delivery.journal.cursor._LOOK_S", 0.01)
    unsafe = Unsafe("archive")
    async with journalled(tmp_path, [unsafe]) as fanout:
        store = fanout.journal.store.store  # type: ignore[union-attr]
        begin = store.end_position
        for index in range(3):
            fanout.put([packet(index)])
        await until(lambda: "until this is over: the disk does not sync" in caplog.text)
        await until(lambda: len(unsafe.kept) == 3)
        assert store.cursors()["archive"].position == begin
        unsafe.refuses = False
        await until(lambda: store.cursors()["archive"].position == begin + 3)
        assert store.cursors()["archive"].marks == {b"pso far": b"3"}
    assert caplog.text.count("until this is over") == 1


async def test_cursors_of_publishers_that_are_no_more_are_told_and_dropped_after_a_week(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with journalled(tmp_path, [MustKeep("old"), MustKeep("new")]) as fanout:
        fanout.put([packet(0)])
    async with journalled(tmp_path, [MustKeep("new")]) as fanout:
        assert "old" in fanout.journal.store.store.cursors()  # type: ignore[union-attr]
    assert "old is no publisher of this component that must deliver; what it has not read is kept until" in caplog.text

    def in_eight_days() -> int:
        return time.time_ns() + 8 * NS_PER_DAY

    caplog.clear()
    journal = Journal(JournalSettings(path=tmp_path, sync_s=0.0), LOG, in_eight_days)
    fanout = Fanout([MustKeep("new")], LOG, journal=journal)
    await fanout.open(is_strict=True)
    assert journal.store.store.cursors().keys() == {"new"}
    await fanout.aclose(DEADLINE_S)
    assert "nothing is kept for old any more" in caplog.text


async def test_status_says_how_much_there_is_and_how_far_each_publisher_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rawdaq.delivery.journal.journal._LOOK_S", 0.01)
    caplog.set_level(logging.INFO)
    quick, slow = MustKeep("quick"), MustKeep("slow")
    slow.gate.clear()
    async with journalled(tmp_path, [quick, slow]) as fanout:
        for index in range(10):
            fanout.put([packet(index)])
        await is_written(fanout)
        await until(lambda: status_of(fanout)["cursors"]["slow"]["behind_packets"] == 10)
        await until(lambda: status_of(fanout)["cursors"]["quick"]["behind_packets"] == 0)
        status = status_of(fanout)
        assert (status["path"], status["is_open"]) == (str(tmp_path), True)
        assert status["position"] - status["oldest_position"] == 10
        assert status["oldest_time"] == "2026-11-21T00:00:00.000000Z"
        assert status["size_bytes"] > 4000
        assert status["last_sync"] is not None
        assert (status["is_disk_nearly_full"], status["sync_error"], status["lost"]) == (False, None, 0)
        assert status["cursors"]["slow"]["behind_s"] == pytest.approx(9.99)
        slow.gate.set()
    assert status_of(fanout) == {"path": str(tmp_path), "is_open": False}


async def test_more_may_wait_while_the_disk_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.delivery.journal.journal._MAX_BYTES", 2000)
    monkeypatch.setattr("rawdaq.delivery.journal.journal._STALLED_S", 0.01)
    gate, append = asyncio.Event(), AsyncStore.append

    async def append_later(self: AsyncStore, *arguments: Any) -> range:
        await gate.wait()
        return await append(self, *arguments)

    monkeypatch.setattr(AsyncStore, "append", append_later)
    archive = MustKeep("archive")
    async with journalled(tmp_path, [archive]) as fanout:
        assert fanout.journal is not None
        queue = fanout.journal.queue
        rooms = [fanout.put([packet(index)]) for index in range(10)]
        assert not all(rooms)
        await asyncio.wait_for(fanout.room(), DEADLINE_S)
        rooms = [fanout.put([packet(index)]) for index in range(10, 20)]
        assert all(rooms)
        gate.set()
        await until(lambda: len(archive.kept) == 20)
        await until(lambda: queue.max_bytes == 2000)
