"""What becomes of statuses and reports: values, rates, restarts, names, order and selection."""

from typing import Any

import pytest

from rawdaq.control.dash.values import from_report
from rawdaq.control.dash.values.board import (
    Board,
    Component,
    Order,
    Stream,
    selected,
    sorted_components,
    sorted_streams,
)
from rawdaq.control.dash.values.from_report import Reports
from rawdaq.control.dash.values.from_status import component as of_status
from rawdaq.control.dash.values.past import Past
from rawdaq.control.health.problem import Severity
from rawdaq.messages.monitor import ComponentReport
from rawdaq.times import NS_PER_S, to_iso
from tests.control.dash.made import NOW_NS, component, row, stream_row


def test_a_status_becomes_a_component() -> None:
    streams = {
        "XX.DEMO.00.HHZ": stream_row(gaps=2, silent_s=40.0),
        "XX.DEMO.00.HHN": stream_row(latency_s=1.5),
    }
    publishers = {
        "live": {"state": "running", "dropped": 3, "waiting": 1, "waiting_bytes": 10},
        "archive": {"state": "running", "dropped": 1, "waiting": 2, "waiting_bytes": 20},
    }
    said = row(
        streams=streams,
        publishers=publishers,
        topics={"~event.XX": {"messages": 5}},
        process={"cpu_s": 1.5, "memory_bytes": 64},
    )
    found = of_status(said, NOW_NS, {"XX.DEMO.00.HHN": "no live publisher"})
    assert (found.key, found.name, found.state, found.pid) == ("XX.DEMO.Raw", "DEMO/Raw", "running", 7)
    assert (found.items, found.samples, found.gaps, found.dropped) == (25, 2000, 2, 4)
    assert (found.waiting, found.waiting_bytes, found.memory_bytes) == (3, 30, 64)
    assert found.latency_s == 1.5  # of those that are not silent
    assert found.since_ns == NOW_NS - 60 * NS_PER_S
    assert found.number == Severity.NO_DATA
    assert found.reasons[0] == "XX.DEMO.00.HHZ silent for 40.0 s"
    silent, other = found.streams
    assert (silent.state, silent.number, silent.needs_a_person) == ("silent", Severity.NO_DATA, True)
    assert (other.state, other.number, other.note) == ("running", 0, "no live publisher")


@pytest.mark.parametrize(
    ("said", "state", "number"),
    [
        (row(state="failed", error="it broke", ended="2026-11-21T11:00:00Z"), "failed", Severity.DEAD),
        (row(state="hung", error="no answer"), "hung", Severity.HUNG),
        (row(state="paused"), "paused", Severity.PAUSED),
        (row(state="unknown"), "unknown", Severity.STOPPED),
        (row(state="stopped"), "stopped", Severity.WELL),
    ],
)
def test_states_are_as_bad_as_the_rule_says(said: Any, state: str, number: int) -> None:
    found = of_status(said, NOW_NS)
    assert (found.state, found.number) == (state, number)
    if state == "failed":
        assert (found.since_ns, found.reason) == (NOW_NS - 3600 * NS_PER_S, "it broke")
        assert (found.gaps, found.dropped, found.waiting) == (None, None, None)


def test_values_of_another_version_are_not_known() -> None:
    odd = row(streams={"odd": {"rate_hz": "fast", "gaps": "many"}, "other": 5}, publishers=[1], process=3)
    found = of_status(odd, NOW_NS)
    (stream,) = found.streams
    assert (stream.rate_hz, stream.gaps, found.memory_bytes) == (None, None, None)


def looks(past: Past, *components: Component, every_s: float = 1.0) -> list[Component]:
    """Return what *past* makes of a component that is seen again and again."""
    return [
        past.complete([each], NOW_NS + round(index * every_s * NS_PER_S))[0] for index, each in enumerate(components)
    ]


def test_rates_come_of_counters() -> None:
    seen = looks(Past(), *(component(items=3 * i, samples=300 * i, cpu_s=i / 100, pid=1) for i in range(12)))
    assert (seen[0].items_per_s, seen[0].has_data) == (None, None)
    assert (seen[-1].items_per_s, seen[-1].samples_per_s, seen[-1].has_data) == (3.0, 300.0, True)
    assert seen[-1].cpu_percent == pytest.approx(1.0)


def test_one_whose_counters_stand_has_no_data() -> None:
    seen = looks(Past(), *(component(items=min(i, 2), samples=0) for i in range(20)))
    assert [each.has_data for each in seen[1:]] == [True] * 11 + [False] * 8
    assert seen[-1].items_per_s == 0.0


