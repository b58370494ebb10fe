"""A store in an event loop: the loop never waits for a disk, and what the disk refuses comes as an error."""

import asyncio
import errno
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.store import threads
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.cursors import CursorMove
from rawdaq.store.errors import DiskFailed, DiskFull, DiskSlow, StoreClosed, StoreError, StoreLocked
from tests.helpers import until
from tests.store import logs
from tests.store.faults import FaultyDisk


@pytest.fixture
async def opened(tmp_path: Path, disk: FaultyDisk) -> AsyncIterator[AsyncStore]:
    async with AsyncStore(logs.store(tmp_path / "log"), print, sync_s=0.01) as store:
        yield store


async def test_what_is_appended_is_read_found_and_there_after_a_restart(tmp_path: Path, disk: FaultyDisk) -> None:
    async with AsyncStore(logs.store(tmp_path / "log"), print) as store:
        given = await store.append(logs.entries(0, 5), [CursorMove("archive", 3)])
        reader = store.store.reader()
        batch = await store.read(reader)
        assert logs.contents(batch.entries) == logs.entries(0, 5)
        assert await store.call(store.store.find, logs.STREAMS[1], logs.START_NS) == given[1]
        store.move_cursor("pipe", given[2])
    await store.aclose()
    with logs.store(tmp_path / "log", identity="another boot") as again:
        assert again.next_position == given.stop
        assert {name: cursor.position for name, cursor in again.cursors().items()} == {"archive": 3, "pipe": given[2]}


async def test_the_loop_goes_on_while_a_write_hangs(opened: AsyncStore, disk: FaultyDisk) -> None:
    first = await opened.append(logs.entries(0, 5))
    disk.writes.shut()
    appending = asyncio.create_task(opened.append(logs.entries(5, 5)))
    await until(lambda: disk.writes.waiting)
    assert not appending.done()
    assert logs.contents((await opened.read(opened.store.reader())).entries) == logs.entries(0, 5)
    opened.move_cursor("archive", first[0])
    assert opened.store.status().next_position == first.stop
    disk.writes.open()
    assert await appending == range(first.stop, first.stop + 5)


async def test_what_waits_for_a_write_that_hangs_is_bounded(tmp_path: Path, disk: FaultyDisk) -> None:
    async with AsyncStore(logs.store(tmp_path / "log"), print, max_waiting_bytes=700) as store:
        first = await store.append(logs.entries(0, 5))
        disk.writes.shut()
        waiting = [asyncio.create_task(store.append(logs.entries(5 * turn, 5))) for turn in (1, 2, 3)]
        await until(lambda: disk.writes.waiting)
        with pytest.raises(DiskSlow, match="wait to be written"):
            await store.append(logs.entries(20, 5))
        assert store.refused == 1
        disk.writes.open()
        given = [await task for task in waiting]
        assert [each.start for each in given] == [first.start + 5, first.start + 10, first.start + 15]
        assert store.waiting_bytes == 0
        assert (await store.append(logs.entries(20, 5))).start == first.start + 20


async def test_a_wait_that_is_ended_takes_no_group_back(opened: AsyncStore, disk: FaultyDisk) -> None:
    first = await opened.append(logs.entries(0, 5))
    disk.writes.shut()
    appending = asyncio.create_task(opened.append(logs.entries(5, 5)))
    await until(lambda: disk.writes.waiting)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    assert opened.waiting_bytes > 0
    disk.writes.open()
    async with asyncio.timeout(30):
        await opened.grown(first.stop)
        await opened.synced(first.stop + 5)
    assert opened.waiting_bytes == 0
    assert logs.contents((await opened.read(opened.store.reader())).entries) == logs.entries(0, 10)


async def test_an_append_that_fails_changes_nothing_and_is_made_again(opened: AsyncStore, disk: FaultyDisk) -> None:
    first = await opened.append(logs.entries(0, 5))
    disk.write_error = errno.ENOSPC
    with pytest.raises(DiskFull):
        await opened.append(logs.entries(5, 5))
    assert opened.waiting_bytes == 0
    disk.write_error = None
    assert (await opened.append(logs.entries(5, 5))).start == first.stop
    with pytest.raises(InvalidValue):
        await opened.append([logs.entry(1)._replace(format=1000)])


