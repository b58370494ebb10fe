"""Offset and quality of clocks, at made-up times."""

import pytest

from rawdaq.events.clock import ClockState
from rawdaq.protocols.events import Event


def stamp(time_ns: int | None, quality: int | None = None) -> Event:
    return Event("time", {}, time_ns, quality=quality)


def test_the_offset_is_the_smallest_of_ten_seconds() -> None:
    clock = ClockState()
    assert clock.offset_ns(0) is None
    for second, late in enumerate((300, 100, 500, 200, 200)):
        clock.add(stamp(1000 * second), 1000 * second + late, float(second))
    assert clock.offset_ns(4.0) == 100
    assert clock.offset_ns(11.0) == 100
    assert clock.offset_ns(11.5) == 200
    assert clock.offset_ns(20.0) is None
    assert clock.status(4.5)["last_timestamp_age_s"] == 0.5


@pytest.mark.parametrize(("age_s", "quality"), [(0, 90), (2, 90), (31, 45), (60, 0), (1000, 0)])
def test_the_quality_falls_with_the_age_of_the_newest_timestamp(age_s: float, quality: int) -> None:
    clock = ClockState()
    clock.add(stamp(0, 90), 5, 100.0)
    assert clock.quality(100.0 + age_s) == quality


def test_a_clock_that_does_not_know_the_time_has_no_quality() -> None:
    clock = ClockState()
    assert clock.status(0.0) == {
        "timestamps": 0,
        "clock_offset_ns": None,
        "clock_quality": 0,
        "last_timestamp_age_s": None,
    }
    clock.add(stamp(None, 100), 5, 1.0)
    assert clock.quality(1.0) == 0
    clock.add(stamp(0), 5, 2.0)
    assert clock.quality(2.0) == 100
    clock.add(stamp(None, 0), 5, 2.0)
    assert clock.quality(2.0) == 0


def test_a_clock_that_says_nothing_of_its_quality_is_believed() -> None:
    clock = ClockState()
    clock.add(stamp(0), 5, 1.0)
    assert clock.quality(1.0) == 100
