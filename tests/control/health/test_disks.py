"""What is free where components write, and for how long that lasts."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.health import disks

DAY_S = 86_400
A_DAY = 1_000_000


def _row(folder: Path, uptime_s: float = DAY_S, **more: Any) -> dict[str, Any]:
    archive = {"path": str(folder), "bytes": A_DAY, "open_files": 1}
    return {"uptime_s": uptime_s, "publishers": {"archive": archive, "live": {"state": "running"}}, **more}


def test_each_folder_has_what_is_free_and_all_components_fill_their_disk_together(tmp_path: Path) -> None:
    shown = os.statvfs(tmp_path)
    capture: dict[str, Any] = {"receiver": {"capture": {"path": str(tmp_path / "c" / "file"), "written_bytes": A_DAY}}}
    rows = disks.with_disks([_row(tmp_path), _row(tmp_path, **capture)])
    first, second = (row["disks"] for row in rows)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (sorted(first), sorted(second)) == (["archive"], ["archive", "capture"])
    for entry in (first["archive"], second["archive"], second["capture"]):
        assert isinstance(entry, dict)
        assert entry["size_bytes"] == shown.f_frsize * shown.f_blocks
        assert entry["grows_bytes_per_day"] == 3 * A_DAY
        assert isinstance(entry["free_bytes"], int)
        assert entry["left_s"] == round(entry["free_bytes"] / (3 * A_DAY) * DAY_S)


@pytest.mark.parametrize(
    "row",
    [
        {"publishers": {"archive": {"bytes": 5, "open_files": 1}}, "uptime_s": 5.0},  # it has just started
        {"publishers": {"ring": {"bytes": 5}}, "uptime_s": 5.0 * DAY_S},  # a ring does not grow
        {"journal": {"written_bytes": 0}, "uptime_s": 5.0 * DAY_S},
        {"receiver": {"ring": {"next": 5}}, "uptime_s": 5.0 * DAY_S},
    ],
)
def test_where_nothing_grows_or_it_is_too_early_nothing_is_said_of_the_days_to_come(
    row: dict[str, Any], tmp_path: Path
) -> None:
    part = next(part for part in ("publishers", "journal", "receiver") if part in row)
    target = next(iter(row[part].values())) if part == "publishers" else row[part]
    target["path"] = str(tmp_path)
    (shown,) = disks.with_disks([row])
    assert isinstance(shown["disks"], dict)
    (entry,) = shown["disks"].values()
    assert isinstance(entry, dict)
    assert entry["left_s"] is None


def test_a_component_that_writes_nowhere_has_no_disks() -> None:
    assert disks.with_disks([{"state": "stopped", "publishers": ["live"], "receiver": "RawReceiver"}]) == [
        {"state": "stopped", "publishers": ["live"], "receiver": "RawReceiver", "disks": {}}
    ]


def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, others = threading.Event(), threading.enumerate()
    asked = os.statvfs

    def hang(path: Path) -> os.statvfs_result:
        if path.name == "dead":
            assert answers.wait(60)
        return asked(path)

    monkeypatch.setattr(os, "statvfs", hang)
    (tmp_path / "dead").mkdir()
    try:
        found = disks.look_at([str(tmp_path / "dead"), str(tmp_path)], timeout_s=0.05)
        assert str(tmp_path / "dead") not in found
        monkeypatch.setattr(disks, "_TIMEOUT_S", 0.05)

        def looked_at(paths: Iterable[str]) -> dict[str, disks.Disk | str]:
            return found

        monkeypatch.setattr(disks, "look_at", looked_at)
        (row,) = disks.with_disks([_row(tmp_path / "dead")])
        assert row["disks"] == {
            "archive": {"path": str(tmp_path / "dead"), "failure": "it does not answer within 0.05 s"}
        }
    finally:
        answers.set()
        for thread in threading.enumerate():
            if thread not in others:
                thread.join(60)


def test_more_folders_than_threads_are_all_looked_at(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}") for number in range(200)]
    before = set(threading.enumerate())
    found = disks.look_at(paths, timeout_s=60.0)
    assert found.keys() == set(paths)
    assert all(isinstance(each, disks.Disk) for each in found.values())
    assert set(threading.enumerate()) <= before


def test_a_disk_that_refuses_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> os.statvfs_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", refuse)
    assert disks.look_at([str(tmp_path)]) == {str(tmp_path): "Input/output error"}


def test_a_path_that_cannot_be_looked_at_says_why_and_the_others_are_looked_at() -> None:
    """As one below a folder that only another user may enter; such a name does for root, too."""
    refused = f"/{'x' * 300}"
    found = disks.look_at([refused, "/"])
    assert found[refused] == "File name too long"
    assert isinstance(found["/"], disks.Disk)
