"""Which components share a process, and how many files they open there."""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq import config
from rawdaq.config import ComponentSettings, DaemonSettings, ReceiverSettings, StationSettings
from rawdaq.control.processes import groups, jobs
from tests import outside

ARCHIVE = """\
station: {network: XX, code: A}
Raw:
  Receiver: {class: RawReceiver, channels: {1: HHZ, 2: HHN, 3: HHE}}
  Publishers:
    archive: {class: MiniSeedPublisher, path: archive}
"""


def _limit(monkeypatch: pytest.MonkeyPatch, highest: int) -> None:
    def limits(_: int) -> tuple[int, int]:
        return 1, highest

    monkeypatch.setattr(resource, "getrlimit", limits)


def test_a_process_with_too_many_archives_is_reported_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(ARCHIVE)
    group = config.load(tmp_path / "a.yaml").components * 100
    _limit(monkeypatch, 839)
    told = groups.shortage(group)
    assert told is not None
    assert told.startswith("100 components in one process may need 840 open files, and a process may have 839")
    for enough in (840, resource.RLIM_INFINITY):
        _limit(monkeypatch, enough)
        assert groups.shortage(group) is None


@pytest.mark.parametrize(
    ("archive", "decimation", "files"),
    [("", "", 8), (', streams: ["*.HHZ"]', "", 6), ("", "  Decimation: {slow: {rate_hz: 1}}\n", 11)],
)
def test_each_stream_that_an_archive_gets_is_a_file(
    tmp_path: Path, archive: str, decimation: str, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(ARCHIVE.replace("path: archive", "path: archive" + archive) + decimation)
    _limit(monkeypatch, 1)
    told = groups.shortage(config.load(tmp_path / "a.yaml").components)
    assert told is not None
    assert f"may need {40 + files} open files" in told


def test_the_least_that_a_process_needs_grows_with_its_components() -> None:
    assert 18 < groups.least_files(1) < groups.least_files(2) <= 40


@pytest.mark.parametrize(("highest", "at_once"), [(20, 1), (40, 2), (100, 9), (1024, 16), (resource.RLIM_INFINITY, 16)])
def test_no_more_components_are_asked_at_once_than_there_are_files_for(
    highest: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(monkeypatch, highest)
    assert jobs._at_once() == at_once


def test_streams_that_are_not_known_before_they_come_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        (tmp_path / "a.yaml").write_text(outside.STATION)
        _limit(monkeypatch, 46)
        told = groups.shortage(config.load(tmp_path / "a.yaml").components)
    outside.forget()
    assert told is not None
    assert "may need 47 open files" in told


def _components(cores: list[int | None]) -> list[ComponentSettings]:
    station, receiver = StationSettings(network="XX", code="A"), ReceiverSettings("RawReceiver", {})
    return [
        ComponentSettings(f"C{number}", station, receiver, (), DaemonSettings(core_id=core), Path("a.yaml"))
        for number, core in enumerate(cores)
    ]


def _sizes(cores: list[int | None], count: int) -> list[int]:
    return [len(group) for group in groups.spread(_components(cores), count)]


@pytest.mark.parametrize(
    ("cores", "count", "sizes"),
    [
        ([None] * 10, 3, [3, 3, 4]),
        ([None] * 3, 8, [1, 1, 1]),
        ([None], 1, [1]),
        ([], 4, []),
        ([0, 0, 1, 1], 1, [2, 2]),
        ([None] * 6 + [0] * 2, 3, [3, 3, 2]),
        ([None] * 6 + [0] * 2, 4, [2, 2, 2, 2]),
    ],
)
def test_components_are_spread_evenly_and_every_core_has_a_process(
    cores: list[int | None], count: int, sizes: list[int]
) -> None:
    assert _sizes(cores, count) == sizes


def test_neighbours_stay_together() -> None:
    components = _components([None] * 5)
    assert groups.spread(components, 2) == [components[:2], components[2:]]


@given(st.lists(st.sampled_from([None, 0, 1, 2]), max_size=40), st.integers(1, 50))
def test_each_component_is_in_one_group_with_others_of_its_core(cores: list[int | None], count: int) -> None:
    components = _components(cores)
    parts = groups.spread(components, count)
    assert sorted(each.name for part in parts for each in part) == sorted(each.name for each in components)
    assert all(len({each.daemon.core_id for each in part}) == 1 for part in parts)
    assert len(parts) == max(len(set(cores)), min(count, len(cores)))
    for core in set(cores):
        sizes = [len(part) for part in parts if part[0].daemon.core_id == core]
        assert max(sizes) - min(sizes) <= 1
