"""Fanouts with a journal, opened and run in one process, and killed as a process is: nothing is closed in order."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rawdaq.config.settings import JournalSettings
from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.journal.journal import Journal
from rawdaq.disk.rotation import Rotation, _active
from rawdaq.disk.threads import DiskThread
from rawdaq.file_output.appending import AppendingPublisher
from rawdaq.file_output.rotating import RotatingPublisher
from rawdaq.miniseed.file import RecordFile
from rawdaq.miniseed.reader import read_record
from rawdaq.publisher import Publisher
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.times import sample_time
from tests.fanouts import LOG, Keeper, RecordKeeper
from tests.helpers import DEADLINE_S, until

_PATIENCE_S = 60.0  # many syncs of a busy disk


class MustKeep(Keeper):
    must_deliver = True


class MustKeepRecords(RecordKeeper):
    must_deliver = True


def settings(path: Path, **more: Any) -> JournalSettings:
    return JournalSettings(path=path, **{"sync_s": 0.0, **more})


@contextlib.asynccontextmanager
async def journalled(
    path: Path, publishers: Sequence[Publisher], *, is_killed: bool = False, **more: Any
) -> AsyncGenerator[Fanout]:
    """Run a fanout with a journal in *path*; at the end it is drained and closed, or only cancelled.

    What a kill leaves behind in memory is dropped; what the store has written is on the disk, as in a page cache.
    """
    journal = Journal(settings(path, **more), LOG)
    fanout = Fanout(publishers, LOG, journal=journal)
    await fanout.open(is_strict=True)
    tasks = [asyncio.ensure_future(run()) for run in fanout.tasks().values()]
    try:
        yield fanout
        if not is_killed:
            assert await fanout.drain(_PATIENCE_S) is None
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise AssertionError(f"a task has ended: {result!r}") from (
                    result if isinstance(result, BaseException) else None
                )
        if is_killed:
            await finish_writes(publishers)
            kill(journal)
        else:
            assert await fanout.aclose(_PATIENCE_S) == [None] * len(publishers)


class Settle(NamedTuple):
    """What is delivered by now, or all, is synced, and the cursor moves."""

    is_delivered: bool


class FallBehind(NamedTuple):
    """What waits in memory is forgotten, and read from the journal."""


def journal_of(fanout: Fanout) -> Journal:
    """Return the journal of a fanout that has one."""
    assert fanout.journal is not None
    return fanout.journal


async def delivered(fanout: Fanout) -> None:
    """Return when all that was put has been delivered to the one publisher behind the journal."""
    await journal_of(fanout).drain()
    (outlet,) = journal_of(fanout).outlets
    await until(lambda: not (outlet.queue.is_behind or len(outlet.queue) or len(outlet.worker.queue)))


async def at_the_end(fanout: Fanout) -> None:
    """Return when the cursor of the one publisher behind the journal is at its end."""
    (outlet,) = journal_of(fanout).outlets
    async with asyncio.timeout(DEADLINE_S):
        while outlet.cursor.base != journal_of(fanout).store.store.end_position:
            await outlet.cursor.settle()
            await asyncio.sleep(0)


async def finish_writes(publishers: Sequence[Publisher]) -> None:
    """Wait for what threads of disks still do for *publishers*: they may be keeping marks in the journal."""
    for publisher in publishers:
        thread = getattr(publisher, "_thread", None)
        if isinstance(thread, DiskThread):
            await thread.submit(lambda: None)


def kill(journal: Journal) -> None:
    """End the store as a kill does: what was written stays, the lock is given back, nothing more is written."""
    store = journal.store
    assert store._sync is not None
    assert store._writer is not None
    assert store._reader is not None
    store._sync.end()
    store._sync.join(_PATIENCE_S)
    store._writer.submit(lambda: None).result(_PATIENCE_S)
    store._writer.end()
    store._reader.end()
    store.store._unlock()
    store.store._catalog.close()
    store.store._parts.durability.close()
    store._writer = store._reader = store._sync = None
    store.store._writer = None


def _close_files(publisher: MiniSeedPublisher) -> None:
    for file in publisher._archive._files._files.values():
        file.close()


async def kill_archive(publisher: MiniSeedPublisher) -> None:
    """End *publisher* as a kill does: what it has written stays, files are given back, nothing is synced."""
    publisher._late_sync.close()
    thread, publisher._thread = publisher._thread, None
    assert thread is not None
    await thread.submit(_close_files, publisher)
    thread.give_back()
    publisher._is_closed = True


async def kill_appending(publisher: AppendingPublisher) -> None:
    """End *publisher* as a kill does."""
    publisher._late_sync.close()
    thread, publisher._thread = publisher._thread, None
    assert thread is not None
    await thread.submit(os.close, publisher._fd)
    thread.give_back()
    publisher._fd = -1


async def kill_rotating(publisher: RotatingPublisher[Any]) -> None:
    """End *publisher* as a kill does; files that wait to be finished stay as they are."""
    publisher._late_sync.close()
    thread, publisher._thread = publisher._thread, None
    assert thread is not None
    await thread.submit(_close_rotating, publisher.files)
    thread.give_back()


def _close_rotating(files: Rotation[Any]) -> None:
    files._finisher._queue.put(None)
    if files._finisher._thread is not None:
        files._finisher._thread.join()
    for complete in files._finisher._unfinished:
        complete.file.close()
    if files.current is not None:
        files.current.close()
    for path in [path for path in _active if path.parent == files._names.folder.resolve()]:
        _active.discard(path)


def archived(root: Path) -> dict[tuple[str, str], list[tuple[int, Any]]]:
    """Return time and value of each sample in the archive in *root*, by stream and file, in order."""
    found: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for path in sorted(root.rglob("[!.]*.D.*")):
        file = RecordFile(path, lambda path, text: pytest.fail(f"{path}: {text}"))
        for record in file.records(0, file.size_bytes):
            info, content = read_record(record.data)
            assert content.samples is not None
            times = [sample_time(info.start_ns, index, info.rate_hz) for index in range(info.sample_count)]
            found.setdefault((info.name, path.name), []).extend(zip(times, content.samples.tolist(), strict=True))
    return found