async def test_with_sync_s_0_nothing_is_acknowledged_before_it_is_on_the_disk(tmp_path: Path, disk: FaultyDisk) -> None:
    async with AsyncStore(logs.store(tmp_path / "log"), print, sync_s=0) as store:
        given = await store.append(logs.entries(0, 5))
        assert store.store.synced_position == given.stop
        disk.syncs.shut()
        appending = [asyncio.create_task(store.append(logs.entries(5 * turn, 5))) for turn in (1, 2)]
        await until(lambda: disk.syncs.waiting and store.store.end_position == given.stop + 10)
        assert not any(task.done() for task in appending)
        disk.syncs.open()
        assert [await task for task in appending] == [range(given.stop + 5 * i, given.stop + 5 * i + 5) for i in (0, 1)]
        assert await store.append([]) == range(given.stop + 10, given.stop + 10)


async def test_a_sync_that_is_refused_is_made_again_and_reported_once(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(threads, "_AGAIN_MAX_S", 0.002)
    told: list[StoreError | None] = []
    async with AsyncStore(logs.store(tmp_path / "log"), told.append, sync_s=0) as store:
        given = await store.append(logs.entries(0, 5))
        disk.sync_error = errno.EIO
        appending = asyncio.create_task(store.append(logs.entries(5, 5)))
        await until(lambda: told)
        assert isinstance(store.sync_error, DiskFailed)
        assert not appending.done()
        disk.sync_error = None
        assert (await appending).start == given.stop
        await until(lambda: len(told) == 2)
        assert [type(each) for each in told] == [DiskFailed, type(None)]
        assert store.sync_error is None


async def test_a_disk_that_hangs_at_the_end_is_given_up(tmp_path: Path, disk: FaultyDisk) -> None:
    store = AsyncStore(logs.store(tmp_path / "log"), print, sync_s=0.01, close_timeout_s=0.05)
    async with asyncio.timeout(30):
        await store.__aenter__()
        given = await store.append(logs.entries(0, 5))
        disk.syncs.shut()
        waiting = asyncio.create_task(store.synced(given.stop + 5))
        await store.append(logs.entries(5, 5))
        await until(lambda: disk.syncs.waiting)
        with pytest.raises(DiskSlow, match="no answer within"):
            await store.aclose()
        with pytest.raises(StoreClosed, match="before all was synced"):
            await waiting
    await store.aclose()
    disk.syncs.open()
    await until(lambda: store.store._writer is None)


async def test_a_store_that_is_not_open_says_so(tmp_path: Path, disk: FaultyDisk) -> None:
    store = AsyncStore(logs.store(tmp_path / "log"), print)
    assert store.sync_error is None
    for ask in (store.append([]), store.synced(1), store.call(int)):
        with pytest.raises(StoreClosed):
            await ask
    async with AsyncStore(logs.store(tmp_path / "log"), print):
        with pytest.raises(StoreLocked):
            await store.__aenter__()


async def test_a_bug_does_not_end_the_syncs(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threads, "_AGAIN_FIRST_S", 0.001)
    reported: list[StoreError | None] = []
    async with AsyncStore(logs.store(tmp_path / "log"), reported.append, sync_s=0) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store.store, "maintain", broken)
            await store.append(logs.entries(0, 5))
            await until(lambda: store.sync_error)
            assert "ZeroDivisionError" in str(store.sync_error)
        await until(lambda: store.sync_error is None)
    assert "the sync of" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    first, last = reported
    assert "ZeroDivisionError" in str(first)
    assert last is None


def broken() -> None:
    raise ZeroDivisionError("a bug")


async def test_what_is_written_is_noticed_by_readers_that_wait(opened: AsyncStore) -> None:
    reader, found = opened.store.reader(), list[logs.Stored]()

    async def follow() -> None:
        while len(found) < 100:
            await opened.grown(reader.position)
            found.extend((await opened.read(reader)).entries)

    following = asyncio.create_task(follow())
    for number in range(0, 100, 10):
        await opened.append(logs.entries(number, 10))
    async with asyncio.timeout(30):
        await following
    assert logs.contents(found) == logs.entries(0, 100)


async def test_much_that_is_not_synced_is_synced_at_once(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.store.store._URGENT_BYTES", 2000)
    async with AsyncStore(logs.store(tmp_path / "log"), print, sync_s=3600) as store:
        first = await store.append(logs.entries(0, 3))
        synced = store.store.synced_position
        assert synced < first.stop
        given = await store.append(logs.entries(3, 50))
        async with asyncio.timeout(30):
            await store.synced(given.stop)


def test_a_worker_does_one_thing_after_the_other_and_tells_how_each_ended() -> None:
    worker, gate = threads.Worker("works"), threading.Event()
    first = worker.submit(gate.wait)
    cancelled = worker.submit(int, "5")
    failing = worker.submit(int, "x")
    last = worker.submit(int, "7")
    assert cancelled.cancel()
    gate.set()
    assert first.result(30)
    with pytest.raises(ValueError, match="invalid literal"):
        failing.result(30)
    assert last.result(30) == 7
    worker.end()
