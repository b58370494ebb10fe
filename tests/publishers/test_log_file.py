"""LogFilePublisher: records as lines of text, whole, in files that rotate and are never written over."""

import asyncio
import errno
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rawdaq.errors import ComponentError
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Message
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.log_file import LogFilePublisher
from rawdaq.store.store import Store
from tests.helpers import until
from tests.journals import journal_of, journalled, kill_appending
from tests.makers import START_NS, message


def record(text: str, **more: Any) -> Message:
    return LogRecord(START_NS, 30, "daq", text, **more).message_of().published(0, "Logs", START_NS)


async def opened(path: Path, **options: Any) -> LogFilePublisher:
    publisher = LogFilePublisher(path, **options)
    await publisher.open()
    return publisher


async def test_records_are_lines_that_people_read(tmp_path: Path) -> None:
    publisher = await opened(tmp_path / "new" / "daq.log")
    await publisher.deliver([record("one"), record("two\nthree", component="XX.DEMO.T", exception="Traceback\nx")])
    event = message(1).published(0, "T", START_NS)
    odd = message(0, "~log", message=5).published(0, "T", START_NS)
    await publisher.deliver([event, odd, b"plain"])
    await publisher.aclose()
    await publisher.aclose()
    assert (tmp_path / "new" / "daq.log").read_text().splitlines() == [
        "2026-11-21T00:00:00.000Z WARNING daq one",
        "2026-11-21T00:00:00.000Z WARNING daq [XX.DEMO.T] two\\nthree",
        "    Traceback",
        "    x",
        f"2026-11-21T00:00:00.000Z ~event.XX.DEMO.Triggers {event.head.decode()}",
        f"2026-11-21T00:00:00.000Z ~log {odd.head.decode()}",
    ]
    status = publisher.status()
    assert (status["lines"], status["refused"], status["rotations"]) == (4, 1, 0)


async def test_files_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "daq.log"
    publisher = await opened(path, rotate_mb=0.0001, kept_files=2)  # 100 bytes: two lines
    for number in range(9):
        await publisher.deliver([record(f"{number}")])
    await publisher.aclose()
    last = {each.name: [line[-1] for line in each.read_text().splitlines()] for each in tmp_path.iterdir()}
    assert last == {"daq.log": ["8"], "daq.log.1": ["6", "7"], "daq.log.2": ["4", "5"]}
    again = await opened(path, rotate_mb=0.0001, kept_files=0)
    await again.deliver([record("9")])
    await again.deliver([record("A")])
    await again.aclose()
    assert [line[-1] for line in path.read_text().splitlines()] == ["A"]


@pytest.mark.parametrize("is_removed", [True, False])
async def test_a_file_that_was_moved_or_removed_is_made_again(tmp_path: Path, is_removed: bool) -> None:
    path = tmp_path / "daq.log"
    publisher = await opened(path)
    await publisher.deliver([record("one")])
    if is_removed:
        path.unlink()
    else:
        path.rename(tmp_path / "moved")
    await publisher.deliver([record("two")])
    await publisher.aclose()
    assert path.read_text().endswith("two\n")
    assert path.read_text().count("\n") == 1


async def test_a_full_disk_makes_it_wait_and_nothing_of_the_batch_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await opened(tmp_path / "daq.log")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "write", fail)
        with pytest.raises(PublisherUnavailable, match="full"):
            await publisher.deliver([record("one")])
    await publisher.deliver([record("one")])
    await publisher.aclose()
    assert (tmp_path / "daq.log").read_text().count("\n") == 1
    assert publisher.status()["lines"] == 1


def texts_in(folder: Path) -> str:
    """Return the last letters of the whole lines in files that follow each other, the oldest first."""
    files = sorted(folder.glob("daq.log*"), reverse=True)
    return "".join(line[-2] for file in files for line in file.read_text().splitlines(True) if line.endswith("\n"))


