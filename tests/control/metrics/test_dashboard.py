"""The dashboard of Grafana asks for metrics, and labels of them, that there are."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rawdaq.control.metrics.catalogue import METRICS
from tests.helpers import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana" / "rawdaq.json").read_text())
LABELS = {metric.full_name: set(metric.labels) for metric in METRICS}
COUNTERS = {metric.full_name for metric in METRICS if metric.is_counter}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
_NAME = re.compile(r"\brawdaq_\w+")


def _queries() -> Iterator[str]:
    yield from (target["expr"] for _, target in TARGETS)
    yield from (each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query")


def test_queries_name_metrics_that_there_are_with_labels_that_they_have() -> None:
    for query in _queries():
        _check(query)


def _check(query: str) -> None:
    names = _NAME.findall(query)
    assert names
    assert set(names) <= LABELS.keys()
    for name, matchers in re.findall(r"\b(rawdaq_\w+)\{([^}]*)\}", query):
        assert {each.split("=")[0].strip() for each in matchers.split(",")} <= LABELS[name]
    for labels in re.findall(r"\b(?:by|without) \(([^)]*)\)", query):
        assert {each.strip() for each in labels.split(",")} <= LABELS[names[0]]
    for name, label in re.findall(r"label_values\((rawdaq_\w+)[^,]*?, (\w+)\)", query):
        assert label in LABELS[name]


def test_legends_show_labels_that_are_left_and_counters_are_shown_as_rates() -> None:
    for title, target in TARGETS:
        _check_legend(title, target)


def _check_legend(title: str, target: dict[str, Any]) -> None:
    query = target["expr"]
    name = _NAME.findall(query)[0]
    left = {each for group in re.findall(r"\bby \(([^)]*)\)", query) for each in group.split(", ")} or LABELS[name]
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= left
    for counter in COUNTERS & set(_NAME.findall(query)):
        assert re.search(rf"\b(rate|increase)\({counter}\b", query), title


def test_panels_do_not_overlap_and_each_has_a_number_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_stream_and_every_way_to_lose_data_is_on_it() -> None:
    shown = {name for query in _queries() for name in _NAME.findall(query)}
    assert shown >= {
        "rawdaq_component_problem_number",
        "rawdaq_stream_latency_seconds",
        "rawdaq_stream_gaps_total",
        "rawdaq_publisher_dropped_total",
        "rawdaq_disk_left_seconds",
        "rawdaq_endpoint_kernel_drops_total",
    }
