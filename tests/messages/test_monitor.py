"""A report of a component is read whoever sends it; what is wrong in it is told by name."""

from typing import Any

import pytest

from rawdaq.messages.frames import decode, encode
from rawdaq.messages.message import Message
from rawdaq.messages.monitor import OFFLINE, TOPIC, ComponentReport
from rawdaq.protocols.message_errors import MessageMalformed

FULL: dict[str, Any] = {
    "name": "XX.DEMO.T",
    "host": "h",
    "pid": 5,
    "time_ns": 7,
    "state": "paused",
    "data": True,
    "packets_per_s": 1.5,
    "samples_per_s": 100,
    "messages_per_s": 0.0,
    "streams": 3,
    "silent": 1,
    "gaps": 2,
    "overlaps": 4,
    "dropped": 6,
    "refused": 8,
    "waiting": 9,
    "waiting_bytes": 10,
    "latency_s": 0.25,
    "uptime_s": 11.0,
    "cpu_percent": 12.0,
    "memory_bytes": 13,
    "problems": ["archive: full"],
    "new": 1,
}


def test_all_that_a_component_says_is_there() -> None:
    report = ComponentReport.from_message(decode(encode(Message(TOPIC, FULL).published(0, "T", 5))))
    said = {name: getattr(report, name) for name in FULL if name not in ("data", "new", "problems")}
    assert said == {key: value for key, value in FULL.items() if key not in ("data", "new", "problems")}
    assert (report.has_data, report.problems, report.values["new"]) == (True, ("archive: full",), 1)
    assert (report.key, report.is_online, report.since_ns) == (("h", "XX.DEMO.T", 5), True, None)


def test_what_a_mon_sender_says_is_enough() -> None:
    said = {"name": "Trig", "time_ns": 5, "data_packets": 9, "data_packets_per_s": 12.5}
    report = ComponentReport.from_header(said)
    assert (report.key, report.packets_per_s, report.has_data, report.state) == (("", "Trig", 0), 12.5, True, "running")
    assert not ComponentReport.from_header({"name": "Trig", "data_packets_per_s": 0.0}).has_data
    assert ComponentReport.from_header({"name": "Trig"}, 5).time_ns == 5


def test_one_that_is_offline_says_since_when() -> None:
    report = ComponentReport.from_header({"name": "Trig", "state": OFFLINE, "since_ns": 3})
    assert (report.is_online, report.since_ns) == (False, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("name", 5),
        ("name", "x" * 201),
        ("host", None),
        ("state", ["running"]),
        ("pid", -1),
        ("pid", 1.5),
        ("pid", True),
        ("time_ns", 1 << 63),
        ("packets_per_s", "fast"),
        ("packets_per_s", True),
        ("latency_s", float("nan")),
        ("problems", "text"),
        ("gaps", [1]),
    ],
)
def test_a_wrong_value_is_told_by_name(key: str, value: object) -> None:
    with pytest.raises(MessageMalformed, match=f"'{key}' is"):
        ComponentReport.from_header({"name": "T", key: value})


def test_a_report_without_a_name_is_none() -> None:
    with pytest.raises(MessageMalformed, match="'name' is missing"):
        ComponentReport.from_header({})
