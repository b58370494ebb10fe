"""A clock of the past: any speed, pauses and jumps, and never a rounding that adds up."""

from math import inf

import pytest

from rawdaq.replay.clock import Position, ReplayClock
from rawdaq.times import NS_PER_S
from tests.makers import START_NS

S = NS_PER_S


class World:
    """The clock of the real world."""

    def __init__(self) -> None:
        self.now_ns = 5 * S

    def clock(self, speed: float = 1.0, data_ns: int = START_NS) -> ReplayClock:
        clock = ReplayClock(speed, lambda: self.now_ns)
        clock.go_to(data_ns)
        return clock

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * S)


@pytest.mark.parametrize("speed", [1.0, 0.1, 60.0])
def test_data_are_due_at_their_time_by_the_speed(speed: float) -> None:
    world = World()
    clock = world.clock(speed)
    assert clock.due_s(START_NS + 6 * S) == pytest.approx(6 / speed)
    world.pass_s(2)
    assert clock.now_ns == START_NS + round(2 * speed * S)
    assert clock.due_s(START_NS + 6 * S) == pytest.approx(6 / speed - 2)


def test_waits_that_take_too_long_shift_nothing() -> None:
    world = World()
    clock = world.clock(3.0)
    for _ in range(1000):
        world.pass_s(0.001_000_007)
        assert clock.now_ns == START_NS + 3 * (world.now_ns - 5 * S)


def test_everything_is_due_at_full_speed() -> None:
    clock = World().clock(inf)
    assert clock.due_s(START_NS + 10**18) == 0
    assert clock.now_ns == START_NS
    clock.go_to(START_NS + S)
    assert clock.now_ns == START_NS + S


def test_pause_makes_no_burst() -> None:
    world = World()
    clock = world.clock()
    world.pass_s(2)
    clock.hold()
    world.pass_s(100)
    assert clock.now_ns == START_NS + 2 * S
    assert clock.due_s(START_NS) == inf
    clock.release()
    assert clock.due_s(START_NS + 3 * S) == pytest.approx(1)


def test_a_second_pause_changes_nothing() -> None:
    world = World()
    clock = world.clock()
    world.pass_s(2)
    clock.hold()
    world.pass_s(1)
    clock.hold()
    assert clock.now_ns == START_NS + 2 * S


def test_speed_changes_from_now_on() -> None:
    world = World()
    clock = world.clock()
    world.pass_s(10)
    clock.set_speed(4.0)
    assert clock.now_ns == START_NS + 10 * S
    world.pass_s(10)
    assert clock.now_ns == START_NS + 50 * S
    clock.set_speed(inf)
    assert clock.now_ns == START_NS + 50 * S
    world.pass_s(10)
    clock.set_speed(1.0)
    assert clock.now_ns == START_NS + 50 * S


def test_speed_can_be_set_during_a_pause() -> None:
    world = World()
    clock = world.clock()
    clock.hold()
    clock.set_speed(2.0)
    world.pass_s(10)
    assert clock.now_ns == START_NS
    clock.release()
    world.pass_s(10)
    assert clock.now_ns == START_NS + 20 * S


def test_next_turn_begins_when_the_last_one_ends() -> None:
    world = World()
    clock = world.clock(2.0)
    world.pass_s(31)  # one second too late
    clock.begin_again(START_NS + 60 * S, START_NS)
    assert clock.now_ns == START_NS + 2 * S
    clock.begin_again(START_NS + 60 * S, START_NS)
    assert clock.due_s(START_NS) == pytest.approx(29)


def test_next_turn_during_a_pause_and_at_full_speed() -> None:
    world = World()
    clock = world.clock()
    world.pass_s(59)
    clock.hold()
    clock.begin_again(START_NS + 60 * S, START_NS)
    assert clock.now_ns == START_NS - S
    full = world.clock(inf)
    full.begin_again(START_NS + 60 * S, START_NS - 7)
    assert full.now_ns == START_NS - 7


def test_position_is_reported_as_json() -> None:
    position = Position("playing", START_NS + 15 * S, START_NS + 20 * S, START_NS, START_NS + 60 * S, inf, 3.14, 0.5, 2)
    assert position.report() == {
        "state": "playing",
        "time": "2026-11-21T00:00:15.000000Z",
        "published_time": "2026-11-21T00:00:20.000000Z",
        "first": "2026-11-21T00:00:00.000000Z",
        "last": "2026-11-21T00:01:00.000000Z",
        "percent": 25.0,
        "speed": "max",
        "remaining_s": 3.1,
        "late_s": 0.5,
        "turn": 2,
    }


def test_position_before_anything_is_known() -> None:
    report = Position("looking for files", None, None, 0, 0, 1.0, None, 0.0, 0).report()
    assert [report[key] for key in ("time", "first", "last", "percent", "speed", "remaining_s")] == [
        None,
        None,
        None,
        0.0,
        1.0,
        None,
    ]


@pytest.mark.parametrize(("second", "fraction"), [(-1, 0.0), (0, 0.0), (30, 0.5), (61, 1.0)])
def test_fraction_is_between_nothing_and_all(second: int, fraction: float) -> None:
    time_ns = START_NS + second * S
    assert Position("", time_ns, time_ns, START_NS, START_NS + 60 * S, 1.0, 0.0, 0.0, 0).fraction == fraction


def test_one_sample_is_all() -> None:
    assert Position("", START_NS, START_NS, START_NS, START_NS, 1.0, 0.0, 0.0, 0).fraction == 1.0
