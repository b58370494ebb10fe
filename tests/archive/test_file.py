"""A file of records always ends with a whole one, and what did not is kept."""

import errno
import fcntl
import os
import random
from pathlib import Path

import numpy as np
import pytest

from rawdaq.archive.file import Appended, ArchiveFile, append_all, end_of_records, open_all, sync_all
from rawdaq.disk.mounts import device_below
from rawdaq.miniseed.maker import Record, RecordFormat
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso
from tests.disks import Disk, fail_with, file_size_limit
from tests.record_makers import RecordMaker, as_runs

NOW_NS = from_iso("2026-11-21T02:23:00Z")


def records(version: int, count: int, length_bytes: int = 512) -> list[Record]:
    """Return *count* records; those of miniSEED 3 differ in length."""
    maker = RecordMaker(RecordFormat(version, length_bytes))
    made: list[Record] = []
    for index in range(count):
        samples = np.arange(1 + 7 * index % 90, dtype=np.int32) * 997
        maker.add([Packet(StreamId.parse("XX.DEMO.00.HHZ"), index * 10**12, 100.0, samples)], 0)
        made += maker.flush()
    return made


def joined(some: list[Record]) -> bytes:
    return b"".join(record.data for record in some)


def end_of(path: Path, content: bytes) -> int:
    path.write_bytes(content)
    with path.open("rb") as file:
        return end_of_records(file.fileno(), len(content))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "day"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("cut", [0, 1, 39, 63, 100, 127])
def test_the_end_of_the_last_whole_record_is_found(tmp_path: Path, version: int, cut: int) -> None:
    made = records(version, 20)
    whole = joined(made[:-1]) if cut else joined(made)
    assert end_of(tmp_path / "day", joined(made)[: len(joined(made)) - cut]) == len(whole)


@pytest.mark.parametrize("version", [2, 3])
def test_zeros_that_a_crash_left_are_no_record(tmp_path: Path, version: int) -> None:
    whole = joined(records(version, 5))
    assert end_of(tmp_path / "day", whole + bytes(1024)) == len(whole)


def test_records_of_different_lengths_are_walked(tmp_path: Path) -> None:
    mixed = joined(records(2, 3)) + joined(records(2, 2, 4096)) + joined(records(2, 1, 128))
    assert end_of(tmp_path / "day", mixed) == len(mixed)
    assert end_of(tmp_path / "day", mixed + b"torn") == len(mixed)


@pytest.mark.parametrize("version", [2, 3])
def test_a_long_file_is_not_read_whole(tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = joined(records(version, 90)) * 100
    read: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        read.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert end_of(tmp_path / "day", whole) == len(whole)
    assert sum(read) < len(whole) / 2


def test_samples_that_look_like_a_header_do_not_deceive(tmp_path: Path) -> None:
    maker = RecordMaker(RecordFormat(3, 100_000, "int32"))
    liar = np.full(500_000, int.from_bytes(b"MS\x03\0", "little"), np.int32)
    made = maker.add([Packet(StreamId.parse("XX.DEMO.00.HHZ"), 0, 100.0, liar)], 0)
    content = joined(made)
    assert end_of(tmp_path / "day", content) == len(content) > 1 << 20
    assert end_of(tmp_path / "day", content[:-1]) == len(joined(made[:-1]))


def test_records_too_long_for_the_tail_are_walked(tmp_path: Path) -> None:
    samples = np.frombuffer(random.Random(1).randbytes(8 * 100_000), np.int64).astype(np.float64)
    maker = RecordMaker(RecordFormat(3, 1_000_000))
    maker.add([Packet(StreamId.parse("XX.DEMO.00.HHZ"), 0, 100.0, samples)], 0)
    content = joined(maker.flush())
    assert len(content) > 700_000
    assert end_of(tmp_path / "day", content) == len(content)


def test_a_new_file_is_made_with_its_folders(path: Path) -> None:
    file = ArchiveFile(path, NOW_NS)
    assert file.set_aside is None
    assert append_all([(file, as_runs(records(2, 3)))]) == [Appended(0, 1536)]
    assert file.is_dirty
    assert sync_all([file]) is None
    assert not file.is_dirty
    file.close()
    assert path.read_bytes() == joined(records(2, 3))


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


@pytest.mark.parametrize("content", [b"my notes", b"Dear diary, " * 100, bytes(4096)])
def test_what_is_no_miniseed_is_kept_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    file = ArchiveFile(path, NOW_NS)
    append_all([(file, as_runs(records(2, 1)))])
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
    with pytest.raises(BlockingIOError):
        ArchiveFile(path, NOW_NS)
    first.close()
    ArchiveFile(path, NOW_NS).close()


def test_a_file_system_without_locks_is_used_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", fail_with(errno.ENOTSUP))
    ArchiveFile(path, NOW_NS).close()


def test_many_files_are_opened_at_once_with_their_folders(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "new/folders/b", "new/folders/c", "new/d")]
    paths[0].write_bytes(joined(records(2, 2)) + b"torn")
    opened = open_all(paths)
    files = [ArchiveFile(path, NOW_NS, each) for path, each in zip(paths, opened, strict=True)]
    assert [(each.size_bytes, each.error) for each in opened] == [(1028, 0), (0, 0), (0, 0), (0, 0)]
    assert [file.set_aside and file.set_aside[1] for file in files] == [4, None, None, None]
    assert append_all([(file, as_runs(records(2, 1))) for file in files])[1:] == [Appended(0, 512)] * 3
    (refused,) = open_all(paths[:1])
    assert (refused.descriptor, refused.error) == (-1, errno.EWOULDBLOCK)
    for file in files:
        file.close()
    assert [path.stat().st_size for path in paths] == [1536, 512, 512, 512]
    assert open_all([]) == []


