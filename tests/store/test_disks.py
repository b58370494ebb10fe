"""Disks that are full, read-only, gone, broken or hang: a typed error, nothing changed, and it goes on afterwards."""

import errno
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rawdaq.store import errors, writer
from rawdaq.store.errors import DiskFailed, DiskFull, DiskGone, DiskReadOnly, StoreLocked, StoreUnavailable
from rawdaq.store.retention import Retention
from rawdaq.store.values import LowSpace, Trimmed
from tests.disks import file_size_limit
from tests.helpers import wait_for
from tests.store import logs
from tests.store.faults import FaultyDisk


def holds(store: logs.Store, given: range, number: int) -> None:
    """See that the store holds the entries from *number* on at the positions *given*, and nothing behind them."""
    found, lost = logs.read_all(store.reader(given.start))
    assert not lost
    assert logs.positions(found) == list(given)
    assert logs.contents(found) == logs.entries(number, len(given))


@pytest.mark.parametrize("room_bytes", [0, 1, 43, 44, 45, 100, 200, 290])
def test_a_full_disk_changes_nothing_and_the_same_call_works_later(
    tmp_path: Path, disk: FaultyDisk, room_bytes: int
) -> None:
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 3))
        disk.room_bytes = room_bytes
        for _ in range(3):
            with pytest.raises(DiskFull, match="free some room"):
                store.append(logs.entries(3, 3))
            assert store.next_position == first.stop
            holds(store, first, 0)
        disk.room_bytes = None
        second = store.append(logs.entries(3, 3))
        assert second.start == first.stop
        holds(store, range(first.start, second.stop), 0)


def test_what_a_failed_write_has_left_is_not_found_behind_a_shorter_one(tmp_path: Path, disk: FaultyDisk) -> None:
    store = logs.store(tmp_path / "log")
    store.open()
    first = store.append(logs.entries(0, 3))
    disk.room_bytes = 600  # whole entries of a group whose last ones do not fit
    with pytest.raises(DiskFull):
        store.append(logs.entries(10, 9))
    disk.room_bytes = None
    second = store.append(logs.entries(3, 1))
    logs.kill(store)
    with logs.store(tmp_path / "log") as again:
        assert again.next_position == second.stop
        holds(again, range(first.start, second.stop), 0)


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_disk_that_does_not_even_let_us_cut_is_asked_again(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 3))
        with monkeypatch.context() as patch:
            if not is_cut:
                patch.setattr(os, "ftruncate", failing(errno.EIO))
            disk.write_error = errno.EIO
            with pytest.raises(DiskFailed):
                store.append(logs.entries(3, 3))
            disk.write_error = None
            if not is_cut:
                with pytest.raises(DiskFailed):
                    store.append(logs.entries(3, 3))
        second = store.append(logs.entries(3, 3))
        holds(store, range(first.start, second.stop), 0)


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_the_systems_own_limit_of_the_file_size_is_a_full_disk(tmp_path: Path) -> None:
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 3))
        with file_size_limit(1000), pytest.raises(DiskFull):
            store.append(logs.entries(3, 30))
        second = store.append(logs.entries(3, 30))
        holds(store, range(first.start, second.stop), 0)


def test_a_full_disk_first_loses_what_nobody_needs(tmp_path: Path, disk: FaultyDisk) -> None:
    reports = logs.Reports()
    with logs.store(tmp_path / "log", reports) as store:
        given, number = store.append(logs.entries(0, 5)), 5
        while store.status().segments < 4:
            given = store.append(logs.entries(number, 5))
            number += 5
        store.sync()
        store.maintain()
        oldest = store.oldest_position
        disk.write_error = errno.ENOSPC
        with pytest.raises(DiskFull):
            store.append(logs.entries(number, 5))
        assert store.oldest_position > oldest
        assert [type(report) for report in reports] == [Trimmed]
        store.move_cursor("archive", store.oldest_position)
        oldest = store.oldest_position
        with pytest.raises(DiskFull):
            store.append(logs.entries(number, 5))
        assert store.oldest_position == oldest
        disk.write_error = None
        holds(store, range(given.start, store.append(logs.entries(number, 5)).stop), number - 5)