def test_a_restart_is_seen_and_counters_begin_anew() -> None:
    before, after = component(items=100, samples=1000, pid=1), component(items=2, samples=20, pid=2)
    seen = looks(Past(), before, before, after, after)
    assert [each.restarted_ns for each in seen] == [None, None, NOW_NS + 2 * NS_PER_S, NOW_NS + 2 * NS_PER_S]
    assert (seen[2].items_per_s, seen[3].items_per_s) == (None, 0.0)
    assert seen[3].since_ns == NOW_NS + 2 * NS_PER_S


def test_counters_that_begin_anew_in_one_process_are_no_negative_rate() -> None:
    seen = looks(Past(), *(component(items=items, samples=0, pid=1) for items in (50, 60, 1, 3)))
    assert [each.items_per_s for each in seen] == [None, 10.0, None, 2.0]


def test_since_when_follows_from_a_change_and_from_what_is_said() -> None:
    past = Past()
    seen = looks(past, component(), component(state="paused"), component(state="paused"))
    assert [each.since_ns for each in seen] == [None, NOW_NS + NS_PER_S, NOW_NS + NS_PER_S]
    said = past.complete([component(state="offline", since_ns=5)], NOW_NS + 9 * NS_PER_S)[0]
    assert said.since_ns == 5


def test_the_last_error_stays_when_it_is_over() -> None:
    bad = component(number=800, reasons=("a cable is broken",))
    seen = looks(Past(), bad, component())
    assert (seen[0].last_error, seen[1].last_error) == ("", "a cable is broken")
    assert seen[1].last_error_seen_ns == NOW_NS


def test_those_that_are_gone_are_forgotten() -> None:
    past = Past()
    past.complete([component("A", pid=1), component("B", pid=1)], NOW_NS)
    past.complete([component("B", pid=1)], NOW_NS)
    (again,) = past.complete([component("A", pid=2)], NOW_NS)
    assert again.restarted_ns is None


def report(name: str = "XX.DEMO.A", pid: int = 1, state: str = "running", **more: Any) -> ComponentReport:
    return ComponentReport.from_header({"name": name, "host": "h", "pid": pid, "state": state, **more})


def test_reports_become_components() -> None:
    reports = Reports()
    said: dict[str, Any] = {
        "uptime_s": 10.0,
        "data": True,
        "packets_per_s": 2.0,
        "messages_per_s": 1.0,
        "gaps": 4,
        "dropped": 5,
    }
    reports.add(report(**said, waiting=6, latency_s=0.25, streams=3, silent=1, problems=["archive: full"]), NOW_NS)
    reports.add(ComponentReport.from_header({"name": "Plain", "data_packets_per_s": 0.0}), NOW_NS)
    full, plain = reports.components(NOW_NS)
    assert (full.name, full.host, full.items_per_s, full.gaps, full.dropped) == ("XX.DEMO.A", "h", 3.0, 4, 5)
    assert (full.waiting, full.latency_s, full.has_data) == (6, 0.25, True)
    assert full.since_ns == NOW_NS - 10 * NS_PER_S
    assert full.reasons == ("1 of 3 streams is silent", "archive: full")
    assert (plain.name, plain.has_data, plain.gaps, plain.number) == ("Plain", False, None, 0)


@pytest.mark.parametrize(
    ("said", "number", "text"),
    [
        ({"state": "offline", "since_ns": NOW_NS}, Severity.STOPPED, f"it was heard last at {to_iso(NOW_NS, 0)}"),
        ({"state": "paused"}, Severity.PAUSED, "paused by command"),
        ({"state": "stopping"}, Severity.STOPPED, "it is stopping"),
        ({"streams": 5, "silent": 2}, Severity.NO_DATA, "2 of 5 streams are silent"),
        ({"problems": ["live: held"]}, Severity.UNSAFE, "live: held"),
    ],
)
def test_reports_are_judged(said: dict[str, Any], number: int, text: str) -> None:
    reports = Reports()
    reports.add(report(**said), NOW_NS)
    (found,) = reports.components(NOW_NS)
    assert (found.number, text in found.reason) == (number, True)


def test_offline_is_said_with_since_when() -> None:
    reports = Reports()
    reports.add(report(state="offline", since_ns=NOW_NS - NS_PER_S), NOW_NS)
    (found,) = reports.components(NOW_NS + 3600 * NS_PER_S)  # a monitor says it once
    assert (found.state, found.since_ns) == ("offline", NOW_NS - NS_PER_S)


def test_without_reports_and_without_a_monitor_it_is_unknown() -> None:
    reports = Reports()
    reports.add(report(uptime_s=1.0), NOW_NS)
    (found,) = reports.components(NOW_NS + 7 * NS_PER_S)
    assert (found.state, found.since_ns, found.number) == ("unknown", NOW_NS, Severity.HUNG)
    assert found.reason.startswith("no report for 7.0 s")
    reports.add(report(uptime_s=8.0), NOW_NS + 8 * NS_PER_S)
    assert reports.components(NOW_NS + 8 * NS_PER_S)[0].state == "running"


