"""An archive gets every record once, in the file of its day."""

import glob
import os
from pathlib import Path

import pytest

from rawdaq.publisher import PublisherUnavailable
from rawdaq.times import NS_PER_DAY
from tests.archive.archives import START_NS, E, N, Z, joined, opened, records, sds
from tests.disks import Disk
from tests.record_makers import as_runs


def test_records_are_appended_each_to_its_file(tmp_path: Path) -> None:
    archive, made = opened(tmp_path / "new"), records(Z, N, count=3)
    assert archive.device == tmp_path.stat().st_dev
    archive.write(as_runs(made[:3]))
    archive.write(as_runs(made[3:]))
    assert archive.status() == {
        "records": 6,
        "bytes": 6 * 512,
        "open_files": 2,
        "unsynced_files": 2,
        "torn_tails": 0,
        "held_bytes": 0,
        "restart_gaps": {},
        "restart_gap_s": 0.0,
        "already_there": 0,
    }
    archive.sync()
    archive.sync()
    assert archive.status()["unsynced_files"] == 0
    archive.close()
    assert archive.status()["open_files"] == 0
    assert [sds(tmp_path / "new", stream).read_bytes() for stream in (Z, N)] == [joined(made, Z), joined(made, N)]


def test_a_file_that_exists_is_continued(tmp_path: Path) -> None:
    made = records(Z, count=4)
    for part in (made[:2], made[2:]):
        archive = opened(tmp_path)
        archive.write(as_runs(part))
        archive.close()
    assert sds(tmp_path, Z).read_bytes() == joined(made, Z)


