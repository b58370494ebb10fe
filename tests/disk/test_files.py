"""Files that are appended to: one writer each, and no part of what could not be written."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from rawdaq.disk.files import append, open_locked
from tests.disks import Disk, fail_with, let_no_sync_succeed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_file_is_created_with_its_mode_and_continued(path: Path) -> None:
    for data in (b"one ", b"two"):
        fd = open_locked(path, 0o640)
        append(fd, data)
        os.close(fd)
    assert path.read_bytes() == b"one two"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_has_one_writer(path: Path) -> None:
    fd = open_locked(path)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BlockingIOError) as error:
        open_locked(path)
    assert error.value.filename == str(path)
    assert os.listdir("/proc/self/fd") == before
    os.close(fd)
    os.close(open_locked(path))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_used_without(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fcntl, "flock", fail_with(number))
    os.close(open_locked(path))


@pytest.mark.parametrize("name", ["pipe", "/dev/null"])
def test_only_plain_files_are_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is not a plain file") as error:
        open_locked(tmp_path / name)
    assert error.value.filename == str(tmp_path / name)


def test_a_disk_may_take_less_than_it_is_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(path.parent, monkeypatch).longest_bytes = 3
    fd = open_locked(path)
    append(fd, b"a long text")
    os.close(fd)
    assert path.read_bytes() == b"a long text"


def test_what_does_not_fit_is_not_there_in_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = open_locked(path)
    append(fd, b"before")
    with monkeypatch.context() as full:
        Disk(path.parent, full).room_bytes = 3
        with pytest.raises(OSError, match="No space left"):
            append(fd, b"too long")
    with monkeypatch.context() as broken:
        let_no_sync_succeed(broken)
        with pytest.raises(OSError, match="Input/output error"):
            append(fd, b"not safe", must_sync=True)
        append(fd, b" after")
    os.close(fd)
    assert path.read_bytes() == b"before after"