def test_a_disk_that_is_nearly_full_is_reported_once_and_trimmed_to_what_cursors_need(
    tmp_path: Path, no_sync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = logs.Reports()
    free_bytes = 10_000_000_000

    def statvfs(path: object) -> os.statvfs_result:
        blocks = free_bytes // 1000
        return os.statvfs_result((1000, 1000, 100_000_000, blocks, blocks, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    with logs.store(tmp_path / "log", reports) as store:
        positions = [store.append(logs.entries(number, 5)).start for number in range(0, 200, 5)]
        store.sync()
        store.maintain()
        assert not reports
        store.move_cursor("archive", positions[-10])
        free_bytes = 255_000_000
        store.maintain()
        store.maintain()
        assert [type(report) for report in reports].count(LowSpace) == 1
        assert "255 MB are left" in str(reports[0])
        assert positions[0] < store.oldest_position <= positions[-10]
        assert store.status().is_low
        free_bytes = 10_000_000_000
        store.maintain()
        assert not store.status().is_low


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EROFS, DiskReadOnly),
        (errno.EACCES, DiskReadOnly),
        (errno.EDQUOT, DiskFull),
        (errno.ENODEV, DiskGone),
        (errno.ESTALE, DiskGone),
        (errno.EIO, DiskFailed),
        (errno.EINTR, DiskFailed),
    ],
)
def test_each_refusal_has_a_type_and_a_remedy(
    tmp_path: Path, disk: FaultyDisk, number: int, kind: type[StoreUnavailable]
) -> None:
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 3))
        disk.write_error = number
        with pytest.raises(kind, match=kind.remedy) as raised:
            store.append(logs.entries(3, 3))
        assert str(tmp_path) in str(raised.value)
        copy = pickle.loads(pickle.dumps(raised.value))
        assert (type(copy), str(copy)) == (kind, str(raised.value))
        del raised  # whose frames hold the file that was written
        disk.write_error, disk.read_error = None, number
        with pytest.raises(kind):
            store.reader().read()
        disk.read_error = None
        assert store.append(logs.entries(3, 3)).start == first.stop


def test_a_read_only_folder_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(DiskReadOnly, match="mount it for writing"):
        logs.store(tmp_path / "log").open()


