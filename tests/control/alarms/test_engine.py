"""When alarms are raised, told again and cleared."""

from typing import Any

import pytest

from rawdaq.control.alarms.conditions import CONDITIONS
from rawdaq.control.alarms.engine import Alarm, Change, Engine, Told
from rawdaq.control.alarms.settings import RuleSettings
from rawdaq.control.health.problem import Row
from rawdaq.times import NS_PER_S

NOW_NS = 1_795_219_200 * NS_PER_S
KEY = "XX.A.Raw"


def row(streams: dict[str, Any] | None = None, **more: Any) -> Row:
    known: dict[str, Any] = {"component": KEY, "title": "A/Raw", "state": "running", "streams": streams or {}}
    return known | more


def late(seconds: float, name: str = "XX.A..HHZ") -> Row:
    return row({name: {"packets": 5, "latency_s": seconds}})


class Bench:
    """An engine with one rule, and its clock."""

    def __init__(self, **rule: Any) -> None:
        self.engine = Engine({"r": RuleSettings.model_validate({"when": "latency_s", "above": 10.0, **rule})})
        self.now_s = 1000.0

    def step(self, after_s: float, *rows: Row) -> list[Alarm]:
        self.now_s += after_s
        return self.engine.step(rows, self.now_s, NOW_NS + round((self.now_s - 1000) * NS_PER_S))

    def changes(self, after_s: float, *rows: Row) -> list[str]:
        return [str(alarm.change) for alarm in self.step(after_s, *rows)]


def test_an_alarm_is_raised_after_a_time_and_cleared_after_another() -> None:
    bench = Bench(raise_after_s=30, clear_after_s=60)
    assert bench.changes(0, late(11)) == []
    assert bench.changes(29, late(12)) == []
    (alarm,) = bench.step(1, late(13))
    assert (alarm.change, alarm.subject, alarm.value, alarm.limit) == (Change.RAISED, "XX.A..HHZ", 13.0, 10.0)
    assert alarm.since_ns == NOW_NS
    assert alarm.text == "XX.A..HHZ of A/Raw: latency 13 s (above 10 is bad)"
    assert len(bench.engine.told()) == 1
    assert bench.changes(1000, late(20)) == []  # it is not told again
    assert bench.changes(1, late(10)) == []
    assert bench.changes(59, late(10)) == []
    assert bench.changes(1, late(10)) == ["cleared"]
    assert bench.engine.told() == []


def test_what_was_told_outlives_an_engine() -> None:
    first = Bench(raise_after_s=0, clear_after_s=5, remind_every_s=100)
    (alarm,) = first.step(0, late(11))
    (told,) = first.engine.told()
    assert (told.subject, told.since_ns, told.told_ns) == ("XX.A..HHZ", NOW_NS, NOW_NS)
    second = Bench(raise_after_s=0, clear_after_s=5, remind_every_s=100)
    second.engine.restore([told], second.now_s + 60, NOW_NS + 60 * NS_PER_S)
    assert second.changes(99, late(11)) == []
    (lasts,) = second.step(1, late(11))
    assert (lasts.change, lasts.since_ns) == (Change.LASTS, alarm.since_ns)
    assert second.changes(1, late(1)) == []
    assert second.changes(5, late(1)) == ["cleared"]
    assert second.engine.told() == []


def test_what_is_not_told_yet_is_told_by_the_next_engine() -> None:
    bench = Bench(raise_after_s=0, clear_after_s=0)
    raised = bench.step(0, late(11))
    assert bench.engine.told(raised) == []
    told = bench.engine.told()
    cleared = bench.step(1, late(1))
    assert bench.engine.told() == []
    assert bench.engine.told(cleared) == told


def test_a_rule_that_has_become_another_one_or_is_gone_knows_nothing_of_before() -> None:
    bench = Bench(raise_after_s=0)
    told = [Told("r", "no_data", KEY, "", NOW_NS, NOW_NS), Told("gone", "latency_s", KEY, "XX.A..HHZ", NOW_NS, NOW_NS)]
    bench.engine.restore(told, bench.now_s, NOW_NS)
    assert bench.engine.told() == []
    assert bench.changes(0, late(11)) == ["raised"]


def test_what_is_bad_for_a_moment_is_not_told() -> None:
    bench = Bench(raise_after_s=30)
    for _ in range(10):
        assert bench.changes(10, late(11)) == []
        assert bench.changes(10, late(11)) == []
        assert bench.changes(5, late(1)) == []


def test_what_is_good_for_a_moment_is_not_cleared() -> None:
    bench = Bench(raise_after_s=0, clear_after_s=60)
    assert bench.changes(0, late(11)) == ["raised"]
    for _ in range(10):
        assert bench.changes(50, late(1)) == []
        assert bench.changes(5, late(11)) == []


def test_between_the_limit_and_clear_at_an_alarm_stays_as_it_is() -> None:
    bench = Bench(raise_after_s=0, clear_after_s=0, clear_at=5)
    assert bench.changes(0, late(6)) == []
    assert bench.changes(1, late(11)) == ["raised"]
    assert bench.changes(1, late(6)) == []
    assert bench.changes(1, late(5)) == ["cleared"]
    low = Bench(when="clock_quality", above=None, below=50.0, raise_after_s=0, clear_after_s=0, clear_at=70)
    qualities: list[tuple[int, list[str]]] = [(60, []), (40, ["raised"]), (60, []), (70, ["cleared"])]
    for quality, expected in qualities:
        assert low.changes(1, row({"XX.A..HHZ": {"timing_quality": quality}})) == expected


