"""What a reader knows of its place, and what of it survives."""

import json
from pathlib import Path

import pytest

from rawdaq.datalink import DataPacket
from rawdaq.receivers.datalink.state import Mark, ReaderState, RecentPackets, load, save


def packet(number: int, data: bytes = b"x") -> DataPacket:
    return DataPacket("a/MSEED", number, number * 10**9, number * 1000, number * 1000 + 999_000, data)


def test_marks_grow_rarer_the_older_they_are() -> None:
    state = ReaderState()
    state.set_mark()
    assert state.marks == []
    for number in range(1, 10_001):
        state.note(packet(number))
        if number % 3 == 0 or number == 10_000:
            state.set_mark()
            state.set_mark()
    ways = [10_000 - mark.packet_id for mark in state.marks]
    assert ways[0] == 0
    assert ways == sorted(set(ways))
    assert len(ways) <= 20
    assert ways[-1] > 4000
    assert state.ends == {"a/MSEED": 10_000 * 1000 + 999_000}


def test_it_is_the_same_after_the_disk(tmp_path: Path) -> None:
    state = ReaderState()
    state.note(packet(7))
    state.note(packet(6))
    state.set_mark()
    path = tmp_path / "below" / "state"
    save(path, state.as_json())
    again = load(path)
    assert again is not None
    assert (again.marks, again.ends) == ([Mark.of(packet(6))], {"a/MSEED": 7 * 1000 + 999_000})
    assert [each.name for each in path.parent.iterdir()] == ["state"]
    assert load(tmp_path / "nothing") is None
    assert json.loads(path.read_text())["version"] == 1


def test_a_mark_is_a_packet_with_its_content() -> None:
    assert Mark.of(packet(1)) == Mark.of(packet(1))
    assert Mark.of(packet(1)) != Mark.of(packet(1, b"y"))


def test_what_is_no_state_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text('{"marks": [[1, 2]], "ends": {}}')
    with pytest.raises(ValueError, match="not enough values"):
        load(path)


def test_only_the_last_packets_are_remembered() -> None:
    recent = RecentPackets(limit=2)
    assert [recent.add(packet(number)) for number in (1, 2, 1, 3, 1)] == [True, True, False, True, True]
