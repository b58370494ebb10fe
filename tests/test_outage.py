"""An outage is a line at once, one in each interval, and one with its extent at the end."""

import logging

import pytest

from rawdaq.outage import Outage

LOG = logging.getLogger("rawdaq.test")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_it_begins_with_a_line_and_ends_with_its_extent(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outage = Outage(LOG, clock=clock)
    for _ in range(2):  # it may begin again
        outage.end("nothing was lost: %s", "items")
        assert not outage.is_on
        outage.log("%s does not keep up", "live")
        for stream, count in (("a", 2), ("b", 5), ("a", 1)):
            assert outage.is_on
            outage.counts[stream] += count
        clock.now_s += 2.5
        assert outage.elapsed_s == 2.5
        outage.end("live keeps up again: dropped %s", "items")
        assert outage.elapsed_s == 0.0
    ended = "live keeps up again: dropped 8 items in 2.5 s (b: 5, a: 3)"
    assert caplog.messages == ["live does not keep up", ended] * 2


def test_a_line_is_due_at_once_and_then_once_in_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outage = Outage(LOG, 10.0, clock)
    for _ in range(1000):
        outage.counts["reason"] += 1
        if outage.is_due:
            outage.log("refused %d", outage.counts.total())
        clock.now_s += 0.25
    assert caplog.messages == ["refused 1", *["refused 40"] * 24]
    assert outage.counts.total() == 39


def test_what_ends_and_begins_again_within_the_interval_is_not_due() -> None:
    clock = Clock()
    outage = Outage(LOG, 10.0, clock)
    outage.log("away")
    outage.clear()
    assert not outage.is_due
    outage.begin()
    clock.now_s += 10.0
    outage.begin()  # it goes on
    assert outage.is_due
    assert outage.elapsed_s == 10.0