def test_a_file_that_cannot_be_opened_ends_the_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = os.listdir("/proc/self/fd")
    for wrong, error in (("folder", errno.EISDIR), ("file/below", errno.ENOTDIR), ("file/far/below", errno.ENOTDIR)):
        first, second = open_all([tmp_path / "first", tmp_path / wrong, tmp_path / "third"])
        assert (first.error, second.descriptor, second.error) == (0, -1, error)
        os.close(first.descriptor)
    assert not (tmp_path / "third").exists()
    assert os.listdir("/proc/self/fd") == before


def test_records_of_many_files_are_written_at_once(tmp_path: Path) -> None:
    files = [ArchiveFile(tmp_path / name, NOW_NS) for name in "abc"]
    made = [records(2, 2 + number) for number in range(3)]
    for count in range(2):
        wanted = [(file, as_runs(each)) for file, each in zip(files, made, strict=True)]
        assert append_all(wanted) == [Appended(count * len(each) * 512, len(each) * 512) for each in made]
    for file, each in zip(files, made, strict=True):
        file.close()
        assert file.path.read_bytes() == 2 * joined(each)
    assert append_all([]) == []


def test_more_pieces_than_one_call_of_the_system_takes_are_written(path: Path) -> None:
    file = ArchiveFile(path, NOW_NS)
    made = records(2, 5) * 500
    assert append_all([(file, as_runs(made))]) == [Appended(0, 2500 * 512)]
    file.close()
    assert path.read_bytes() == joined(made)


def test_an_error_ends_the_step(tmp_path: Path) -> None:
    """What a disk refuses once it will refuse for the next file too, perhaps after as long a time."""
    files = [ArchiveFile(tmp_path / name, NOW_NS) for name in "abcd"]
    small, large = as_runs(records(2, 1)), as_runs(records(2, 3))
    (tmp_path / "a").unlink()
    with file_size_limit(1024):
        wanted = list(zip(files, (small, small, large, small), strict=True))
        assert append_all(wanted) == [Appended(-1), Appended(0, 512), Appended(0, 1024, errno.EFBIG)]
    for file in files:
        file.close()
    assert [(tmp_path / name).stat().st_size for name in "bcd"] == [512, 1024, 0]


def test_a_path_that_cannot_be_looked_at_is_an_error(path: Path) -> None:
    file = ArchiveFile(path, NOW_NS)
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    assert append_all([(file, as_runs(records(2, 1)))]) == [Appended(-1, 0, errno.ENOTDIR)]
    file.close()


def test_files_are_made_safe_up_to_the_first_error(tmp_path: Path) -> None:
    """A pipe takes bytes as a file does, but nothing can make them safe."""
    files = [ArchiveFile(tmp_path / name, NOW_NS) for name in "abc"]
    append_all([(file, as_runs(records(2, 1))) for file in files])
    reading, writing = os.pipe()
    os.dup2(writing, files[1].descriptor)
    error = sync_all(files)
    assert (error and error.errno, error and error.filename) == (errno.EINVAL, str(tmp_path / "b"))
    assert [file.is_dirty for file in files] == [False, True, True]
    assert sync_all(files[2:]) is None
    assert not files[2].is_dirty
    assert sync_all([]) is None
    for file in files:
        file.close()
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_a_file_that_was_moved_away_is_not_written(path: Path) -> None:
    file = ArchiveFile(path, NOW_NS)
    path.rename(path.with_name("moved"))
    for _ in range(2):
        assert append_all([(file, as_runs(records(2, 1)))]) == [Appended(-1)]
        path.touch()
    file.close()
    assert path.read_bytes() == path.with_name("moved").read_bytes() == b""


def test_a_write_that_stops_leaves_whole_records(path: Path) -> None:
    file, runs = ArchiveFile(path, NOW_NS), as_runs(records(2, 4))
    with file_size_limit(1100):
        assert append_all([(file, runs)]) == [Appended(0, 1100, errno.EFBIG)]
        whole, error = file.settle(runs, Appended(0, 1100, errno.EFBIG))
        assert (whole, error and (error.errno, error.filename)) == (2, (errno.EFBIG, str(path)))
        assert path.read_bytes() == joined(records(2, 2))
        (appended,) = append_all([(file, runs)])
        assert appended == Appended(1024, 76, errno.EFBIG)
        assert file.settle(runs, appended)[0] == 0
    file.close()
    assert path.read_bytes() == joined(records(2, 2))


def test_a_disk_that_does_not_even_truncate_leaves_a_torn_end_for_the_next_open(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ArchiveFile(path, NOW_NS)
    with monkeypatch.context() as broken:
        Disk(tmp_path, broken).room_bytes = 700
        broken.setattr(os, "ftruncate", fail_with(errno.EIO))
        runs = as_runs(records(2, 3))
        assert file.settle(runs, file.append(runs))[0] == 1
    file.close()
    again = ArchiveFile(path, NOW_NS)
    again.close()
    assert again.set_aside is not None
    assert again.set_aside[1] == 188
    assert path.read_bytes() == joined(records(2, 1))


def test_the_root_file_system_lies_on_nothing() -> None:
    assert device_below(Path("/")) is None


def test_a_mount_lies_on_another_file_system() -> None:
    assert device_below(Path("/proc/self")) == os.stat("/").st_dev