def test_records_of_one_file_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = os.write

    def counted(fd: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(fd, data)

    archive = opened(tmp_path)
    with monkeypatch.context() as counting:
        counting.setattr(os, "write", counted)
        archive.write(as_runs(records(Z, N, count=5)))
    archive.close()
    assert sizes == [5 * 512, 5 * 512]


def test_a_new_day_closes_the_file_of_the_old_one(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    today, tomorrow = records(Z, N), records(Z, start_ns=START_NS + NS_PER_DAY)
    archive.write(as_runs(today))
    archive.write(as_runs(tomorrow))
    assert archive.status()["open_files"] == 2
    archive.write(as_runs(records(N, start_ns=START_NS + NS_PER_DAY)))
    assert archive.status()["open_files"] == 2
    archive.close()
    assert sds(tmp_path, Z).read_bytes() == joined(today, Z)
    assert sds(tmp_path, Z, "2026.326").read_bytes() == joined(tomorrow, Z)


def test_both_days_of_a_batch_are_written(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    both = records(Z, start_ns=START_NS - 10**9, count=2)
    archive.write(as_runs(both))
    assert archive.status()["open_files"] == 1
    archive.close()
    assert sds(tmp_path, Z, "2026.324").read_bytes() == both[0].data
    assert sds(tmp_path, Z).read_bytes() == both[1].data


def test_streams_that_cross_midnight_both_ways_in_one_batch_are_written(tmp_path: Path) -> None:
    archive = opened(tmp_path, "%n.%Y.%j")
    today, tomorrow = records(Z, N, count=2), records(Z, N, count=2, start_ns=START_NS + NS_PER_DAY)
    archive.write(as_runs([tomorrow[0]]))
    archive.write(as_runs([today[1]]))
    assert archive.status()["open_files"] == 2
    archive.write(as_runs([tomorrow[1], today[0]]))
    archive.write(as_runs([today[3], tomorrow[2], today[2], tomorrow[3]]))
    archive.close()
    assert (tmp_path / "XX.2026.325").read_bytes() == b"".join(today[each].data for each in (1, 0, 3, 2))
    assert (tmp_path / "XX.2026.326").read_bytes() == b"".join(tomorrow[each].data for each in (0, 1, 2, 3))


def test_open_files_are_bounded(tmp_path: Path) -> None:
    archive, made = opened(tmp_path, max_open_files=2), records(Z, N, E, count=4)
    for record in made:
        archive.write(as_runs([record]))
        assert archive.status()["open_files"] <= 2
    archive.close()
    for stream in (Z, N, E):
        assert sds(tmp_path, stream).read_bytes() == joined(made, stream)


def test_the_file_that_was_written_longest_ago_is_closed_first(tmp_path: Path) -> None:
    archive = opened(tmp_path, max_open_files=2)
    for stream in (Z, N, Z, E):
        archive.write(as_runs(records(stream)))
    links = {os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors(0)}
    assert {stream for stream in (Z, N, E) if str(sds(tmp_path, stream)) in links} == {Z, E}
    archive.close()


def _descriptors(first: int) -> set[int]:
    folder = "/proc/self/fd"
    return {int(name) for name in os.listdir(folder) if int(name) >= first and os.path.lexists(f"{folder}/{name}")}


def _keep_from_archives(room: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let the files of archives have so many numbers, used or not; return the first that they may not keep."""
    free = os.dup(0)
    os.close(free)
    monkeypatch.setattr("rawdaq.archive.file_cache.first_for_sockets", lambda: free + room)
    return free + room


@pytest.mark.parametrize("max_open_files", [2, 100])
def test_archives_of_a_process_leave_descriptors_to_others_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, max_open_files: int
) -> None:
    first_kept = _keep_from_archives(1, monkeypatch)
    before = _descriptors(first_kept)
    archives = [opened(tmp_path / name, max_open_files=max_open_files) for name in "AB"]
    made = records(Z, N, E, count=4)
    for index in range(0, len(made), 6):
        for archive in archives:
            archive.write(as_runs(made[index : index + 6]))
            assert _descriptors(first_kept) == before
    assert [archive.status()["open_files"] for archive in archives] == [1, 0], "what there is room for stays open"
    for archive in archives:
        archive.close()
    for name in "AB":
        assert all(sds(tmp_path / name, stream).read_bytes() == joined(made, stream) for stream in (Z, N, E))
    assert caplog.text.count("nearly as many open files as it may") == len(archives), "each logs it once"


def test_a_descriptor_that_yesterday_leaves_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _keep_from_archives(1, monkeypatch)
    archive, today = opened(tmp_path), records(Z, start_ns=START_NS + NS_PER_DAY, count=2)
    archive.write(as_runs(records(Z)))
    assert archive.status()["open_files"] == 1
    archive.write(as_runs(today[:1]))
    assert archive.status()["open_files"] == 0, "today's had no room, and yesterday's is left"
    archive.write(as_runs(today[1:]))
    assert archive.status()["open_files"] == 1
    archive.close()
    assert sds(tmp_path, Z, "2026.326").read_bytes() == joined(today, Z)


def test_a_full_disk_holds_no_descriptor_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_kept = _keep_from_archives(0, monkeypatch)
    before = _descriptors(first_kept)
    archive, made, disk = opened(tmp_path), records(Z, N, E), Disk(tmp_path, monkeypatch)
    disk.room_bytes = 512
    with pytest.raises(PublisherUnavailable):
        archive.write(as_runs(made))
    assert _descriptors(first_kept) == before
    archive.close()


def test_a_file_whose_name_describes_its_first_record_is_continued(tmp_path: Path) -> None:
    layout = "%n.%s.%c.%Y:%j:#H:#M:#S"
    first, later, last = (records(Z, start_ns=START_NS + hour * 3600 * 10**9) for hour in (1, 2, 3))
    archive = opened(tmp_path, layout)
    archive.write(as_runs(first))
    archive.write(as_runs(later))
    archive.close()
    (tmp_path / ".XX.DEMO.HHZ.2026:325:01:00:00.torn-20261121T000000Z").touch()
    archive = opened(tmp_path, layout)
    archive.write(as_runs(last))
    archive.close()
    made = first + later + last
    assert (tmp_path / "XX.DEMO.HHZ.2026:325:01:00:00").read_bytes() == joined(made, Z)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_torn_tail_is_logged_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, made = sds(tmp_path, Z), records(Z, count=3)
    path.parent.mkdir(parents=True)
    path.write_bytes(joined(made, Z)[:-100])
    archive = opened(tmp_path)
    archive.write(as_runs(made[2:]))
    archive.close()
    assert path.read_bytes() == joined(made, Z)
    assert archive.status()["torn_tails"] == 1
    assert glob.glob("*/*/*/*/*", root_dir=tmp_path) == [str(path.relative_to(tmp_path))]
    assert "its last 412 bytes are now in .XX.DEMO.00.HHZ.D.2026.325.torn-20261121T000000Z" in caplog.text


def test_a_bad_beginning_is_logged_once_and_nothing_is_moved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, made = sds(tmp_path, Z), records(Z, count=3)
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(512) + joined(made[:1], Z))
    archive = opened(tmp_path, max_open_files=1)
    for record in made[1:]:
        archive.write(as_runs([record]))
        archive.write(as_runs(records(N)))  # which closes the file
    archive.close()
    assert path.read_bytes() == bytes(512) + joined(made, Z)
    assert archive.status()["torn_tails"] == 0
    assert caplog.text.count(f"the first 512 bytes of {path} are no records") == 1
