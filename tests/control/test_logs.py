"""The last lines of a log file, and those that follow."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rawdaq.control import logs


def test_the_last_lines_are_those_behind_a_place_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    assert logs.last_lines(file, 3) == []
    assert logs.size_bytes(file) == 0
    file.write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert logs.last_lines(file, 2) == ["line 19998", "line 19999"]
    assert logs.last_lines(file, 0) == []
    assert len(logs.last_lines(file, 12_000)) == 12_000
    begin = file.read_bytes().index(b"line 19999")
    assert logs.last_lines(file, 5, begin) == ["line 19999"]
    assert logs.last_lines(file, 1, 10_000_000) == ["line 19999"], "a rotation began a new file"


def test_following_goes_on_after_a_rotation_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.log"
    old = tmp_path / "a.log.1"

    def append(text: str) -> None:
        with file.open("a") as opened:
            opened.write(text)

    def rotate() -> None:
        append("third\n")
        file.rename(old)

    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: file.write_text("skipped\nfirst\nsec"),
            lambda: append("ond\n"),
            rotate,
            lambda: file.write_text("fourth\n"),
        ]
    )

    def sleep(_: float) -> None:
        next(steps)()

    monkeypatch.setattr(time, "sleep", sleep)
    lines = logs.follow(file, len("skipped\n"))
    assert [next(lines) for _ in range(4)] == ["first", "second", "third", "fourth"]
    lines.close()


def test_following_goes_on_in_a_file_that_was_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.log"
    file.write_text("first\nsecond\n")

    def empty() -> None:
        os.truncate(file, 0)
        file.write_text("new\n")

    steps: Iterator[Callable[[], object]] = iter([empty, lambda: None])

    def sleep(_: float) -> None:
        next(steps)()

    monkeypatch.setattr(time, "sleep", sleep)
    lines = logs.follow(file, 0)
    assert [next(lines) for _ in range(3)] == ["first", "second", "new"]
    lines.close()
