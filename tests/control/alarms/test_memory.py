"""What a watch leaves for the next one; a file that is damaged, or cannot be written, stops nothing."""

import logging
from pathlib import Path

import pytest

from rawdaq.control.alarms.engine import Told
from rawdaq.control.alarms.memory import Memory

TOLD = [Told("late", "latency_s", "XX.A.Raw", "XX.A..HHZ", 5, 6), Told("own", "problem_number", "XX.A.Raw", "", 7, 8)]


def test_what_is_saved_is_loaded_and_each_file_of_rules_has_its_own(tmp_path: Path) -> None:
    memory = Memory.of(tmp_path, tmp_path / "alarms.yaml")
    assert memory.load() == []
    memory.save(TOLD)
    assert Memory.of(tmp_path, tmp_path / "alarms.yaml").load() == TOLD
    assert Memory.of(tmp_path, tmp_path / "other.yaml").load() == []
    assert list(tmp_path.iterdir()) == [memory.path], "nothing else is left"


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "a.alarms")
    memory.save(TOLD)
    memory.path.unlink()
    memory.save(list(TOLD))
    assert not memory.path.exists()
    memory.save(TOLD[:1])
    assert memory.load() == TOLD[:1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\x00", "Invalid JSON"),
        (b'{"version": 2}', "valid array"),
        (b'[{"rule": "late", "when": "latency_s"}]', "0.component"),
    ],
)
def test_a_damaged_file_is_logged_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, why: str
) -> None:
    memory = Memory(tmp_path / "a.alarms")
    memory.path.write_bytes(content)
    assert memory.load() == []
    (line,) = caplog.messages
    assert line.startswith(f"{memory.path} is ignored (")
    assert why in line
    memory.save(TOLD)
    assert memory.load() == TOLD


def test_a_file_that_cannot_be_written_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    memory = Memory(tmp_path / "folder" / "a.alarms")
    for told in (TOLD, TOLD[:1], TOLD):
        memory.save(told)
    memory.path.parent.mkdir()
    memory.save(TOLD)
    failed, again = caplog.messages
    assert failed.startswith(f"{memory.path} cannot be written: No such file or directory")
    assert again == f"{memory.path} is written again"
    assert memory.load() == TOLD
