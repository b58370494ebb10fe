"""Metrics of components: every name has a value of a real component, and the text is what Prometheus reads."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from rawdaq.control.health.problem import Row
from rawdaq.control.metrics.catalogue import METRICS
from rawdaq.control.metrics.exposition import Exposition, exposition
from tests.control.real_rows import KEY, judged, real_row

NOW_NS = 1_795_219_200_000_000_000
#: What a component without any of it does not have.
_ELSEWHERE = {"rawdaq_disk_left_seconds"}


def samples(shown: Exposition) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """Return labels and value of each sample, by name."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in parse(shown.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def test_every_metric_has_a_value_of_a_real_component(tmp_path: Path) -> None:
    row = await real_row(tmp_path)
    shown = samples(exposition([row], time.time_ns(), more={"ask_s": 0.25, "mistakes": 2, "wrong_tokens": 3}))
    assert {metric.full_name for metric in METRICS} - shown.keys() == _ELSEWHERE
    by_name = {metric.full_name: metric for metric in METRICS}
    for name, found in shown.items():
        assert {frozenset(labels) for labels, _ in found} == {frozenset(by_name[name].labels)}
    stream = {"component": KEY, "stream": "XX.DEMO.00.HHZ"}
    assert shown["rawdaq_stream_packets_total"] == [(stream, 4.0)]
    assert shown["rawdaq_stream_gaps_total"] == shown["rawdaq_stream_overlaps_total"] == [(stream, 1.0)]
    assert shown["rawdaq_stream_clock_quality_ratio"] == [(stream, 0.4)]
    assert ({"component": KEY, "publisher": "live"}, 0.0) in shown["rawdaq_publisher_clients"]
    assert ({"component": KEY, "address": "127.0.0.1:1"}, 0.0) in shown["rawdaq_endpoint_connected"]
    assert {labels["part"] for labels, _ in shown["rawdaq_disk_free_bytes"]} == {"archive", "journal", "ring"}
    assert shown["rawdaq_process_resident_memory_bytes"][0][1] > 1e6
    assert shown["rawdaq_component_problem_number"] == [({"component": KEY}, 800.0)]
    kinds = {labels["kind"]: value for labels, value in shown["rawdaq_component_problems"]}
    assert kinds.items() >= {"no_data": 1.0, "gaps": 1.0, "overlaps": 1.0}.items()
    assert shown["rawdaq_wrong_tokens_total"] == [({}, 3.0)]
    assert (shown["rawdaq_ask_seconds"], shown["rawdaq_configuration_mistakes"]) == ([({}, 0.25)], [({}, 2.0)])


def test_names_follow_the_manner_of_prometheus() -> None:
    names = [metric.full_name for metric in METRICS]
    assert len(names) == len(set(names))
    units = ("_seconds", "_bytes", "_hertz", "_ratio")
    for metric in METRICS:
        stem = metric.full_name.removesuffix("_total")
        assert not any(f"{unit}_" in stem for unit in units), "the unit stands last"
        assert not stem.endswith(("_s", "_ms", "_mb", "_percent", "_hz"))
        assert metric.text.endswith(".")


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    shown = exposition(
        [judged({"component": KEY, "state": "stopped"})], NOW_NS, accept="application/openmetrics-text; version=1.0.0"
    )
    assert shown.content_type.startswith("application/openmetrics-text")
    lines = shown.body.decode().splitlines()
    assert lines[-1] == "# EOF"
    assert "# TYPE rawdaq_component_up gauge" in lines


@pytest.mark.parametrize(
    ("state", "is_up", "number"), [("running", 1, 0), ("paused", 1, 750), ("stopped", 0, 0), ("dead", 0, 1000)]
)
def test_a_component_that_does_not_run_has_a_state(state: str, is_up: int, number: int) -> None:
    row: Row = {"component": KEY, "state": state, "publishers": ["live"], "receiver": "RawReceiver"}
    shown = samples(exposition([judged(row | ({"error": "killed"} if state == "dead" else {}))], NOW_NS))
    assert shown["rawdaq_component_up"] == [({"component": KEY}, is_up)]
    assert [labels["state"] for labels, value in shown["rawdaq_component_state"] if value] == [state]
    assert shown["rawdaq_component_problem_number"] == [({"component": KEY}, number)]


def test_no_more_streams_than_allowed_have_metrics_and_the_others_are_counted() -> None:
    streams: dict[str, Any] = {f"XX.A..H{number:02}": {"packets": 1} for number in range(7)}
    shown = samples(exposition([{"component": KEY, "state": "running", "streams": streams}], NOW_NS, max_streams=5))
    assert len(shown["rawdaq_stream_packets_total"]) == 5
    assert shown["rawdaq_streams_omitted"] == [({}, 2.0)]


def test_a_stream_without_a_packet_has_no_latency_and_is_silent() -> None:
    streams: dict[str, Any] = {"XX.A..HHZ": {"packets": 0, "latency_s": 0.0, "rate_hz": 0.0, "silent_s": 12.0}}
    shown = samples(exposition([{"component": KEY, "state": "running", "streams": streams}], NOW_NS))
    assert "rawdaq_stream_latency_seconds" not in shown
    assert [value for _, value in shown["rawdaq_stream_silent"]] == [1.0]


def test_components_that_share_a_process_use_it_once() -> None:
    used: Row = {"cpu_s": 5.0, "memory_bytes": 1e6, "threads": 2, "open_files": -1}
    rows: list[Row] = [
        {"component": f"XX.{name}.Raw", "state": "running", "group": "group.1", "pid": 7, "process": used}
        for name in "AB"
    ]
    shown = samples(exposition(rows, NOW_NS))
    assert shown["rawdaq_process_cpu_seconds_total"] == [({"process": "group.1"}, 5.0)]
    assert "rawdaq_process_open_files" not in shown  # this system does not say


def test_labels_with_odd_letters_are_read_back() -> None:
    row: Row = {"component": 'a"b\\c\nd', "state": "running"}
    shown = samples(exposition([row], NOW_NS))
    assert shown["rawdaq_component_up"] == [({"component": 'a"b\\c\nd'}, 1.0)]


def test_two_endpoints_of_one_address_are_one_series() -> None:
    endpoints: list[Row] = [{"address": "a:1", "connected": True}, {"address": "a:1", "connected": False}]
    receiver: Row = {"endpoints": endpoints}
    row: Row = {"component": KEY, "state": "running", "receiver": receiver}
    assert len(samples(exposition([row], NOW_NS))["rawdaq_endpoint_connected"]) == 1


def test_the_age_of_a_problem_is_that_of_the_worst() -> None:
    old: dict[str, Any] = {"number": 800, "since": "2026-11-20T23:59:00.000000Z", "problems": []}
    shown = samples(exposition([{"component": KEY, "state": "running", "health": old}], NOW_NS))
    assert shown["rawdaq_component_problem_age_seconds"] == [({"component": KEY}, 60.0)]
    old["since"] = "some time ago"
    assert "rawdaq_component_problem_age_seconds" not in samples(
        exposition([{"component": KEY, "state": "running", "health": old}], NOW_NS)
    )
