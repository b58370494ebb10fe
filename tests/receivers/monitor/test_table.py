"""Who was heard, who is offline, and that there is an end to how many are remembered; with made-up time."""

from typing import Any

from rawdaq.messages.monitor import ComponentReport
from rawdaq.receivers.monitor.table import MonitorTable


def report(name: str, pid: int = 1, host: str = "h", **more: Any) -> ComponentReport:
    return ComponentReport(name, host, pid, **more)


def names(table: MonitorTable) -> list[tuple[str, str]]:
    return [(each.report.name, each.report.state) for each in table.all()]


def test_the_newest_of_each_name_machine_and_process_is_kept() -> None:
    table = MonitorTable(1.5, 10)
    for each in (report("A"), report("A", 2), report("A", 1, "other"), report("A", gaps=5)):
        assert table.add(each, 0.0, 0)
    assert [(each.report.host, each.report.pid, each.report.gaps) for each in table.all()] == [
        ("h", 1, 5),
        ("h", 2, 0),
        ("other", 1, 0),
    ]


def test_one_that_is_silent_is_offline_once_and_online_when_it_is_heard_again() -> None:
    table = MonitorTable(1.5, 10)
    table.add(report("A"), 0.0, 10)
    table.add(report("B"), 1.0, 11)
    assert list(table.gone(1.49)) == []
    (gone,) = table.gone(1.5)
    assert (gone.report.name, gone.report.state, gone.report.since_ns, gone.at_s) == ("A", "offline", 10, 0.0)
    assert list(table.gone(2.0)) == []
    assert (names(table), table.online) == ([("A", "offline"), ("B", "running")], 1)
    table.add(report("A"), 2.1, 12)
    assert [each.report.name for each in table.gone(2.5)] == ["B"]
    assert names(table) == [("A", "running"), ("B", "offline")]


def test_one_that_keeps_talking_never_is() -> None:
    table = MonitorTable(1.5, 10)
    for second in range(100):
        table.add(report("A"), float(second), second)
        assert list(table.gone(second + 1.4)) == []


def test_the_number_of_components_is_bounded_and_the_longest_offline_makes_room() -> None:
    table = MonitorTable(1.5, 3)
    for index, name in enumerate("ABC"):
        table.add(report(name), float(index), index)
    assert not table.add(report("D"), 2.0, 2)
    assert len(table) == 3
    assert [each.report.name for each in table.gone(3.0)] == ["A", "B"]
    assert table.add(report("D"), 3.0, 3)
    assert (names(table), table.forgotten) == ([("B", "offline"), ("C", "running"), ("D", "running")], 1)
    assert table.add(report("B"), 3.0, 3)
    assert len(table) == 3