@pytest.mark.parametrize("is_killed", [True, False])
async def test_files_that_were_begun_and_left_between_two_settlings_are_safe_then(
    tmp_path: Path, is_killed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    journal, path = tmp_path / "journal", tmp_path / "daq.log"
    journal.mkdir()
    first = LogFilePublisher(path, rotate_mb=0.0001)
    async with journalled(journal, [first], is_killed=is_killed) as fanout:
        for begin, end in ((0, 7), (7, 11)):
            for letter in "abcdefghijk"[begin:end]:
                fanout.put_messages([record(letter)])
                await until(partial(ends_with, tmp_path, letter))
            if not begin:
                await journal_of(fanout).settle()
        marks = journal_of(fanout).store.store.cursors()[first.name].marks
        assert len(marks) < 5  # of seven files
    if is_killed:
        await kill_appending(first)
    async with journalled(journal, [LogFilePublisher(path, rotate_mb=0.0001)]):
        pass
    assert texts_in(tmp_path) == "abcdefghijk"
    assert "not what comes next" not in caplog.text


async def test_what_waits_in_the_journal_is_read_without_waits(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    for is_killed in (True, False):
        publisher = LogFilePublisher(tmp_path / "daq.log")
        publisher.gather_s = 600.0
        async with journalled(journal, [publisher], is_killed=is_killed) as fanout:
            if is_killed:
                fanout.put_messages([record("x" * 1000) for _ in range(400)])  # more than a read brings
                await journal_of(fanout).drain()
            else:
                await until(lambda: lines_in(tmp_path / "daq.log") > 200)
        if is_killed:
            await kill_appending(publisher)
            assert lines_in(tmp_path / "daq.log") == 0


def is_at(store: Store, name: str, position: int) -> bool:
    return store.cursors()[name].position == position


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def ends_with(folder: Path, letter: str) -> bool:
    try:
        return texts_in(folder).endswith(letter)
    except FileNotFoundError:  # renamed since the folder was listed
        return False


@pytest.mark.parametrize(("fsync_s", "torn_bytes"), [(3600, 0), (3600, 5), (0, 0)])
async def test_behind_a_journal_each_line_is_there_once_after_a_crash(
    tmp_path: Path, fsync_s: float, torn_bytes: int
) -> None:
    journal, path = tmp_path / "journal", tmp_path / "daq.log"
    journal.mkdir()
    letters = "abcdefghi"
    for begin, end in ((0, 3), (3, 4), (4, 4), (4, 9)):
        killed = LogFilePublisher(path, rotate_mb=0.0001, fsync_s=fsync_s)  # two lines a file
        async with journalled(journal, [killed], is_killed=True) as fanout:
            for letter in letters[begin:end]:
                fanout.put_messages([record(letter)])
                await until(partial(ends_with, tmp_path, letter))
        await kill_appending(killed)
        if torn_bytes and begin < end:
            os.truncate(path, path.stat().st_size - torn_bytes)
    async with journalled(journal, [LogFilePublisher(path, rotate_mb=0.0001, fsync_s=fsync_s)]):
        pass
    assert texts_in(tmp_path) == letters


async def test_what_an_earlier_run_left_is_safe_soon_also_where_each_run_is_short(tmp_path: Path) -> None:
    journal, path = tmp_path / "journal", tmp_path / "daq.log"
    journal.mkdir()
    for is_first in (True, False):
        publisher = LogFilePublisher(path, fsync_s=3600)
        async with journalled(journal, [publisher], is_killed=True) as fanout:
            store = journal_of(fanout).store.store
            before = store.end_position
            if is_first:
                fanout.put_messages([record(letter) for letter in "abc"])
                await until(partial(ends_with, tmp_path, "c"))
                assert store.cursors()[publisher.name].position == before
            else:
                await until(partial(is_at, store, publisher.name, before))
        await kill_appending(publisher)
    assert texts_in(tmp_path) == "abc"


async def test_a_file_has_one_writer(tmp_path: Path) -> None:
    first = await opened(tmp_path / "daq.log")
    with pytest.raises(ComponentError, match="another program or publisher writes it"):
        await opened(tmp_path / "daq.log")
    await first.aclose()
    assert LogFilePublisher.exclusive({"path": "a.log"}) == "file a.log"
    with pytest.raises(ComponentError, match="is not open"):
        await first.deliver([])
    await asyncio.sleep(0)
