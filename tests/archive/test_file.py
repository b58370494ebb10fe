"""A file of records always ends with a whole one, and what did not is kept."""

import errno
import os
from pathlib import Path

import pytest

from rawdaq.archive.file import ArchiveFile
from rawdaq.times import from_iso
from tests.archive.made_records import joined, records
from tests.disks import Disk, fail_with, file_size_limit
from tests.record_makers import as_runs

NOW_NS = from_iso("2026-11-21T02:23:00Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "day"


def test_a_new_file_is_made_with_its_folders(path: Path) -> None:
    file = ArchiveFile(path, NOW_NS)
    assert file.set_aside is None
    assert not file.is_dirty
    assert file.append(as_runs(records(2, 3))) == 3
    assert file.is_dirty
    file.sync()
    assert not file.is_dirty
    file.close()
    assert path.read_bytes() == joined(records(2, 3))


def test_a_disk_may_take_less_than_it_is_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, made = ArchiveFile(path, NOW_NS), records(2, 5)
    Disk(path.parent, monkeypatch).longest_bytes = 700
    assert file.append(as_runs(made)) == 5
    file.close()
    assert path.read_bytes() == joined(made)


@pytest.mark.parametrize("version", [2, 3])
def test_a_torn_end_is_kept_beside_the_file(path: Path, version: int) -> None:
    path.parent.mkdir()
    whole = joined(records(version, 4))
    torn = records(version, 5)[-1].data[:77]
    for number, suffix in enumerate(("", "-1", "-2")):
        path.write_bytes(whole + torn + bytes([number]))
        file = ArchiveFile(path, NOW_NS)
        file.close()
        aside = path.with_name(f".day.torn-20261121T022300Z{suffix}")
        assert file.set_aside == (aside, 78)
        assert path.read_bytes() == whole
        assert aside.read_bytes() == torn + bytes([number])


@pytest.mark.parametrize("version", [2, 3])
def test_bytes_before_the_first_record_do_not_move_the_others(path: Path, version: int) -> None:
    path.parent.mkdir()
    damaged = bytes(512) + joined(records(version, 4))
    path.write_bytes(damaged + b"torn")
    file = ArchiveFile(path, NOW_NS)
    file.append(as_runs(records(version, 1)))
    file.close()
    assert file.bad_bytes == 512
    assert file.set_aside is not None
    assert file.set_aside[1] == 4
    assert path.read_bytes() == damaged + joined(records(version, 1))


@pytest.mark.parametrize("content", [b"my notes", b"Dear diary, " * 100, bytes(4096)])
def test_a_file_of_another_format_is_kept_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    file = ArchiveFile(path, NOW_NS)
    file.append(as_runs(records(2, 1)))
    file.close()
    assert path.read_bytes() == joined(records(2, 1))
    assert path.with_name(".day.torn-20261121T022300Z").read_bytes() == content


def test_a_torn_end_that_cannot_be_kept_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.write_bytes(b"torn")
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        ArchiveFile(path, NOW_NS)
    assert path.read_bytes() == b"torn"
    assert list(path.parent.iterdir()) == [path]


def test_two_cannot_write_the_same_file(path: Path) -> None:
    first = ArchiveFile(path, NOW_NS)
    with pytest.raises(BlockingIOError) as error:
        ArchiveFile(path, NOW_NS)
    assert error.value.filename == str(path)
    first.close()
    ArchiveFile(path, NOW_NS).close()


@pytest.mark.parametrize(("wrong", "number"), [("folder", errno.EISDIR), ("file/below", errno.ENOTDIR)])
def test_a_file_that_cannot_be_opened_is_named_and_leaves_nothing_open(tmp_path: Path, wrong: str, number: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=os.strerror(number)) as error:
        ArchiveFile(tmp_path / wrong, NOW_NS)
    assert (error.value.errno, error.value.filename) == (number, str(tmp_path / wrong))
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_cannot_be_read_is_named_and_leaves_nothing_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.write_bytes(joined(records(2, 1)))
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "pread", fail_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output error") as error:
        ArchiveFile(path, NOW_NS)
    assert error.value.filename == str(path)
    assert os.listdir("/proc/self/fd") == before


def test_a_disk_that_does_not_sync_is_an_error_that_names_the_file(path: Path) -> None:
    """A pipe takes bytes as a file does, but nothing can make them safe."""
    file = ArchiveFile(path, NOW_NS)
    file.append(as_runs(records(2, 1)))
    reading, writing = os.pipe()
    os.dup2(writing, file.descriptor)
    for _ in range(2):
        with pytest.raises(OSError, match="Invalid argument") as error:
            file.sync()
        assert error.value.filename == str(path)
        assert file.is_dirty
    file.close()
    os.close(reading)
    os.close(writing)


def test_a_file_that_is_safe_already_costs_no_fsync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, synced = ArchiveFile(path, NOW_NS), list[int]()
    monkeypatch.setattr(os, "fsync", synced.append)
    for _ in range(2):
        file.append(as_runs(records(2, 1)))
        file.sync()
        file.sync()
    file.close()
    assert synced == [file.descriptor] * 2


def test_a_file_that_was_moved_away_or_replaced_is_not_in_place(path: Path) -> None:
    file = ArchiveFile(path, NOW_NS)
    assert file.is_in_place()
    path.rename(path.with_name("moved"))
    assert not file.is_in_place()
    path.touch()
    assert not file.is_in_place()
    path.unlink()
    path.with_name("moved").unlink()
    path.parent.rmdir()
    path.parent.touch()
    assert not file.is_in_place()
    file.close()


def test_a_write_that_stops_leaves_whole_records_and_the_next_one_says_why(path: Path) -> None:
    """The kernel itself cuts the write in the middle of a record."""
    file, runs = ArchiveFile(path, NOW_NS), as_runs(records(2, 4))
    with file_size_limit(1100):
        assert file.append(runs) == 2
    assert path.read_bytes() == joined(records(2, 2))
    with pytest.raises(OSError, match="File too large") as error:
        file.append(runs[2:])
    assert error.value.filename == str(path)
    file.close()
    assert path.read_bytes() == joined(records(2, 2))


@pytest.mark.parametrize("room_bytes", range(0, 1200, 50))
def test_records_of_different_lengths_are_never_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    file, made = ArchiveFile(path, NOW_NS), records(3, 6)
    Disk(path.parent, monkeypatch).room_bytes = room_bytes
    count = file.append(as_runs(made))
    file.close()
    assert path.read_bytes() == joined(made[:count])
    assert len(joined(made[: count + 1])) > room_bytes or count == len(made)


def test_a_disk_that_does_not_even_truncate_leaves_a_torn_end_for_the_next_open(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, runs = ArchiveFile(path, NOW_NS), as_runs(records(2, 3))
    with monkeypatch.context() as broken:
        Disk(tmp_path, broken).room_bytes = 700
        broken.setattr(os, "ftruncate", fail_with(errno.EIO))
        assert file.append(runs) == 1
    with pytest.raises(OSError, match="No space left"):  # nothing must follow the torn end
        file.append(runs[1:])
    file.close()
    again = ArchiveFile(path, NOW_NS)
    again.close()
    assert again.set_aside is not None
    assert again.set_aside[1] == 188
    assert path.read_bytes() == joined(records(2, 1))


def test_the_folder_of_the_archive_itself_is_not_created(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with pytest.raises(FileNotFoundError):
        ArchiveFile(root / "2026" / "XX" / "file", 0, root)
    assert not root.exists()
    root.mkdir()
    ArchiveFile(root / "2026" / "XX" / "file", 0, root).close()
    assert (root / "2026" / "XX" / "file").exists()
