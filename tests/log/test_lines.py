"""A record of Python's logging becomes one line, whatever it holds."""

import json
import logging
import sys
from typing import Any

import pytest

from rawdaq.log.lines import MAX_LINE_BYTES, dropped_line, record_line


def record(message: object = "text", *args: object, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("daq.x", more.pop("level", 20), "t.py", 12, message, args, more.pop("exc_info", None))


def read(line: bytes) -> dict[str, Any]:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return dict(json.loads(line))


def test_arguments_are_in_the_message_and_time_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    made = record("%d of %s", 3, "é", level=17)
    made.created = 1790000000.25
    values = read(record_line(made, "XX.DEMO.T"))
    assert values.pop("host")
    assert values.pop("pid") > 0
    assert values == {
        "time_ns": 1790000000250000000,
        "level": 17,
        "name": "daq.x",
        "message": "3 of é",
        "component": "XX.DEMO.T",
        "file": "t.py",
        "line": 12,
    }


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        values = read(record_line(record(exc_info=sys.exc_info()), ""))
    assert values["exception"].startswith("Traceback")
    assert values["exception"].endswith("ValueError: bad\nvalue")
    made = record(exc_info=(None, None, None))
    made.exc_text = "as formatted"
    assert read(record_line(made, ""))["exception"] == "as formatted"
    made.exc_text, made.stack_info = None, "Stack"
    assert read(record_line(made, ""))["exception"] == "Stack"


def test_arguments_that_do_not_fit_are_said_all_the_same() -> None:
    assert read(record_line(record("%d apples", "no"), ""))["message"].startswith("%d apples ('no',) (TypeError")


def test_what_utf8_does_not_have_is_replaced() -> None:
    assert read(record_line(record("a\ud800"), ""))["message"] == "a?"


@pytest.mark.parametrize("text", ["x" * 100_000, "\x01" * 100_000, "\U0001f600" * 100_000])
def test_a_long_record_is_cut_to_a_line(text: str) -> None:
    made = record(text)
    made.exc_text = made.name = made.pathname = text
    line = record_line(made, text)
    assert len(line) <= MAX_LINE_BYTES + 1
    assert "more characters)" in read(line)["message"]


@pytest.mark.parametrize(("away_s", "why"), [(61.25, "the receiver was away for 61.2 s"), (0.0, "they came faster")])
def test_drops_are_told_by_a_record(away_s: float, why: str) -> None:
    values = read(dropped_line(2, away_s, "XX.DEMO.T"))
    assert values["message"].startswith(f"2 log records dropped: {why}")
    assert (values["level"], values["component"]) == (30, "XX.DEMO.T")
