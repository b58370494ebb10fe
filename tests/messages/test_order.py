"""Jumps of ``frame`` are losses, of each topic of each publisher by itself."""

import pytest

from rawdaq.messages import order
from rawdaq.messages.order import FrameOrder
from tests.makers import message


def test_jumps_are_losses_and_numbers_that_go_back_are_a_restart() -> None:
    counted = FrameOrder()
    numbers = [7, 8, 11, 11, 0, 1, 3]
    missing = [counted.missing("a", message(0).published(number, "T", 1)) for number in numbers]
    assert missing == [0, 0, 2, 0, 0, 0, 1]
    assert counted.missing("b", message(0).published(100, "T", 1)) == 0
    assert counted.missing("a", message(0, "~log").published(100, "T", 1)) == 0
    assert counted.lost == {message().topic: 3}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "_MAX_SOURCES", 1)
    counted = FrameOrder()
    numbers = [(topic, number) for number in (1, 5) for topic in ("~log", "~monitor")]
    missing = [counted.missing("a", message(0, topic).published(number, "T", 1)) for topic, number in numbers]
    assert missing == [0, 0, 3, 0]
