"""What files hold beyond a cursor is recognised in order; what is not recognised is new."""

import contextlib
import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.container.errors import ContainerError
from rawdaq.file_output import found_objects
from rawdaq.file_output.found_objects import FileObjects, FoundObjects, ObjectMark, newest_first
from rawdaq.messages.message import Message
from rawdaq.packet import Packet, PacketRun
from tests.makers import START_NS, STREAM

LOG = logging.getLogger("rawdaq.test")
SERIES = "0123456789abcdef"
File = tuple[Mapping[str, Any], Sequence[bytes] | Exception]


class Folder:
    """Files by their names: what they say of themselves, and their objects."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self.files = files
        self.opened: list[str] = []

    @contextlib.contextmanager
    def contents(self, path: Path) -> Generator[FileObjects]:
        self.opened.append(str(path))
        about, objects = self.files[str(path)]
        if isinstance(objects, Exception):
            raise objects

        def objects_from(begin: int) -> Iterator[tuple[int, bytes]]:
            yield from [*enumerate(objects)][begin:]

        yield FileObjects(about, len(objects), objects_from)

    def found(self, number: int) -> FoundObjects:
        return FoundObjects.read(map(Path, self.files), ObjectMark(SERIES, number), self.contents, identity, LOG)


def identity(item: Packet | Message | bytes) -> bytes | None:
    if isinstance(item, Packet):
        return item.samples.tobytes()
    return None if isinstance(item, Message) else item


def about(first: int, series: str = SERIES) -> dict[str, Any]:
    return ObjectMark(series, first).stamp


def recognised(found: FoundObjects, items: Sequence[bytes]) -> list[bytes]:
    return [item for item in items if not found.rest(item, is_new=False)]


def test_a_mark_is_kept_as_bytes() -> None:
    mark = ObjectMark.new()
    assert ObjectMark.unpack(mark._replace(number=5).pack()) == (mark.series, 5)
    assert ObjectMark.new() != mark
    assert ObjectMark.unpack({}) is ObjectMark.unpack({b"objects": b"short"}) is None


def test_objects_beyond_the_mark_are_recognised_over_several_files(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = Folder({"c": (about(4), [b"4"]), "b": (about(2), [b"2", b"3"]), "a": (about(0), [b"0", b"1"])}).found(1)
    assert (found.number, found.end) == (1, 5)
    assert recognised(found, [b"1", b"2"]) == [b"1", b"2"]
    assert (found.number, found.is_over) == (3, False)
    assert found.rest(Message("~log", {}), is_new=False) == []
    assert recognised(found, [b"3", b"4", b"4", b"5"]) == [b"3", b"4"]
    assert (found.number, found.is_over) == (5, True)
    assert "4 objects were written before the last end, and not once more" in caplog.text


def test_the_first_that_is_not_there_ends_the_search(caplog: pytest.LogCaptureFixture) -> None:
    found = Folder({"a": (about(0), [b"0", b"1", b"2"])}).found(0)
    assert recognised(found, [b"0", b"other", b"1"]) == [b"0"]
    assert (found.number, found.is_over) == (3, True)
    assert "the last 2 objects in the files are not what the journal has; they stay" in caplog.text


def test_of_a_run_what_is_not_there_is_left() -> None:
    samples = np.arange(6, dtype="<i4").reshape(3, 2)
    run = PacketRun(STREAM, [START_NS + number * 20_000_000 for number in range(3)], 100.0, samples)
    files: Mapping[str, File] = {"a": (about(0), [samples[0].tobytes(), samples[1].tobytes()])}
    [(index, rest)] = Folder(files).found(0).rest(run, is_new=False)
    assert isinstance(rest, PacketRun)
    assert (index, [packet.samples.tolist() for packet in rest]) == (4, [[4, 5]])
    assert Folder(files).found(0).rest(run[:2], is_new=False) == []


def test_behind_a_gap_nothing_is_recognised_and_no_number_is_given_twice() -> None:
    found = Folder({"b": (about(5), [b"5"]), "a": (about(0), [b"0"])}).found(0)
    assert recognised(found, [b"0", b"5"]) == [b"0"]
    assert found.number == 6


def test_files_of_others_and_those_that_cannot_be_read_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    files: Mapping[str, File] = {
        "other": (about(0, "f" * 16), [b"x"]),
        "old": ({}, [b"x"]),
        "wrong": ({"series": SERIES, "first": "x"}, [b"x"]),
        "gone": (about(0), FileNotFoundError()),
        "damaged": (about(0), ContainerError("no footer")),
        "denied": (about(0), PermissionError("denied")),
        "ours": (about(0), [b"0"]),
    }
    assert recognised(Folder(files).found(0), [b"0"]) == [b"0"]
    assert "damaged cannot be read, so what is in it may be written again: no footer" in caplog.text
    assert "denied cannot be read" in caplog.text
    assert "gone" not in caplog.text


def test_not_all_files_of_a_folder_are_looked_at() -> None:
    count = 3 * found_objects._LOOK_BACK
    folder = Folder({str(number): (about(number), [b"x"]) for number in range(count, 0, -1)})
    assert folder.found(count).end == count + 1
    assert len(folder.opened) == 1 + found_objects._LOOK_BACK


def test_files_are_looked_at_from_the_newest_on(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c", "gone")]
    for path, time_s in zip(paths, (5, 9, 7), strict=False):
        path.touch()
        os.utime(path, (time_s, time_s))
    assert [path.name for path in newest_first(paths)] == ["b", "c", "a"]