def test_a_restarted_one_is_one_line_that_says_so() -> None:
    reports, past = Reports(), Past()
    reports.add(report(pid=1, uptime_s=100.0), NOW_NS)
    past.complete(reports.components(NOW_NS), NOW_NS)
    later_ns = NOW_NS + 2 * NS_PER_S
    reports.add(report(pid=2, uptime_s=1.0), later_ns)
    (found,) = past.complete(reports.components(later_ns), later_ns)
    assert (found.pid, found.restarted_ns, found.name) == (2, later_ns, "XX.DEMO.A")
    reports.add(report(pid=1, state="offline", since_ns=NOW_NS), later_ns)  # that comes after it
    (found,) = reports.components(later_ns)
    assert (found.pid, found.state) == (2, "running")


def test_two_processes_of_one_name_are_two_lines() -> None:
    reports = Reports()
    for pid in (1, 2):
        reports.add(report(pid=pid, uptime_s=100.0), NOW_NS)
    assert [each.name for each in reports.components(NOW_NS)] == ["XX.DEMO.A[1]", "XX.DEMO.A[2]"]


def test_a_renamed_one_is_there_by_its_new_name_and_offline_by_its_old() -> None:
    reports = Reports()
    reports.add(report("XX.DEMO.Old", pid=1, uptime_s=5.0), NOW_NS)
    reports.add(report("XX.DEMO.New", pid=2, uptime_s=0.5), NOW_NS)
    reports.add(report("XX.DEMO.Old", pid=1, state="offline", since_ns=NOW_NS), NOW_NS)
    states = {each.name: each.state for each in reports.components(NOW_NS)}
    assert states == {"XX.DEMO.Old": "offline", "XX.DEMO.New": "running"}


def test_no_more_components_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_report, "MAX_COMPONENTS", 2)
    reports = Reports()
    for name in ("A", "B", "C"):
        reports.add(report(name), NOW_NS)
    assert ([each.name for each in reports.components(NOW_NS)], reports.refused) == (["A", "B"], 1)
    reports.add(report("A", state="offline"), NOW_NS)
    reports.add(report("C"), NOW_NS)
    assert [each.name for each in reports.components(NOW_NS)] == ["B", "C"]


COMPONENTS = [
    component("A", items_per_s=1.0, gaps=5, dropped=0, waiting=2, latency_s=None),
    component("B", items_per_s=3.0, gaps=1, dropped=7, waiting=1, latency_s=0.1, number=800, reasons=("no cable",)),
    component("C", items_per_s=None, gaps=9, dropped=1, waiting=3, latency_s=2.0),
]


@pytest.mark.parametrize(
    ("order", "names", "names_reversed"),
    [
        (Order.WORST, "BAC", "ACB"),
        (Order.NAME, "ABC", "CBA"),
        (Order.RATE, "BAC", "ABC"),  # what is not known is last both ways
        (Order.LATENCY, "CBA", "BCA"),
        (Order.GAPS, "CAB", "BAC"),
        (Order.DROPS, "BCA", "ACB"),
        (Order.QUEUE, "CAB", "BAC"),
    ],
)
def test_order(order: Order, names: str, names_reversed: str) -> None:
    for is_reversed, expected in ((False, names), (True, names_reversed)):
        found = sorted_components(COMPONENTS, order, is_reversed=is_reversed)
        assert "".join(each.name[-1] for each in found) == expected


def test_order_of_streams() -> None:
    streams = [Stream("a", gaps=1), Stream("b", gaps=2), Stream("c", number=500)]
    assert [each.name for each in sorted_streams(streams, Order.GAPS)] == ["b", "a", "c"]
    assert [each.name for each in sorted_streams(streams, Order.WORST)] == ["c", "a", "b"]
    assert [each.name for each in sorted_streams(streams, Order.DROPS)] == ["a", "b", "c"]


def test_all_orders_come_round() -> None:
    order, seen = Order.WORST, []
    for _ in Order:
        seen.append(order)
        order = order.next
    assert (seen, order) == (list(Order), Order.WORST)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", "ABC"),
        ("demo/b", "B"),
        ("CABLE", "B"),
        ("running", "ABC"),
        ("running /c", "C"),
        ("demo/?", "ABC"),
        ("b*", ""),
    ],
)
def test_selection(words: str, names: str) -> None:
    assert "".join(each.name[-1] for each in selected(COMPONENTS, words)) == names


def test_a_board_knows_all_streams() -> None:
    board = Board(NOW_NS, (component(streams=(Stream("a"),)),), (Stream("b"),))
    assert [each.name for each in board.all_streams] == ["a", "b"]
    assert board.component("XX.DEMO.A") is board.components[0]
    assert board.component("XX.DEMO.B") is None
