"""How a log is opened again: where it goes on, what is burnt, and what cannot be read."""

import errno
import fcntl
import logging
import os
import struct
from pathlib import Path

import pytest

from rawdaq.store import folder as folders
from rawdaq.store.errors import DiskFailed, StoreLocked, UnknownFormat
from rawdaq.store.folder import boot_identity
from rawdaq.store.format import control
from rawdaq.store.store import Store, log_report
from rawdaq.store.values import Burnt, LossReason
from tests.disks import fail_with
from tests.store import logs
from tests.store.faults import FaultyDisk

BURNT_AT_MOST = 1 << 23  # half of 24 bits, which is all that SeedLink 3 has


def written(folder: Path, identity: str = logs.BOOT) -> range:
    """Write a store that is killed; return the positions that it gave out."""
    store = logs.store(folder, identity=identity)
    store.open()
    given = store.append(logs.entries(0, 5))
    logs.kill(store)
    return given


def test_a_new_store_begins_above_all_that_one_before_it_can_have_given_out(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log", clock=lambda: logs.START_NS) as store:
        first = store.append(logs.entries(0, 1)).start
        assert first == logs.START_NS // logs.NS_PER_S << 20 < 1 << 53
    with logs.store(tmp_path / "without a clock", clock=lambda: 0) as store:
        assert store.append(logs.entries(0, 1)).start == 1 << 20


def test_after_a_kill_the_same_file_goes_on(tmp_path: Path, no_sync: None) -> None:
    given, reports = written(tmp_path / "log"), logs.Reports()
    with logs.store(tmp_path / "log", reports) as store:
        assert store.append(logs.entries(5, 5)).start == given.stop
        assert logs.contents(logs.read_all(store.reader())[0]) == logs.entries(0, 10)
        assert store.status().segments == 1
    assert not reports


@pytest.mark.parametrize("identity", ["another boot", ""])
def test_after_a_power_cut_what_may_have_been_given_out_is_burnt(tmp_path: Path, no_sync: None, identity: str) -> None:
    given, reports = written(tmp_path / "log", identity), logs.Reports()
    with logs.store(tmp_path / "log", reports, identity and "yet another boot") as store:
        (burnt,) = reports
        assert isinstance(burnt, Burnt)
        assert burnt.first == given.stop
        assert 0 < store.next_position - given.stop < BURNT_AT_MOST
        assert burnt.last == store.next_position - 1
        assert f"positions {given.stop} to" in str(burnt)
        reader = store.reader(given.stop + 7)  # as one that had read more than is left
        assert reader.read().entries == []
        new = store.append(logs.entries(5, 5))
        assert new.start == burnt.last + 1
        assert logs.positions(reader.read().entries) == list(new)
        store.move_cursor("archive", given[0])
        assert store.cursors()["archive"].position == given[0]
        found, lost = logs.read_all(store.reader())
        assert logs.contents(found) == logs.entries(0, 10)
        assert not lost
    with logs.store(tmp_path / "log", reports, "a last boot") as store:
        store.maintain()
        assert logs.contents(logs.read_all(store.reader())[0]) == logs.entries(0, 10)
        assert store.cursors()["archive"].position == given[0]
    assert len(reports) == 1


def test_a_store_that_was_closed_burns_nothing(tmp_path: Path, no_sync: None) -> None:
    reports = logs.Reports()
    position = 0
    for number in range(4):
        with logs.store(tmp_path / "log", reports, f"boot {number}") as store:
            given = store.append(logs.entries(5 * number, 5))
            assert given.start == position or not number
            position = given.stop
    with logs.store(tmp_path / "log", reports, "boot 3") as store:
        assert logs.contents(logs.read_all(store.reader())[0]) == logs.entries(0, 20)
    before = {path: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    with logs.store(tmp_path / "log", reports, "boot 3"):
        pass
    assert {path: path.read_bytes() for path in (tmp_path / "log").iterdir()} == before
    assert not reports


def test_more_is_burnt_when_what_says_how_much_is_damaged(tmp_path: Path, no_sync: None) -> None:
    given = written(tmp_path / "log")
    (path,) = logs.segment_files(tmp_path / "log")
    data = path.read_bytes()
    limit = data.index(struct.pack("<Q", given.start + 5 + 1 + (1 << 16)))
    path.write_bytes(data[: limit - 60] + bytes(200) + data[limit + 140 :])
    with logs.store(tmp_path / "log", identity="another boot") as store:
        assert given.stop + (1 << 21) <= store.next_position < given.stop + BURNT_AT_MOST


@pytest.mark.parametrize("identity", [logs.BOOT, "another boot", ""])
@pytest.mark.parametrize("size", [0, 30, 60, 100, 150, 199])
def test_a_torn_group_is_cut_and_reported_and_its_positions_are_not_used_again(
    tmp_path: Path, no_sync: None, identity: str, size: int
) -> None:
    folder, reports = tmp_path / "log", logs.Reports()
    store = logs.store(folder)
    store.open()
    first = store.append(logs.entries(0, 6))
    (path,) = logs.segment_files(folder)
    begin = path.stat().st_size
    torn = store.append(logs.entries(6, 3))
    logs.kill(store)
    os.truncate(path, begin + size)
    with logs.store(folder, reports, identity) as store:
        losses = reports.losses()
        assert [loss.reason for loss in losses] == [LossReason.TORN] * len(losses)
        assert [(loss.stream, loss.start_ns) for loss in sorted(losses, key=lambda loss: loss.start_ns or 0)] == [
            (each.stream, each.start_ns) for each in logs.entries(6, len(losses))
        ]
        assert len(losses) == sum(44 + at <= size for at in (0, 90, 181))
        assert store.next_position >= torn.start + len(losses)
        found, lost = logs.read_all(store.reader())
        assert logs.contents(found) == logs.entries(0, 6)
        assert not lost
        new = store.append(logs.entries(6, 3))
        assert new.start >= torn.start + len(losses)
    with logs.store(folder, reports, "a later boot") as store:
        assert logs.positions(logs.read_all(store.reader())[0]) == [*first, *new]
        store.maintain()
        assert reports.losses() == losses


def test_a_format_of_a_later_version_is_not_touched(
    tmp_path: Path, no_sync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(control.Boot.__new__, "__defaults__", (2,))
        written(tmp_path / "log")
    before = (tmp_path / "log").stat().st_mtime_ns
    for _ in range(2):  # the lock is given back
        with pytest.raises(UnknownFormat, match="has format 2, this version knows 1"):
            logs.store(tmp_path / "log").open()
    assert (tmp_path / "log").stat().st_mtime_ns == before


def test_a_disk_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", fail_with(errno.ENOLCK))
    with pytest.raises(StoreLocked, match="knows no locks"):
        logs.store(tmp_path / "log").open()
    monkeypatch.setattr(fcntl, "flock", fail_with(errno.EIO))
    with pytest.raises(DiskFailed):
        logs.store(tmp_path / "log").open()


def test_where_a_start_of_the_machine_has_no_name_each_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert boot_identity() == boot_identity()
    monkeypatch.setattr(folders, "_BOOT_ID", tmp_path / "none")
    assert boot_identity() == ""


def test_a_disk_that_cannot_be_read_is_an_error_of_every_lookup(tmp_path: Path, disk: FaultyDisk) -> None:
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 5)).start
        while store.status().segments < 3:
            store.append(logs.entries(0, 5))
        store.sync()
        store.maintain()
        reader = store.reader()
        disk.read_error = errno.EIO
        for ask in (
            reader.read,
            store.extents,
            lambda: store.find(logs.STREAMS[0], logs.START_NS),
            lambda: store.ranges(logs.STREAMS[0]),
        ):
            with pytest.raises(DiskFailed):
                ask()
        disk.read_error = None
        assert store.find(logs.STREAMS[0], logs.START_NS) == first
        assert reader.read().entries[0].position == first
        reader.seek(first + 3)
        assert reader.read().entries[0].position == first + 3


def test_reports_are_logged_unless_somebody_wants_them(
    tmp_path: Path, no_sync: None, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "log")
    with Store(tmp_path / "log", identity=lambda: "another boot"):
        pass
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rawdaq.store", logging.WARNING)
    assert "the machine stopped without closing the store" in record.getMessage()
    log_report(Burnt(1, 2))
    assert "positions 1 to 2" in caplog.records[1].getMessage()
