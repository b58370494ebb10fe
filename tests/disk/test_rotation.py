"""Files that follow each other: by size, time and count, and never one written over."""

import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rawdaq.disk import finishing
from rawdaq.disk.file_names import FileNames
from rawdaq.disk.rotation import Room, Rotation, RotationLimits, hold, recover_as_it_is
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.times import NS_PER_S
from tests import forks
from tests.container.files import Clock
from tests.disk.rotating import Lines
from tests.disks import fail_with
from tests.helpers import wait_for

NOON_NS = 1_795_953_600 * NS_PER_S  # 2026-11-29T12:00:00Z
LOG = logging.getLogger("rawdaq.test")


def rotation(
    folder: Path,
    limits: RotationLimits | None = None,
    suffix: str | None = "date",
    clock: Callable[[], int] | None = None,
    prefix: str = "Events",
) -> Rotation[Lines]:
    names = FileNames(folder, prefix, suffix, ".txt")
    rotating = Rotation(
        names, limits or RotationLimits(), Lines, recover_as_it_is, LOG, clock or Clock(NOON_NS, step_ns=0)
    )
    rotating.open()
    return rotating


def write(rotating: Rotation[Lines], *objects: bytes, begins_new: bool = False) -> None:
    for each in objects:
        rotating.file_for(len(each) + 1, begins_new=begins_new).write(each)
        rotating.note(1)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("date", ["Events_2026-11-29_120000.txt", "Events_2026-11-29_120000-2.txt", "Events_2026-11-29_120000-3.txt"]),
        ("order", ["Events_001.txt", "Events_002.txt", "Events_003.txt"]),
        ("%j", ["Events_333.txt", "Events_333-2.txt", "Events_333-3.txt"]),
    ],
)
def test_files_get_names_by_their_suffix(tmp_path: Path, suffix: str, expected: list[str]) -> None:
    rotating = rotation(tmp_path, RotationLimits(max_count=1), suffix)
    write(rotating, b"1", b"2", b"3")
    rotating.close()
    assert files(tmp_path) == {name: b"%d\n" % number for number, name in enumerate(expected, 1)}
    assert rotating.status() == {"file": None, "files": 3, "objects": 3, "bytes": 6}


def test_a_file_that_gets_its_name_just_now_does_not_give_the_next_one_a_second_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotating, may_finish, exists, finish = rotation(tmp_path), threading.Event(), Path.exists, Lines.finish

    def finish_late(lines: Lines) -> None:
        assert may_finish.wait(60)
        finish(lines)

    def exists_until_now(path: Path) -> bool:
        answer = exists(path)
        if path.name.startswith("Events_2026-11-29_120000-2") and threading.current_thread() is threading.main_thread():
            may_finish.set()
            wait_for(lambda: rotating.finished == 2)
        return answer

    write(rotating, b"1", begins_new=True)
    write(rotating, b"2", begins_new=True)
    wait_for(lambda: rotating.finished == 1)
    monkeypatch.setattr(Lines, "finish", finish_late)
    rotating.complete()
    monkeypatch.setattr(Path, "exists", exists_until_now)
    write(rotating, b"3")
    monkeypatch.undo()
    rotating.close()
    stem = "Events_2026-11-29_120000"
    assert files(tmp_path) == {f"{stem}.txt": b"1\n", f"{stem}-2.txt": b"2\n", f"{stem}-3.txt": b"3\n"}


def test_a_file_that_is_written_is_seen_as_such(tmp_path: Path) -> None:
    rotating = rotation(tmp_path / "a" / "b", suffix="order")
    write(rotating, b"1")
    assert files(tmp_path / "a" / "b") == {"Events_001.txt.part": b"1\n"}
    assert rotating.status()["file"] == str(tmp_path / "a" / "b" / "Events_001.txt.part")
    assert rotating.status()["bytes"] == 2
    rotating.close()
    assert files(tmp_path / "a" / "b") == {"Events_001.txt": b"1\n"}


@pytest.mark.parametrize("limit", [1, 5, 6, 7, 100])
def test_no_file_is_larger_than_its_limit_unless_by_a_single_object(tmp_path: Path, limit: int) -> None:
    rotating = rotation(tmp_path, RotationLimits(max_bytes=limit), "order")
    objects = [b"x" * (number % 5) for number in range(40)]
    write(rotating, *objects)
    rotating.close()
    written = files(tmp_path)
    assert b"".join(written.values()) == b"".join(each + b"\n" for each in objects)
    for data, following in zip([*written.values()][:-1], [*written.values()][1:], strict=True):
        assert len(data) <= limit or data.count(b"\n") == 1
        assert len(data) + following.index(b"\n") + 1 > limit  # the next object did not fit


