from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.config.settings import ComponentSettings, DaemonSettings, ReceiverSettings, StationSettings
from rawdaq.control.processes.spread import spread


def _components(cores: list[int | None]) -> list[ComponentSettings]:
    station, receiver = StationSettings(network="XX", code="A"), ReceiverSettings("RawReceiver", {})
    return [
        ComponentSettings(f"C{number}", station, receiver, (), DaemonSettings(core_id=core), Path("a.yaml"))
        for number, core in enumerate(cores)
    ]


def _sizes(cores: list[int | None], count: int) -> list[int]:
    return [len(group) for group in spread(_components(cores), count)]


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
    assert spread(components, 2) == [components[:2], components[2:]]


@given(st.lists(st.sampled_from([None, 0, 1, 2]), max_size=40), st.integers(1, 50))
def test_everybody_is_in_one_group_with_others_of_his_core(cores: list[int | None], count: int) -> None:
    components = _components(cores)
    groups = spread(components, count)
    assert sorted(each.name for group in groups for each in group) == sorted(each.name for each in components)
    assert all(len({each.daemon.core_id for each in group}) == 1 for group in groups)
    assert len(groups) == max(len(set(cores)), min(count, len(cores)))
    for core in set(cores):
        sizes = [len(group) for group in groups if group[0].daemon.core_id == core]
        assert max(sizes) - min(sizes) <= 1
