"""An archive gets every record once, whatever happens to its disk, its folder and its files."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from rawdaq.archive.file import ArchiveFile
from rawdaq.archive.file_cache import FileCache
from rawdaq.errors import ComponentError
from rawdaq.publisher import PublisherUnavailable
from tests.archive.archives import START_NS, E, N, Z, joined, opened, records, sds
from tests.disks import Disk, fail_with, file_size_limit, let_no_sync_succeed
from tests.record_makers import as_runs


@pytest.mark.parametrize("room_bytes", range(0, 9 * 512, 256))
def test_a_full_disk_costs_no_record_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    disk = Disk(tmp_path, monkeypatch)
    archive, made = opened(tmp_path), records(Z, N, E, count=3)
    disk.room_bytes = room_bytes
    rest, reasons = made, list[str]()
    for more_bytes in (0, 700, 100, 600, None):
        try:
            archive.write(as_runs(rest))
            rest = []
        except PublisherUnavailable as full:
            reasons.append(full.reason)
            rest = rest[full.delivered :]
        disk.room_bytes = more_bytes
    archive.write(as_runs(rest))
    later = records(Z, N, E, start_ns=START_NS + 3600 * 10**9)
    archive.write(as_runs(later))
    archive.close()
    made += later
    assert reasons
    assert all(".2026.325: No space left on device; free space on that disk" in reason for reason in reasons)
    for stream in (Z, N, E):
        assert sds(tmp_path, stream).read_bytes() == joined(made, stream)
    assert archive.records == 12
    assert archive.status()["torn_tails"] == 0


def test_what_a_disk_tore_before_it_came_back_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, made = opened(tmp_path), records(Z, count=3)
    with monkeypatch.context() as broken:
        disk = Disk(tmp_path, broken)
        disk.room_bytes, disk.error = 700, errno.EIO
        broken.setattr(os, "ftruncate", fail_with(errno.EIO))
        with pytest.raises(PublisherUnavailable, match="Input/output error; check the disk") as lost:
            archive.write(as_runs(made))
    archive.write(as_runs(made[lost.value.delivered :]))
    archive.close()
    assert sds(tmp_path, Z).read_bytes() == joined(made, Z)
    assert archive.status()["torn_tails"] == 1


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("limit_bytes", [0, 511, 512, 700, 1024, 1300, 1700])
def test_files_larger_than_the_process_may_write_get_every_record_once(
    tmp_path: Path, is_open: bool, limit_bytes: int
) -> None:
    """The kernel itself cuts these writes in the middle of a record."""
    archive, made = opened(tmp_path), records(Z, N, count=4)
    if is_open:
        archive.write(as_runs(made[:2]))
    rest = made[2 * is_open :]
    for limited in (limit_bytes, limit_bytes + 300, limit_bytes):
        with (
            file_size_limit(limited),
            pytest.raises(PublisherUnavailable, match="File too large; look at the disk with df") as cut,
        ):
            archive.write(as_runs(rest))
        rest = rest[cut.value.delivered :]
        assert not any(file.stat().st_size % 512 for file in tmp_path.rglob("*.2026.325"))
    archive.write(as_runs(rest))
    archive.close()
    for stream in (Z, N):
        assert sds(tmp_path, stream).read_bytes() == joined(made, stream)
    assert (archive.records, archive.status()["torn_tails"]) == (8, 0)


def test_a_folder_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    root, made = tmp_path / "archive", records(Z, count=2)
    archive = opened(root)
    archive.write(as_runs(made[:1]))
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(PublisherUnavailable, match=r"archive: No such file or directory; create the folder") as gone:
        archive.write(as_runs(made[1:]))
    assert gone.value.delivered == 0
    assert not root.exists()
    (tmp_path / "elsewhere").rename(root)
    archive.write(as_runs(made[1:]))
    archive.close()
    assert sds(root, Z).read_bytes() == joined(made, Z)


@pytest.fixture
def other_disk(tmp_path: Path) -> Generator[Path]:
    """A folder on another file system than tmp_path."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    folder = shared / f"rawdaq-{os.getpid()}-{threading.get_ident()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("is_bare", [True, False])
def test_a_lost_mount_pauses_and_a_disk_that_came_back_is_used(
    tmp_path: Path, other_disk: Path, is_bare: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, disk, made = tmp_path / "archive", tmp_path / "disk", records(Z, N, count=2)
    disk.mkdir()
    root.symlink_to(disk)

    def below(_: Path) -> int | None:
        return other_disk.stat().st_dev if is_bare else None

    monkeypatch.setattr("rawdaq.disk.mounts.device_below", below)
    archive = opened(root)
    archive.write(as_runs(made[:2]))
    root.unlink()
    root.symlink_to(other_disk)
    if is_bare:
        with pytest.raises(PublisherUnavailable, match="create the folder, or mount its disk"):
            archive.write(as_runs(made[2:]))
        assert not list(other_disk.iterdir())
    else:
        for index, stream in enumerate((Z, N)):
            archive.write(as_runs(made[2 + index : 3 + index]))
            assert sds(other_disk, stream).read_bytes() == made[2 + index].data
            assert archive.status()["open_files"] == index + 1, "nothing of the other disk stays open"
    archive.close()


def test_records_that_are_held_stay_so_when_the_disk_was_changed(
    tmp_path: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.archive.archive.RETRY_S", 0.0)
    root, disk, made = tmp_path / "archive", tmp_path / "disk", records(Z, N, count=3)
    for each in (disk, other_disk):
        sds(each, Z).mkdir(parents=True)
    root.symlink_to(disk)
    archive = opened(root)
    archive.write(as_runs(made[:2]))
    root.unlink()
    root.symlink_to(other_disk)
    archive.write(as_runs(made[2:4]))
    assert archive.held_bytes == 2 * 512
    sds(other_disk, Z).rmdir()
    archive.write(as_runs(made[4:]))
    archive.close()
    assert sds(other_disk, Z).read_bytes() == joined(made, Z)
    assert sds(disk, N).read_bytes() + sds(other_disk, N).read_bytes() == joined(made, N)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_was_moved_away_is_created_again(tmp_path: Path, is_replaced: bool) -> None:
    archive, made = opened(tmp_path), records(Z, count=2)
    archive.write(as_runs(made[:1]))
    sds(tmp_path, Z).rename(tmp_path / "backup")
    if is_replaced:
        sds(tmp_path, Z).touch()
    archive.write(as_runs(made[1:]))
    archive.close()
    assert sds(tmp_path, Z).read_bytes() == made[1].data
    assert (tmp_path / "backup").read_bytes() == made[0].data


def test_two_archives_do_not_mix_their_records_in_one_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two, made = opened(tmp_path), opened(tmp_path), records(Z, count=3)
    one.write(as_runs(made[:1]))
    two.write(as_runs(records(N)))
    two.write(as_runs(records(E) + made[1:2]))
    assert "another program or publisher writes it; give each its own path" in caplog.text
    assert sds(tmp_path, E).read_bytes() == joined(records(E), E)  # the other files go on
    assert two.held_bytes == 512
    one.close()
    two.write(as_runs(made[2:]))
    two.close()
    assert sds(tmp_path, Z).read_bytes() == joined(made, Z)


def test_a_file_that_cannot_be_written_is_held_and_written_later_in_its_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.archive.archive.RETRY_S", 0.0)
    archive, made = opened(tmp_path), records(Z, N, count=4)
    sds(tmp_path, Z).mkdir(parents=True)
    archive.write(as_runs(made[:2]))
    archive.write(as_runs(made[2:6]))
    assert caplog.text.count("Is a directory; move the folder") == 1
    assert sds(tmp_path, N).read_bytes() == joined(made[:6], N)
    assert archive.held_bytes == 3 * 512
    sds(tmp_path, Z).rmdir()
    archive.write(as_runs(made[6:]))
    assert archive.held_bytes == 0
    archive.close()
    assert sds(tmp_path, Z).read_bytes() == joined(made, Z)
    assert "can be written again; nothing of it is lost" in caplog.text


def test_what_is_held_is_not_held_twice_when_its_batch_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, made = opened(tmp_path), records(Z, N)
    sds(tmp_path, Z).mkdir(parents=True)
    with monkeypatch.context() as full:
        Disk(tmp_path, full).room_bytes = 0
        for _ in range(2):
            with pytest.raises(PublisherUnavailable, match="No space left"):
                archive.write(as_runs(made))
            assert archive.held_bytes == 512
    archive.write(as_runs(made))
    sds(tmp_path, Z).rmdir()
    archive.close()
    for stream in (Z, N):
        assert sds(tmp_path, stream).read_bytes() == joined(made, stream)


def test_a_file_that_cannot_be_written_is_tried_again_every_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, made, attempts = opened(tmp_path), records(Z, count=6), list[float]()
    sds(tmp_path, Z).mkdir(parents=True)
    open_file, clock_s = FileCache.open, [0.0]

    def counted(files: FileCache, key: str, path: str) -> ArchiveFile:
        attempts.append(clock_s[0])
        return open_file(files, key, path)

    monkeypatch.setattr(FileCache, "open", counted)
    monkeypatch.setattr(time, "monotonic", lambda: clock_s[0])
    for index, clock_s[0] in enumerate((100.0, 104.0, 106.0, 110.0, 112.0)):
        archive.write(as_runs(made[index : index + 1]))
    assert attempts == [100.0, 106.0, 112.0]
    sds(tmp_path, Z).rmdir()
    archive.write(as_runs(made[5:]))
    assert archive.held_bytes == 6 * 512
    archive.close()
    assert archive.held_bytes == 0
    assert sds(tmp_path, Z).read_bytes() == joined(made, Z)


def test_a_file_that_stays_unwritable_holds_up_all_when_too_much_waits_and_is_reported_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.archive.archive._MAX_HELD_BYTES", 1024)
    archive, made = opened(tmp_path), records(Z, count=3)
    sds(tmp_path, Z).mkdir(parents=True)
    archive.write(as_runs(made[:2]))
    with pytest.raises(PublisherUnavailable, match="Is a directory; move the folder"):
        archive.write(as_runs(made[2:]))
    with pytest.raises(ComponentError, match=r"2 records could not be written and are lost: .*Is a directory"):
        archive.close()
    archive.close()


def test_a_disk_that_does_not_sync_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archive = opened(tmp_path)
    archive.write(as_runs(records(Z)))
    let_no_sync_succeed(monkeypatch)
    with pytest.raises(PublisherUnavailable, match=r"2026\.325: Input/output error; check the disk"):
        archive.sync()
    assert archive.status()["unsynced_files"] == 1
    archive.close()
    assert "its last records may not be on the disk: Input/output error" in caplog.text


def test_what_must_be_safe_is_not_delivered_before_and_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, made = opened(tmp_path), records(Z, N, count=2)
    runs = as_runs(made)
    with monkeypatch.context() as full:
        Disk(tmp_path, full).room_bytes = 700
        with pytest.raises(PublisherUnavailable, match="No space left") as unavailable:
            archive.write(runs, must_sync=True)
    assert unavailable.value.delivered == 0
    with monkeypatch.context() as broken:
        let_no_sync_succeed(broken)
        for _ in range(2):
            with pytest.raises(PublisherUnavailable, match="Input/output error") as unavailable:
                archive.write(runs, must_sync=True)
            assert unavailable.value.delivered == 0
            assert archive.status()["unsynced_files"] == 2
    archive.write(runs, must_sync=True)
    assert (archive.records, archive.status()["unsynced_files"]) == (4, 0)
    archive.close()
    for stream in (Z, N):
        assert sds(tmp_path, stream).read_bytes() == joined(made, stream)


def test_a_file_in_the_place_of_the_folder_is_reported_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "archive").touch()
    with pytest.raises(ComponentError, match=r"cannot write .*archive: File exists; move the file"):
        opened(tmp_path / "archive")
    with pytest.raises(ComponentError, match=r"cannot write .*below: Not a directory; move the file"):
        opened(tmp_path / "archive" / "below")


@pytest.mark.parametrize(("number", "starts"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)])
def test_a_full_disk_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, starts: bool
) -> None:
    def unwritable(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("rawdaq.archive.archive.tempfile.TemporaryFile", unwritable)
    if starts:
        opened(tmp_path).close()
    else:
        with pytest.raises(ComponentError, match="Read-only file system; mount that disk for writing"):
            opened(tmp_path)


def test_what_can_be_written_is_written_also_behind_a_file_that_can_not(tmp_path: Path) -> None:
    """The first file is at its limit; the others still have room. What is missing is known exactly."""
    archive, made = opened(tmp_path), records(Z, N, E, count=3)
    archive.write(as_runs(made[:1]))
    with file_size_limit(1024):
        with pytest.raises(PublisherUnavailable, match=r"HHZ.*File too large"):
            archive.write(as_runs([*made[3:4], *made[1:3], *made[6:7]]))
        for stream in (N, E):
            assert sds(tmp_path, stream).read_bytes() == joined(made[:3], stream)
        assert archive.failed is not None
        assert [run.data for run in archive.failed] == [made[6].data]
    archive.write([])
    assert archive.failed is None
    assert sds(tmp_path, Z).read_bytes() == made[0].data + made[3].data + made[6].data
    archive.close()


def test_what_is_lost_at_the_end_is_told_with_its_streams_times_and_samples(tmp_path: Path) -> None:
    archive, made = opened(tmp_path), records(Z, count=2)
    sds(tmp_path, Z).mkdir(parents=True)
    archive.write(as_runs(made))
    count = sum(record.sample_count for record in made)
    text = (
        rf"2 records could not be written and are lost: {Z}: {count} samples from 2026-.* to 2026-.* \(cannot write .*"
    )
    with pytest.raises(ComponentError, match=text):
        archive.close()