def test_files_change_with_the_hour_of_utc_and_by_a_clock_that_is_set_back(tmp_path: Path) -> None:
    clock = Clock(NOON_NS + 1800 * NS_PER_S, step_ns=0)
    rotating = rotation(tmp_path, RotationLimits(period_s=3600), clock=clock)
    write(rotating, b"12:30")
    assert rotating.seconds_left() == 1800
    clock.now_ns = NOON_NS + 3600 * NS_PER_S - 1
    rotating.complete_if_over()
    write(rotating, b"12:59")
    clock.now_ns += 1
    write(rotating, b"13:00", b"13:00")
    clock.now_ns -= 3600 * NS_PER_S
    write(rotating, b"12:00")
    clock.now_ns -= 366 * 86400 * NS_PER_S
    write(rotating, b"last year")
    rotating.close()
    assert files(tmp_path) == {
        "Events_2025-11-28_120000.txt": b"last year\n",
        "Events_2026-11-29_120000.txt": b"12:00\n",
        "Events_2026-11-29_123000.txt": b"12:30\n12:59\n",
        "Events_2026-11-29_130000.txt": b"13:00\n13:00\n",
    }
    assert rotation(tmp_path).seconds_left() is None


def test_a_file_whose_time_is_over_is_finished_though_nothing_comes(tmp_path: Path) -> None:
    clock = Clock(NOON_NS, step_ns=0)
    rotating = rotation(tmp_path, RotationLimits(period_s=60), clock=clock)
    rotating.complete_if_over()
    write(rotating, b"1")
    clock.now_ns += 60 * NS_PER_S
    rotating.complete_if_over()
    wait_for(lambda: (tmp_path / "Events_2026-11-29_120000.txt").exists())
    assert rotating.current is None
    assert rotating.room == Room(0, 0)
    rotating.close()


def test_the_object_that_begins_a_file_is_its_first(tmp_path: Path) -> None:
    rotating = rotation(tmp_path, suffix="order")
    write(rotating, b"1", b"2")
    write(rotating, b"3", begins_new=True)
    write(rotating, b"4")
    rotating.close()
    assert files(tmp_path) == {"Events_001.txt": b"1\n2\n", "Events_002.txt": b"3\n4\n"}


def test_numbers_go_on_after_the_highest_that_is_there(tmp_path: Path) -> None:
    for name in ("Events_007.txt", "Events_x.txt", "Other_099.txt", "Events_1000.dat"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "Events_009.txt.part").write_bytes(b"unfinished")
    rotating = rotation(tmp_path, suffix="order")
    write(rotating, b"new")
    rotating.close()
    assert files(tmp_path)["Events_010.txt"] == b"new\n"
    assert files(tmp_path)["Events_009.txt"] == b"unfinished"


def test_a_single_file_is_refused_when_it_exists(tmp_path: Path) -> None:
    (tmp_path / "Events.txt").write_bytes(b"old")
    with pytest.raises(ComponentError, match=r"exists, and files are never written over: move it, or choose `suffix"):
        rotation(tmp_path, suffix=None)
    (tmp_path / "Events.txt").unlink()
    rotating = rotation(tmp_path, suffix="none")
    other = rotation(tmp_path, suffix="None")
    write(rotating, b"new")
    with pytest.raises(ComponentError, match="another program writes the only one"):
        write(other, b"new")
    rotating.close()
    with pytest.raises(ComponentError, match="exists"):
        write(other, b"new")
    assert files(tmp_path) == {"Events.txt": b"new\n"}


def test_two_writers_in_one_folder_do_not_touch_each_others_files(tmp_path: Path) -> None:
    one = rotation(tmp_path, RotationLimits(max_count=2))
    write(one, b"1")
    two = rotation(tmp_path, RotationLimits(max_count=2))
    write(two, b"a")
    write(one, b"2", b"3")
    write(two, b"b", b"c")
    one.close()
    two.close()
    assert sorted(files(tmp_path).values()) == [b"1\n2\n", b"3\n", b"a\nb\n", b"c\n"]


def test_a_file_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    def write_on() -> int:
        write(rotation(tmp_path), b"its own")
        (tmp_path / "ready").touch()
        wait_for((tmp_path / "done").exists)
        return 0

    with forks.Process(write_on) as process:
        wait_for((tmp_path / "ready").exists)
        rotating = rotation(tmp_path)
        write(rotating, b"ours")
        rotating.close()
        assert (tmp_path / "Events_2026-11-29_120000.txt.part").read_bytes() == b"its own\n"
        (tmp_path / "done").touch()
        assert process.wait() == 0
    rotation(tmp_path)
    assert files(tmp_path)["Events_2026-11-29_120000.txt"] == b"its own\n"
    assert files(tmp_path)["Events_2026-11-29_120000-2.txt"] == b"ours\n"


def test_a_file_that_a_kill_has_left_with_both_names_is_finished_once(tmp_path: Path) -> None:
    (tmp_path / "Events_1.txt").write_bytes(b"of another run")
    (tmp_path / "Events_1.txt.part").write_bytes(b"some")
    (tmp_path / "Events_1-2.txt").hardlink_to(tmp_path / "Events_1.txt.part")
    rotation(tmp_path)
    assert files(tmp_path) == {"Events_1.txt": b"of another run", "Events_1-2.txt": b"some"}


