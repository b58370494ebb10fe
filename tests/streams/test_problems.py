"""Values that cannot be right are counted by channel, logged at once, and again with their extent."""

import logging

import pytest

from rawdaq.protocols.raw import PacketProblem, ProblemKind
from rawdaq.streams.problems import PacketProblems
from rawdaq.times import NS_PER_DAY, NS_PER_S
from tests.makers import START_NS

LOG = logging.getLogger("rawdaq.test")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_is_logged_at_once_and_the_extent_every_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    problems = PacketProblems(LOG, clock=clock)
    for _ in range(3):
        problems.add(PacketProblem(1, ProblemKind.QUALITY, "255", 2))
    problems.add(PacketProblem(2, ProblemKind.QUALITY, "101"))
    clock.now_s = 601.0
    problems.add(PacketProblem(1, ProblemKind.QUALITY, "255"))
    problems.report()
    kind = str(ProblemKind.QUALITY)
    assert caplog.messages == [
        f"channel 1 sent 255 ({kind})",
        f"channel 2 sent 101 ({kind})",
        f"channel 1: 5 more packets in 601 s: {kind}",
    ]
    assert problems.status() == {"1": {kind: 7}, "2": {kind: 1}}


def test_a_time_that_looks_wrong_is_kept_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    problems = PacketProblems(LOG)
    for _ in range(2):
        assert problems.check_time(1, START_NS - 1024 * 7 * NS_PER_DAY, START_NS)
    assert len(caplog.messages) == 1
    assert "which looks like 1024 weeks behind: a GPS week rollover" in caplog.text
    assert problems.suspicious_ns == NS_PER_DAY


def test_with_a_tolerance_such_packets_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    problems = PacketProblems(LOG, 60.0)
    assert problems.suspicious_ns == 60 * NS_PER_S
    assert not problems.check_time(1, START_NS + 61 * NS_PER_S, START_NS)
    assert "looks like +61.0 s from this machine's clock (time beyond clock_tolerance_s, packet refused)" in caplog.text
