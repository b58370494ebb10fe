import logging
from typing import Any

import pytest

from rawdaq.sockets import refusals
from rawdaq.sockets.refusals import MAX_SENDERS, OTHERS, Refusals


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> Refusals:
    return Refusals(logging.getLogger("rawdaq.receivers.test"), clock)


def test_the_first_of_each_reason_is_logged_at_once_then_one_line_in_ten_seconds(
    table: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        table.count("packet cut", "192.0.2.7", f"lacks {number} bytes")
        table.count("foreign sender", "192.0.2.9")
        clock.now_s += 0.02
        table.log()
    assert caplog.messages == [
        "refused a datagram from 192.0.2.7: packet cut: lacks 0 bytes",
        "refused a datagram from 192.0.2.9: foreign sender",
        "refused 500 datagrams, the last one from 192.0.2.7: packet cut: lacks 500 bytes",
        "refused 500 datagrams, the last one from 192.0.2.9: foreign sender",
    ]


def test_what_came_last_is_logged_when_it_is_due_although_nothing_follows(
    table: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        table.count("empty", "192.0.2.7")
    table.log()
    assert len(caplog.messages) == 1
    clock.now_s += refusals.INTERVAL_S
    table.log()
    assert caplog.messages[1:] == ["refused 2 datagrams, the last one from 192.0.2.7: empty"]
    table.log(at_once=True)
    assert len(caplog.messages) == 2


def test_the_interval_can_be_longer(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    table = Refusals(logging.getLogger("rawdaq.publishers.test"), clock, "connection", interval_s=60.0)
    for _ in range(1000):
        table.count("too many", "192.0.2.7")
        clock.now_s += 0.1
        table.log()
    assert caplog.messages == [
        "refused a connection from 192.0.2.7: too many",
        "refused 600 connections, the last one from 192.0.2.7: too many",
    ]


def test_at_the_end_everything_is_logged(table: Refusals, caplog: pytest.LogCaptureFixture) -> None:
    table.count("empty", "192.0.2.7")
    table.count("empty", "192.0.2.8")
    table.log(at_once=True)
    assert caplog.messages[-1] == "refused a datagram from 192.0.2.8: empty"


def test_a_detail_is_put_into_words_only_when_it_is_logged(table: Refusals) -> None:
    class Detail:
        asked = 0

        def __str__(self) -> str:
            self.asked += 1
            return "detail"

    detail = Detail()
    for _ in range(100):
        table.count("packet cut", "192.0.2.7", detail)
    assert detail.asked == 1


def test_all_is_counted_by_sender_and_reason_those_with_most_first(table: Refusals) -> None:
    table.count("empty", "a")
    for _ in range(2):
        table.count("empty", "b")
        table.count("packet cut", "b")
    assert table.table() == {"b": {"empty": 2, "packet cut": 2}, "a": {"empty": 1}}
    assert table.report() == {
        "refused": 5,
        "refused_by_reason": {"empty": 3, "packet cut": 2},
        "refused_by_sender": {"b": {"empty": 2, "packet cut": 2}, "a": {"empty": 1}},
    }


def test_forged_senders_do_not_fill_the_memory_nor_the_status(table: Refusals) -> None:
    for number in range(3 * MAX_SENDERS):
        table.count("foreign sender", str(number))
    assert len(table.table()) == MAX_SENDERS + 1
    assert next(iter(table.table().items())) == (OTHERS, {"foreign sender": 2 * MAX_SENDERS})
    shown: Any = table.report()["refused_by_sender"]
    assert len(shown) == 20