def test_what_a_crash_left_is_finished_or_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "Events_1.txt.part").write_bytes(b"some")
    (tmp_path / "Events_1.txt").write_bytes(b"old")
    (tmp_path / "Events_2.txt.part").write_bytes(b"")
    (tmp_path / "Other_1.txt.part").write_bytes(b"not ours")
    rotation(tmp_path)
    assert files(tmp_path) == {"Events_1.txt": b"old", "Events_1-2.txt": b"some", "Other_1.txt.part": b"not ours"}
    assert "Events_1.txt.part was not finished by the last run: it is whole now, as Events_1-2.txt" in caplog.text
    assert "Events_2.txt.part has no whole object: it is removed" in caplog.text


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    rotating = rotation(tmp_path)
    write(rotating, b"ours")
    (tmp_path / "Events_2026-11-29_120000.txt").write_bytes(b"theirs")
    rotating.close()
    assert files(tmp_path) == {
        "Events_2026-11-29_120000.txt": b"theirs",
        "Events_2026-11-29_120000-2.txt": b"ours\n",
    }


def test_a_file_system_without_links_does_not_replace_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", fail_with(errno.EPERM))
    rotating = rotation(tmp_path)
    write(rotating, b"ours")
    (tmp_path / "Events_2026-11-29_120000.txt").write_bytes(b"theirs")
    rotating.close()
    assert files(tmp_path)["Events_2026-11-29_120000-2.txt"] == b"ours\n"
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        finishing.give_name(tmp_path / "a", [])
    monkeypatch.setattr(os, "link", fail_with(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        finishing.give_name(tmp_path / "a", [tmp_path / "b"])


def test_a_file_that_was_moved_is_finished_where_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rotating = rotation(tmp_path, suffix="order")
    write(rotating, b"1")
    (tmp_path / "Events_001.txt.part").rename(tmp_path / "moved")
    write(rotating, b"2")
    rotating.close()
    assert files(tmp_path) == {"moved": b"1\n", "Events_001.txt": b"2\n"}
    assert "writing goes on in a new file" in caplog.text
    assert "keeps the name that it has now" in caplog.text


def test_nothing_is_written_when_the_folder_is_gone(tmp_path: Path) -> None:
    rotating = rotation(tmp_path / "disk", suffix="order")
    write(rotating, b"1")
    (tmp_path / "disk").rename(tmp_path / "gone")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            write(rotating, b"2")
    (tmp_path / "gone").rename(tmp_path / "disk")
    write(rotating, b"2")
    rotating.close()
    assert files(tmp_path / "disk") == {"Events_001.txt": b"1\n2\n"}


def test_a_file_that_cannot_be_finished_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rotating = rotation(tmp_path, RotationLimits(max_count=1), suffix="order")
    write(rotating, b"1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail_with(errno.ENOSPC))
        write(rotating, b"2")
        wait_for(lambda: rotating.problem)
        assert rotating.problem is not None
        assert "free space on that disk" in rotating.problem
    write(rotating, b"3")
    wait_for(lambda: rotating.problem is None)
    rotating.close()
    assert files(tmp_path) == {"Events_001.txt": b"1\n", "Events_002.txt": b"2\n", "Events_003.txt": b"3\n"}
    assert caplog.text.count("it is tried again") == 1


def test_a_file_that_is_never_finished_is_repaired_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rotating = rotation(tmp_path, suffix="order")
    write(rotating, b"1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_with(errno.EIO))
        rotating.close()
    assert "Events_001.txt.part is not finished" in caplog.text
    rotating = rotation(tmp_path, suffix="order")
    assert files(tmp_path) == {"Events_001.txt": b"1\n"}


@pytest.mark.parametrize(
    ("prefix", "suffix", "reason"),
    [
        ("a/b", "date", "has a /"),
        ("a", "%Y/%m", "has a /"),
        ("a", "daily", "is not date, order, none, or a pattern"),
        ("", None, "has no name"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path: Path, prefix: str, suffix: str | None, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        FileNames(tmp_path, prefix, suffix, ".rdc")


def test_a_prefix_that_ends_with_a_sign_gets_no_other_one(tmp_path: Path) -> None:
    names = FileNames(tmp_path, "run-", "order", ".rdc")
    assert next(names.candidates(0)).name == "run-001.rdc"
    assert next(FileNames(tmp_path, "", "date", ".rdc").candidates(NOON_NS)).name == "2026-11-29_120000.rdc"


def test_a_file_system_without_locks_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a").open("w") as file:
        monkeypatch.setattr("fcntl.lockf", fail_with(errno.ENOLCK))
        hold(file.fileno())
        monkeypatch.setattr("fcntl.lockf", fail_with(errno.EIO))
        with pytest.raises(OSError, match="error"):
            hold(file.fileno())
