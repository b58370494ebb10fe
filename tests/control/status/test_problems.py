"""What is wrong with a component, from what it answers."""

from typing import Any

import pytest

from rawdaq.control.status.problems import problems

WELL: dict[str, Any] = {
    "state": "running",
    "receiver": {"endpoints": [{"address": "a:1", "connected": True}, {"address": "b:2"}], "files_skipped": 0},
    "publishers": {"archive": {"state": "running", "problem": None, "dropping": False}},
    "streams": {"XX.A..HHZ": {"silent_s": None, "clock": None}},
}


def _archive(**shown: object) -> dict[str, Any]:
    return {"publishers": {"archive": {"state": "running", **shown}}}


PAUSED = {"state": "paused", "paused_reason": "the disk is full"}
SILENT = {
    f"XX.A..HH{letter}": {"silent_s": float(seconds)}
    for letter, seconds in zip("ABCDE", (1, 128, 3, 4, 5), strict=True)
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, []),
        ({"state": "stopped"}, []),
        ({"state": "dead", "error": "it was killed"}, ["it was killed"]),
        ({"state": "hung", "error": "it did not answer"}, ["it did not answer"]),
        ({"state": "running", "error": "its status is 5"}, ["its status is 5"]),
        ({"state": "paused"}, ["paused by command; the command `resume` goes on"]),
        ({"state": "stopping"}, ["it is stopping"]),
        ({"state": "restarting"}, ["it is restarting"]),
        (_archive(**PAUSED), ["archive is paused: the disk is full"]),
        (
            _archive(**PAUSED, waiting=120, waiting_s=128.2, waiting_bytes=1_240_000),
            ["archive is paused: the disk is full; holds 120 packets, 2 min 8 s, 1.2 MB"],
        ),
        (
            _archive(**PAUSED, waiting=2, waiting_s=0.0, waiting_bytes=100, dropping=True, policy="drop_oldest"),
            [
                "archive is paused: the disk is full; holds 2 packets, 0.0 MB",
                "archive drops data by its policy drop_oldest: its queue is full",
            ],
        ),
        (
            _archive(**PAUSED)
            | {
                "receiver": {"endpoints": [{"held": ["a publisher is full: archive", "paused"]}, {"held": list[str]()}]}
            },
            ["archive is paused: the disk is full", "nothing is read meanwhile: a publisher is full: archive"],
        ),
        ({"receiver": {"endpoints": [{"held": ["a publisher is full: archive"]}]}}, []),
        (_archive(problem="no file is safe"), ["archive: no file is safe"]),
        (
            {"receiver": {"endpoints": [{"address": "a:1", "connected": False, "last_failure": "it is off"}]}},
            ["a:1 is not connected: it is off"],
        ),
        ({"receiver": {"endpoints": [{"address": "a:1", "connected": False}]}}, ["a:1 is not connected yet"]),
        ({"receiver": {"capture": {"problem": "its disk is full"}}}, ["its disk is full"]),
        ({"receiver": {"state_failure": "cannot write it"}}, ["cannot write it"]),
        (
            {"receiver": {"files": 3, "files_skipped": 1, "skipped": ["b.txt: no waveforms"]}},
            ["1 of 3 files are not played: b.txt: no waveforms"],
        ),
        (
            _archive(**PAUSED, waiting=2, waiting_bytes=100)
            | {"journal": {"cursors": {"archive": {"behind_packets": 900, "behind_s": 300.0}}}},
            ["archive is paused: the disk is full; the journal holds 900 packets for it, 5 min 0 s"],
        ),
        (
            {"journal": {"path": "j", "is_taking_nothing": True, "sync_error": "bad", "is_disk_nearly_full": True}},
            [
                "the journal j takes nothing; see the log",
                "the journal may lose its last at a power cut: bad",
                "the disk of the journal j is nearly full",
            ],
        ),
        ({"streams": {"XX.A..HHZ": {"silent_s": 128.0}}}, ["XX.A..HHZ silent for 2 min 8 s"]),
        ({"streams": SILENT}, ["XX.A..HHA, XX.A..HHB, XX.A..HHC and 2 more silent for 2 min 8 s"]),
        (
            {"streams": {"XX.A..HHZ": {"clock": "latency -4576.7 s: clocks differ"}}},
            ["XX.A..HHZ latency -4576.7 s: clocks differ"],
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(row: dict[str, Any], expected: list[str]) -> None:
    assert problems(WELL | row) == expected


def test_one_that_does_not_run_is_a_problem_for_who_asks_for_it() -> None:
    assert problems(WELL | {"state": "stopped"}, must_run=True) == ["it does not run"]


def test_a_receiver_of_another_kind_is_not_misread() -> None:
    odd: dict[str, Any] = {"receiver": None, "publishers": [], "streams": {"odd": 5}}
    assert problems(WELL | odd) == []
