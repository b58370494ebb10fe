"""What is wrong with a component, and how bad it is, from what it answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.control.health.problem import NEEDS_A_PERSON, Severity
from rawdaq.control.health.rule import health
from rawdaq.times import NS_PER_S

NOW_NS = 1_795_219_200 * NS_PER_S
WELL: dict[str, Any] = {
    "state": "running",
    "receiver": {"endpoints": [{"address": "a:1", "connected": True}, {"address": "b:2"}], "files_skipped": 0},
    "publishers": {"archive": {"state": "running", "problem": None, "dropping": False}},
    "disks": {"archive": {"path": "/a", "free_bytes": 5_000_000_000, "size_bytes": 9_000_000_000, "left_s": None}},
    "streams": {
        "XX.A..HHZ": {
            "silent_s": None,
            "clock": None,
            "latency_s": 3.0,
            "latency_limit_s": 60.0,
            "timing_quality": 100,
            "gaps_last_hour": 0,
            "overlaps_last_hour": 0,
        }
    },
}


def _archive(**shown: object) -> dict[str, Any]:
    return {"publishers": {"archive": {"state": "running", **shown}}}


def _stream(**shown: object) -> dict[str, Any]:
    return {"streams": {"XX.A..HHZ": shown}}


def _disk(**shown: object) -> dict[str, Any]:
    return {"disks": {"archive": {"path": "/a", "free_bytes": 5_000_000_000, **shown}}}


PAUSED = {"state": "paused", "paused_reason": "the disk is full"}
SILENT = {
    f"XX.A..HH{letter}": {"silent_s": float(seconds)}
    for letter, seconds in zip("ABCDE", (1, 128, 3, 4, 5), strict=True)
}
HELD = {"endpoints": [{"held": ["a publisher is full: archive", "paused"]}, {"held": list[str]()}]}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, []),
        ({"state": "stopped"}, []),
        ({"state": "dead", "error": "it was killed"}, [(1000, "it was killed")]),
        ({"state": "failed", "error": "its port is taken"}, [(1000, "its port is taken")]),
        ({"state": "hung", "error": "it did not answer"}, [(950, "it did not answer")]),
        ({"state": "running", "error": "its status is 5"}, [(950, "its status is 5")]),
        ({"state": "paused"}, [(750, "paused by command; the command `resume` goes on")]),
        ({"state": "stopping"}, [(900, "it is stopping")]),
        ({"state": "restarting"}, [(900, "it is restarting")]),
        (_archive(**PAUSED), [(600, "archive is paused: the disk is full")]),
        (_archive(state="failed", paused_reason="a bug"), [(900, "archive is failed: a bug")]),
        (
            _archive(**PAUSED, waiting=120, waiting_s=128.2, waiting_bytes=1_240_000),
            [(600, "archive is paused: the disk is full; holds 120 packets, 2 min 8 s, 1.2 MB")],
        ),
        (
            _archive(**PAUSED, waiting=2, waiting_s=0.0, waiting_bytes=100, dropping=True, policy="drop_oldest"),
            [
                (600, "archive is paused: the disk is full; holds 2 packets, 0.0 MB"),
                (550, "archive drops data by its policy drop_oldest: its queue is full"),
            ],
        ),
        (
            _archive(**PAUSED) | {"receiver": HELD},
            [
                (600, "archive is paused: the disk is full"),
                (590, "nothing is read meanwhile: a publisher is full: archive"),
            ],
        ),
        ({"receiver": HELD}, []),
        (_archive(problem="no file is safe"), [(450, "archive: no file is safe")]),
        (
            {"receiver": {"endpoints": [{"address": "a:1", "connected": False, "last_failure": "it is off"}]}},
            [(800, "a:1 is not connected: it is off")],
        ),
        (
            {"receiver": {"endpoints": [{"address": "a:1", "connected": False}]}},
            [(800, "a:1 is not connected yet")],
        ),
        (
            {"receiver": {"refused": 7, "refused_by_reason": {"wrong length": 2, "other type": 5}}, "streams": {}},
            [(800, "nothing of what comes is accepted: 7 refused, most as 'other type'; see its log")],
        ),
        ({"receiver": {"refused": 7, "refused_by_reason": {"a": 7}}, "topics": {"~log": {}}, "streams": {}}, []),
        ({"receiver": {"refused": 7, "refused_by_reason": {"a": 7}}, "streams": {"XX.A..HHZ": {}}}, []),
        ({"receiver": {"refused": 0, "refused_by_reason": {"a": 7}}, "streams": {}}, []),
        ({"receiver": {"refused": 7, "refused_by_reason": [1]}, "streams": {}}, []),
        ({"receiver": {"capture": {"problem": "its disk is full"}}}, [(450, "its disk is full")]),
        ({"receiver": {"state_failure": "cannot write it"}}, [(450, "cannot write it")]),
        (
            {"receiver": {"files": 3, "files_skipped": 1, "skipped": ["b.txt: no waveforms"]}},
            [(440, "1 of 3 files are not played: b.txt: no waveforms")],
        ),
        (
            {"receiver": {"files": 3, "files_skipped": 1, "skipped": list[str]()}},
            [(440, "1 of 3 files are not played: see the log")],
        ),
        (
            _archive(**PAUSED, waiting=2, waiting_bytes=100)
            | {"journal": {"cursors": {"archive": {"behind_packets": 900, "behind_s": 300.0}}}},
            [(600, "archive is paused: the disk is full; the journal holds 900 packets for it, 5 min 0 s")],
        ),
        (
            {"journal": {"path": "j", "is_taking_nothing": True, "sync_error": "bad", "is_disk_nearly_full": True}},
            [
                (720, "the journal j takes nothing; see the log"),
                (700, "the disk of the journal j is nearly full"),
                (450, "the journal may lose its last at a power cut: bad"),
            ],
        ),
        (
            _disk(left_s=80_000, size_bytes=9_000_000_000),
            [(700, "the disk of archive is full in 22 h 13 min: 5.0 GB are free at /a")],
        ),
        (
            _disk(left_s=90_000, size_bytes=501_000_000_000),
            [(700, "the disk of archive is nearly full: 5.0 GB are free at /a")],
        ),
        (_disk(left_s=90_000, size_bytes=499_000_000_000), []),
        (
            {"disks": {"journal": {"path": "/j", "failure": "it does not answer within 2 s"}}},
            [(700, "the disk of journal (/j): it does not answer within 2 s")],
        ),
        (_stream(silent_s=128.0), [(800, "XX.A..HHZ silent for 2 min 8 s")]),
        ({"streams": SILENT}, [(800, "XX.A..HHA, XX.A..HHB, XX.A..HHC and 2 more silent for 2 min 8 s")]),
        (
            _stream(clock="latency -4576.7 s: clocks differ"),
            [(500, "XX.A..HHZ latency -4576.7 s: clocks differ")],
        ),
        (_stream(latency_s=61.0, latency_limit_s=60.0), [(500, "XX.A..HHZ late: 1 min 1 s")]),
        (_stream(latency_s=60.0, latency_limit_s=60.0), []),
        (_stream(latency_s=1e9, latency_limit_s=None), []),
        (_stream(latency_s=61.0, latency_limit_s=60.0, silent_s=20.0), [(800, "XX.A..HHZ silent for 20.0 s")]),
        (_stream(latency_s=1e9, latency_limit_s=60.0, clock="time is odd"), [(500, "XX.A..HHZ time is odd")]),
        (_stream(timing_quality=49), [(400, "XX.A..HHZ clock quality 49 %")]),
        (_stream(timing_quality=50), []),
        (_stream(gaps_last_hour=1, gap_ago_s=40.0), [(300, "XX.A..HHZ 1 gap in the last hour")]),
        (_stream(overlaps_last_hour=2, overlap_ago_s=40.0), [(200, "XX.A..HHZ 2 overlaps in the last hour")]),
    ],
)
def test_what_is_wrong_is_said_in_words_and_has_a_number(row: dict[str, Any], expected: list[tuple[int, str]]) -> None:
    judged = health(WELL | row, NOW_NS)
    assert [(problem.severity, problem.text) for problem in judged.problems] == expected
    assert judged.number == max((number for number, _ in expected), default=0)
    assert judged.texts == [text for number, text in expected if number >= NEEDS_A_PERSON]
    assert judged.needs_a_person == (judged.number >= 400)


def test_one_that_does_not_run_is_a_problem_for_who_asks_for_it() -> None:
    judged = health(WELL | {"state": "stopped"}, NOW_NS, must_run=True)
    assert (judged.number, judged.texts) == (900, ["it does not run"])


def test_the_worst_comes_first_and_of_the_equally_bad_the_oldest() -> None:
    endpoints = [
        {"address": "young", "connected": False, "disconnected_s": 5.0},
        {"address": "unknown", "connected": False},
        {"address": "old", "connected": False, "disconnected_s": 50.0},
    ]
    row: dict[str, Any] = WELL | {"receiver": {"endpoints": endpoints}} | _archive(**PAUSED, paused_s=500.0)
    judged = health(row, NOW_NS)
    assert [problem.text.split()[0] for problem in judged.problems] == ["old", "young", "unknown", "archive"]
    assert judged.worst is not None
    assert judged.worst.since_ns == NOW_NS - 50 * NS_PER_S


def test_why_nothing_comes_stands_before_what_does_not_come() -> None:
    row: dict[str, Any] = WELL | _stream(silent_s=600.0)
    row["receiver"] = {"endpoints": [{"address": "a:1", "connected": False, "disconnected_s": 5.0}]}
    assert [problem.text.split()[0] for problem in health(row, NOW_NS).problems] == ["a:1", "XX.A..HHZ"]


@pytest.mark.parametrize(
    ("ended", "since_ns"), [("2026-11-20T23:59:00.000000Z", NOW_NS - 60 * NS_PER_S), (None, None), ("odd", None)]
)
def test_what_has_died_did_so_at_its_last_sign_of_life(ended: str | None, since_ns: int | None) -> None:
    worst = health({"state": "dead", "error": "it was killed", "ended": ended}, NOW_NS).worst
    assert worst is not None
    assert worst.since_ns == since_ns


def test_json_has_the_number_the_reason_and_since_when() -> None:
    shown = health(WELL | _stream(silent_s=60.0) | _archive(**PAUSED), NOW_NS).as_json()
    archive: dict[str, Any] = {
        "number": 600,
        "kind": "publisher_paused",
        "text": "archive is paused: the disk is full",
        "since": None,
        "streams": [],
        "publisher": "archive",
    }
    silent: dict[str, Any] = {
        "number": 800,
        "kind": "no_data",
        "text": "XX.A..HHZ silent for 1 min 0 s",
        "since": "2026-11-20T23:59:00.000000Z",
        "streams": ["XX.A..HHZ"],
        "publisher": None,
    }
    assert shown == {
        "number": 800,
        "reason": silent["text"],
        "since": silent["since"],
        "problems": [silent, archive],
    }
    assert health(WELL, NOW_NS).as_json() == {"number": 0, "reason": None, "since": None, "problems": []}


def test_a_stream_has_its_own_problems_and_those_of_the_component_but_not_those_of_a_publisher() -> None:
    row = WELL | {"state": "paused"} | _archive(**PAUSED)
    row["streams"] = {"XX.A..HHZ": {"silent_s": 60.0}, "XX.A..HHN": {"timing_quality": 3}}
    judged = health(row, NOW_NS)
    assert judged.of_stream("XX.A..HHZ").number == Severity.NO_DATA
    assert judged.of_stream("XX.A..HHN").texts == [judged.problems[1].text, "XX.A..HHN clock quality 3 %"]


@given(
    st.dictionaries(
        st.sampled_from(["receiver", "publishers", "journal", "streams", "disks", "error", "state"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(
                        ["endpoints", "connected", "a", "silent_s", "path", "free_bytes", "held", "cursors"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_what_another_version_answers_is_judged_and_raises_nothing(row: dict[str, Any]) -> None:
    judged = health({"state": "running", **row}, NOW_NS)
    assert all(problem.text for problem in judged.problems)
