"""Positions that are left out on request: none of them is given later, and readers and finders pass over them."""

import random
from pathlib import Path

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.store.retention import Retention
from tests.store import logs


def test_the_next_entry_gets_the_position_that_was_asked_for_in_this_run_and_the_next(tmp_path: Path) -> None:
    given: list[int] = []
    chance = random.Random(3)
    for _ in range(4):
        with logs.store(tmp_path / "log") as store:
            for _ in range(20):
                store.skip_to(store.next_position + chance.choice((0, 1, 5, 10_000)))
                given += store.append(logs.entries(len(given), chance.randrange(1, 4)))
            found, lost = logs.read_all(store.reader())
            assert not lost
            assert logs.positions(found) == given == sorted(set(given))
            assert logs.contents(found) == logs.entries(0, len(given))
            assert store.describe(given[-1] + 1) is None
            described = store.describe(given[-1])
            assert described is not None
            assert described[0] == logs.entry(len(given) - 1).stream


def test_a_position_that_was_given_cannot_be_asked_for(tmp_path: Path) -> None:
    with logs.store(tmp_path / "log") as store:
        (position,) = store.append(logs.entries(0, 1))
        for wrong in (position, position - 1, 1 << 63):
            with pytest.raises(InvalidValue, match="cannot follow"):
                store.skip_to(wrong)
        assert store.append(logs.entries(1, 1)).start == position + 1


def test_a_far_position_costs_nothing_that_is_held(tmp_path: Path) -> None:
    retention = Retention(max_bytes=20 * logs.SEGMENT_BYTES)
    with logs.store(tmp_path / "log", retention=retention) as store:
        store.append(logs.entries(0, 100))
        store.sync()
        store.maintain()
        oldest = store.oldest_position
        store.skip_to(store.next_position + (1 << 40))
        store.append(logs.entries(100, 1))
        assert store.oldest_position == oldest


def test_positions_of_a_group_are_its_own_when_one_in_front_of_it_is_burnt(tmp_path: Path) -> None:
    with logs.store(tmp_path / "log", segment_bytes=1 << 10) as store:
        for number in range(0, 60, 20):  # each larger than a segment
            positions = store.append(logs.entries(number, 20))
            assert len(positions) == 20
        found, _ = logs.read_all(store.reader())
        assert logs.contents(found) == logs.entries(0, 60)


def test_a_segment_is_found_by_time_without_its_streams(tmp_path: Path) -> None:
    with logs.store(tmp_path / "log") as store:
        assert store.find_any(0) is None
        given = [store.append([logs.entry(number)]).start for number in range(300)]
        for number in (0, 100, 299):
            position = store.find_any(logs.entry(number).end_ns)
            assert position is not None
            assert given[0] <= position <= given[number]
            assert given[number] - position < 100
        beyond = store.find_any(logs.entry(299).end_ns + 1)
        assert beyond is not None
        assert given[-1] - beyond < 100


@pytest.mark.parametrize("is_reopened", [False, True])
def test_segments_without_a_stream_are_passed_over(tmp_path: Path, is_reopened: bool) -> None:
    alone = [logs.entry(number)._replace(stream="alone") for number in range(2)]
    with logs.store(tmp_path / "log") as store:
        (first,) = store.append(alone[:1])
        for number in range(100):
            store.append([logs.entry(number)])
        (second,) = store.append(alone[1:])
        if is_reopened:
            store.sync()
            store.maintain()
        begin, end = store.segment_with({"alone"}, first)
        assert begin == first
        assert end < second
        begin, behind = store.segment_with({"alone"}, end)
        assert end < begin <= second < behind
        assert store.segment_with({"nobody"}, first)[1] == 1 << 63
        assert store.segment_with({logs.STREAMS[0]}, end)[0] == end