def test_two_stores_do_not_write_one_folder(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log"):
        with pytest.raises(StoreLocked, match="another process"):
            logs.store(tmp_path / "log").open()
    with logs.store(tmp_path / "log"):
        pass


def test_a_folder_that_is_moved_away_and_back_takes_nothing_with_it(tmp_path: Path) -> None:
    folder, away = tmp_path / "log", tmp_path / "away"
    with logs.store(folder) as store:
        first = store.append(logs.entries(0, 3))
        store.sync()
        folder.rename(away)
        store.append(logs.entries(3, 3))  # the system does not tell
        for _ in range(2):
            with pytest.raises(DiskGone, match="mount its disk"):
                store.sync()
            with pytest.raises(DiskGone):
                store.append(logs.entries(6, 3))
        assert not folder.exists()
        away.rename(folder)
        second = store.append(logs.entries(6, 3))
        assert second == range(first.stop + 3, first.stop + 6)
        assert store.sync() == second.stop
        holds(store, range(first.start, second.stop), 0)


def test_a_disk_that_comes_back_without_what_was_not_synced_gets_it_again(tmp_path: Path) -> None:
    folder, synced = tmp_path / "log", tmp_path / "synced"
    store = logs.store(folder)
    store.open()
    first = store.append(logs.entries(0, 3))
    store.sync()
    shutil.copytree(folder, synced)
    number = 3
    while len(logs.segment_files(folder)) < 3:  # files that the disk has never known
        store.append(logs.entries(number, 4))
        number += 4
    shutil.rmtree(folder)
    with pytest.raises(DiskGone):
        store.sync()
    with pytest.raises(DiskGone):
        store.append([logs.entry(number)])
    shutil.copytree(synced, folder)
    last = store.append([logs.entry(number)])
    store.sync()
    holds(store, range(first.start, last.stop), 0)
    logs.kill(store)
    with logs.store(folder, identity="after a power cut") as again:
        holds(again, range(first.start, last.stop), 0)


def test_another_folder_in_its_place_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with logs.store(folder) as store:
        store.append(logs.entries(0, 3))
        folder.rename(tmp_path / "away")
        folder.mkdir()
        for _ in range(2):
            with pytest.raises(DiskGone):
                store.sync()
        assert not list(folder.iterdir())
        folder.rmdir()
        (tmp_path / "away").rename(folder)


def test_a_folder_that_has_gone_when_a_segment_is_full(tmp_path: Path, no_sync: None) -> None:
    folder = tmp_path / "log"
    with logs.store(folder) as store:
        first = store.append(logs.entries(0, 3))
        folder.rename(tmp_path / "away")
        with pytest.raises(DiskGone):
            append_until(store, [], first.stop + 1000)
        (tmp_path / "away").rename(folder)
        last = store.append(logs.entries(store.next_position - first.start, 10))
        holds(store, range(first.start, last.stop), 0)


def test_a_segment_that_could_not_be_begun_is_no_obstacle_to_a_smaller_group(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = logs.store(tmp_path / "log")
    store.open()
    first = store.append(logs.entries(0, 6))
    disk.write_error = errno.ENOSPC
    with pytest.raises(DiskFull):
        store.append(logs.entries(6, 40))  # which needs a new segment
    disk.write_error = None
    second = store.append(logs.entries(6, 2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", failing(errno.EIO))
        with pytest.raises(DiskFailed):
            store.append(logs.entries(8, 40))
    third = store.append(logs.entries(8, 1))
    fourth = store.append(logs.entries(9, 40))
    assert [second.start, third.start, fourth.start] == [first.start + number for number in (6, 8, 9)]
    logs.kill(store)
    with logs.store(tmp_path / "log") as again:
        holds(again, range(first.start, fourth.stop), 0)
        assert again.status().segments == 2


def test_a_sync_that_failed_is_not_believed_when_the_next_one_works(tmp_path: Path, disk: FaultyDisk) -> None:
    folder = tmp_path / "log"
    with logs.store(folder) as store:
        first = store.append(logs.entries(0, 3))
        synced = store.sync()
        store.append(logs.entries(3, 3))
        (path,) = logs.segment_files(folder)
        with path.open("r+b") as file:  # the system drops what the disk refused
            size = len(disk.synced[path.stat().st_ino])
            file.truncate(size)
        disk.sync_error = errno.EIO
        for _ in range(2):
            with pytest.raises(DiskFailed):
                store.sync()
            assert store.synced_position == synced
        disk.sync_error = None
        assert store.sync() == first.stop + 3
        holds(store, range(first.start, first.stop + 3), 0)
        assert store.status().waiting_bytes == 0


def test_a_folder_that_could_not_be_synced_is_synced_again(tmp_path: Path, disk: FaultyDisk) -> None:
    with logs.store(tmp_path / "log") as store:
        disk.sync_error = errno.EIO
        with pytest.raises(DiskFailed):
            store.append(logs.entries(0, 3))  # whose positions must not leave before
        disk.sync_error = None
        assert not disk.names
        store.append(logs.entries(0, 3))
        assert len([name for name in disk.names if name.endswith(".seg")]) == 1


def test_a_file_system_that_has_nothing_to_sync_of_a_folder_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    with logs.store(tmp_path / "log") as store:
        given = store.append(logs.entries(0, 3))
        assert store.sync() == given.stop


def test_no_position_beyond_the_limit_leaves_while_a_sync_hangs(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LIMIT_STEP", 100)
    store = logs.store(tmp_path / "log")
    store.open()
    given = [store.append(logs.entries(0, 10))]
    limit = store._parts.durability.limit
    disk.syncs.shut()
    thread = threading.Thread(target=append_until, args=(store, given, limit + 50))
    thread.start()
    wait_for(lambda: disk.syncs.waiting)
    assert max(map(max, given)) < limit
    before = store.next_position
    assert before <= limit
    disk.syncs.open()
    thread.join()
    logs.kill(store)
    with logs.store(tmp_path / "log", identity="after a power cut") as again:
        assert again.next_position > max(map(max, given))


def append_until(store: logs.Store, given: list[range], position: int) -> None:
    first = store.oldest_position
    while store.next_position < position:
        given.append(store.append(logs.entries(store.next_position - first, 10)))


def test_what_is_not_synced_is_bounded(tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MAX_WAITING_BYTES", 2000)
    with logs.store(tmp_path / "log") as store:
        store.append(logs.entries(0, 3))
        disk.sync_error = errno.EIO
        with pytest.raises(DiskFailed):
            append_until(store, [], store.next_position + 1000)
        assert 0 < store.status().waiting_bytes <= 2000
        disk.sync_error = None
        store.append(logs.entries(0, 3))
        assert store.status().waiting_bytes < 1000


def test_an_index_that_cannot_be_written_is_written_later(tmp_path: Path, disk: FaultyDisk) -> None:
    folder = tmp_path / "log"
    with logs.store(folder) as store:
        for number in range(0, 100, 5):
            store.append(logs.entries(number, 5))
        store.sync()
        disk.room_bytes = 0
        with pytest.raises(DiskFull):
            store.maintain()
        assert not [path for path in folder.iterdir() if path.suffix in (".idx", ".new")]
        assert store.find(logs.STREAMS[0], logs.START_NS) == store.oldest_position
        disk.room_bytes = None
        store.maintain()
        assert len(list(folder.glob("*.idx"))) == store.status().segments - 1
    (folder / "0000000000000001.new").touch()
    with logs.store(folder, retention=Retention(10**9)):
        assert not list(folder.glob("*.new"))


def test_every_error_says_what_it_is(tmp_path: Path) -> None:
    full = errors.StoreFull("/log", ("archive", "pipe"), 4_000_000)
    assert str(full) == "/log: 4 MB are kept for archive, pipe; let these go on, or allow more"
    assert str(pickle.loads(pickle.dumps(full))) == str(full)
    assert isinstance(errors.unavailable(OSError("no number"), tmp_path), DiskFailed)