def test_an_alarm_that_lasts_is_told_again_when_that_is_asked_for() -> None:
    bench = Bench(raise_after_s=0, remind_every_s=3600)
    assert bench.changes(0, late(11)) == ["raised"]
    assert bench.changes(3599, late(11)) == []
    assert bench.changes(1, late(11)) == ["lasts"]
    assert bench.changes(3600, late(11)) == ["lasts"]


def test_each_subject_has_an_alarm_of_its_own_and_patterns_select() -> None:
    bench = Bench(raise_after_s=0, streams=["*.HHZ", "*.HHN"], components=["XX.*"])
    shown = {f"XX.A..HH{letter}": {"packets": 1, "latency_s": 20.0} for letter in "ZNE"}
    assert sorted(alarm.subject for alarm in bench.step(0, row(shown))) == ["XX.A..HHN", "XX.A..HHZ"]
    other = row(shown, component="YY.B.Raw")
    assert bench.step(1, row(shown), other) == []


def test_streams_of_a_component_that_dies_stay_as_they_are() -> None:
    bench = Bench(when="no_data", above=60.0, raise_after_s=0, clear_after_s=0)
    assert bench.changes(0, row({"XX.A..HHZ": {"silent_s": 61.0}})) == ["raised"]
    (alarm,) = bench.step(1, row(state="dead", health={"reason": "it was killed"}))
    assert (alarm.change, alarm.subject, alarm.value) == (Change.RAISED, "", None)
    assert alarm.text == "A/Raw: no data for all its streams (above 60 is bad)"
    assert alarm.reason == "it was killed"
    assert bench.changes(1, row()) == ["cleared"]  # of the component; the stream has not come again
    assert bench.changes(1, row({"XX.A..HHZ": {"silent_s": None}})) == ["cleared"]


def test_what_is_stopped_or_gone_is_cleared_with_the_reason() -> None:
    bench = Bench(raise_after_s=0)
    bench.step(0, late(11))
    (alarm,) = bench.step(1, row(state="stopped"))
    assert (alarm.change, alarm.text) == (Change.CLEARED, "XX.A..HHZ: its component was stopped")
    bench.step(0, late(11))
    (alarm,) = bench.step(1)
    assert (alarm.change, alarm.text) == (Change.CLEARED, "XX.A..HHZ: it is not there any more")
    bench.step(0, late(11))
    assert bench.step(86_399, row()) == []
    assert [alarm.change for alarm in bench.step(1, row())] == [Change.CLEARED]


def test_what_is_not_raised_leaves_without_a_word() -> None:
    bench = Bench(raise_after_s=30)
    assert bench.step(0, late(11)) == []
    assert bench.step(1) == []
    assert bench.step(30, late(11)) == []


PUBLISHER: dict[str, Any] = {
    "publishers": {"live": {"state": "paused", "waiting_s": 70.0, "paused_s": 80.0, "dropping": True}}
}
JOURNAL: dict[str, Any] = {"publishers": {"live": {}}, "journal": {"cursors": {"live": {"behind_s": 500.0}}}}
DISK: dict[str, Any] = {"disks": {"archive": {"free_bytes": 5, "size_bytes": 100, "left_s": 7200}}}


@pytest.mark.parametrize(
    ("when", "known", "expected"),
    [
        ("no_data", row({"s": {"silent_s": 5.5}}), [("", 0.0), ("s", 5.5)]),
        ("no_data", row(state="stopped"), [("", 0.0)]),
        ("latency_s", row({"s": {"packets": 0, "latency_s": 0.0}}), []),
        ("gaps_last_hour", row({"s": {"gaps_last_hour": 3}}), [("s", 3)]),
        ("overlaps_last_hour", row({"s": {"overlaps_last_hour": 4}}), [("s", 4)]),
        ("clock_quality", row({"s": {"timing_quality": None}, "t": {"timing_quality": 9}}), [("t", 9)]),
        ("publisher_behind_s", row(**PUBLISHER), [("live", 70.0)]),
        ("publisher_behind_s", row(**JOURNAL), [("live", 500.0)]),
        ("publisher_paused_s", row(**PUBLISHER), [("live", 80.0)]),
        ("publisher_dropping", row(**PUBLISHER), [("live", 1.0)]),
        ("disk_free_percent", row(**DISK), [("archive", 5.0)]),
        ("disk_left_h", row(**DISK), [("archive", 2.0)]),
        ("disk_left_h", row(disks={"a": {"free_bytes": 5, "left_s": None}}), [("a", float("inf"))]),
        ("disk_left_h", row(disks={"a": {"failure": "bad"}}), []),
        ("disk_free_percent", row(disks={"a": {"failure": "bad"}}), []),
        ("problem_number", row(health={"number": 800}), [("", 800)]),
        ("problem_number", row(), []),
    ],
)
def test_conditions_measure(when: str, known: Row, expected: list[tuple[str, float]]) -> None:
    assert [tuple(value) for value in CONDITIONS[when].values(known)] == expected


@pytest.mark.parametrize(
    ("when", "limit", "known", "text"),
    [
        ("no_data", 60.0, row({"s": {"silent_s": 90.0}}), "s of A/Raw: no data for 1 min 30 s (above 60 is bad)"),
        ("publisher_dropping", 0.0, row(**PUBLISHER), "live of A/Raw: drops data: 1 (above 0 is bad)"),
        ("disk_left_h", 24.0, row(**DISK), "archive of A/Raw: its disk is full in 2 h (below 24 is bad)"),
        ("problem_number", 399.0, row(health={"number": 800}), "A/Raw: problem number 800 (above 399 is bad)"),
    ],
)
def test_alarms_are_worded(when: str, limit: float, known: Row, text: str) -> None:
    side = "above" if CONDITIONS[when].is_bad_above else "below"
    (alarm,) = Engine({"r": RuleSettings.model_validate({"when": when, side: limit})}).bad([known], NOW_NS)
    assert alarm.text == text
