"""SocketLogHandler: nothing that the network does is felt by the program that logs."""

import logging
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from rawdaq.log import SocketLogHandler, handler
from tests.helpers import closed_port, wait_for
from tests.log_takers import taking


def logger_of(target: SocketLogHandler, name: str = "daq.test") -> logging.Logger:
    logger = logging.Logger(name, 1)  # noqa: LOG001 - of its own: nothing of pytest's hears it
    logger.addHandler(target)
    return logger


@contextmanager
def sending(port: int, **options: Any) -> Generator[SocketLogHandler]:
    made = SocketLogHandler("127.0.0.1", port, "XX.DEMO.T", **options)
    try:
        yield made
    finally:
        made.close()


def test_records_arrive_in_order_also_those_of_the_last_moment() -> None:
    with taking() as taker:
        with sending(taker.port) as target:
            log = logger_of(target)
            for number in range(1000):
                log.info("%d", number)
        wait_for(lambda: len(taker.lines) == 1000)
    assert taker.messages() == [str(number) for number in range(1000)]
    assert {line["component"] for line in taker.lines} == {"XX.DEMO.T"}


def test_building_one_costs_nothing_and_it_may_be_closed_twice() -> None:
    target = SocketLogHandler("127.0.0.1", 1)
    assert "log to 127.0.0.1:1" not in [thread.name for thread in threading.enumerate()]
    target.close()
    target.close()
    logger_of(target).info("too late")
    assert target.dropped == 1


def test_while_the_receiver_is_away_records_wait_and_what_is_too_much_is_told_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handler, "_RETRY_MAX_S", 0.02)
    monkeypatch.setattr(handler, "_RETRY_FIRST_S", 0.01)
    with taking() as taker, sending(taker.port, max_records=10) as target:
        log = logger_of(target)
        log.info("before")
        wait_for(lambda: taker.messages() == ["before"])
        taker.leave()
        began_s = time.monotonic()
        for number in range(25):
            log.info("away %d", number)
        assert time.monotonic() - began_s < 5.0  # it never waits for the network
        dropped = target.dropped
        assert 14 <= dropped <= 16  # a record that the thread takes from the queue just now counts twice, or not
        taker.listen()
        wait_for(lambda: len(taker.lines) == 27 - dropped)
        log.info("after")
        wait_for(lambda: taker.messages()[-1] == "after")
        *kept, told, _after = taker.messages()
        assert kept[:10] == ["before", *(f"away {number}" for number in range(9))]
        assert len(kept) == 26 - dropped
        assert told.startswith(f"{dropped} log records dropped: the receiver was away for ")


def test_a_receiver_that_was_never_there_costs_nothing_but_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "_CLOSE_TIMEOUT_S", 0.05)
    with closed_port() as port, sending(port, max_records=3) as target:
        log = logger_of(target)
        for number in range(5):
            log.info("%d", number)
        assert 1 <= target.dropped <= 3  # see above


def test_a_record_that_cannot_be_formatted_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong:
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    with taking() as taker, sending(taker.port) as target:
        log = logger_of(target)
        log.info(Wrong())
        log.info("%d", "x")
        log.info("good")
        wait_for(lambda: (len(taker.lines) >= 2 and taker.messages()[-1] != "good") or len(taker.lines) == 3)
        assert target.dropped == 1
        assert "good" in taker.messages()
        assert any(message.startswith("1 log record dropped") for message in taker.messages())
    assert capsys.readouterr().err == ""


def test_a_line_of_which_a_part_was_sent_is_sent_again_as_a_whole() -> None:
    sender = handler._Sender("127.0.0.1", 1, "")
    sender._pending.extend([b"first\n", b"second\n", b"third\n"])
    sender._forget_sent(6 + 3)
    assert list(sender._pending) == [b"ond\n", b"third\n"]
    sender._forget_sent(2)
    sender._disconnect()
    assert list(sender._pending) == [b"second\n", b"third\n"]
    sender._forget_sent(7)
    sender._disconnect()
    assert list(sender._pending) == [b"third\n"]


def test_a_child_has_a_connection_of_its_own_and_sends_nothing_of_its_parent() -> None:
    with taking() as taker, sending(taker.port) as target:
        log = logger_of(target)
        log.info("parent")
        wait_for(lambda: taker.lines)
        pid = os.fork()
        if pid == 0:  # pragma: no cover - in the child
            try:
                log.info("child")
                target.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        log.info("parent again")
        wait_for(lambda: len(taker.lines) == 3)
    by_pid = [(line["message"], line["pid"] == pid) for line in taker.lines]
    assert sorted(by_pid) == [("child", True), ("parent", False), ("parent again", False)]
