"""An index answers as a look through all entries does, and never from bytes that are not what was written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.store.format import sidecar
from rawdaq.store.format.sidecar import Entries, IndexDamaged
from rawdaq.store.segments import index
from rawdaq.store.segments.index import SidecarIndex
from rawdaq.store.values import Declared, Extent

FIRST = 1000
DECLARED = [Declared("a", b"1"), Declared("b", b""), Declared("a", b"2"), Declared("ü" * 20, b"")]
TIMES = st.integers(-20, 20)
ROWS = st.lists(st.tuples(st.integers(0, 3), TIMES, st.integers(0, 9), st.integers(1, 3)), max_size=60)
Row = tuple[int, int, int, int]


def index_of(rows: list[Row]) -> tuple[SidecarIndex, list[tuple[int, str, int, int, int]]]:
    """Return an index, and what is in it: position, stream, start, end and offset of each entry."""
    position, known = FIRST, list[tuple[int, str, int, int, int]]()
    numbers: list[int] = []
    for number, start, length, step in rows:
        known.append((position, DECLARED[number].stream, start, start + length, 7 + position))
        numbers.append(number)
        position += step
    columns = [np.array([each[i] for each in known], np.int64) for i in (0, 2, 3, 4)]
    entries = Entries(columns[0], np.array(numbers, np.uint32), *columns[1:])
    return SidecarIndex(sidecar.build(FIRST, position, 9999, DECLARED, entries)), known


@given(ROWS, TIMES)
def test_it_finds_what_a_list_finds(rows: list[Row], time_ns: int) -> None:
    found, known = index_of(rows)
    for stream in ("a", "b", "ü" * 20, "none"):
        of_stream = [each for each in known if each[1] == stream]
        assert found.find(stream, time_ns) == min((each[0] for each in of_stream if each[3] >= time_ns), default=None)
        assert found.newest(stream) == max((each[0] for each in of_stream), default=None)
        spans = found.spans(stream)
        assert list(zip(spans.starts_ns, spans.ends_ns, strict=True)) == [each[2:4] for each in of_stream]
    assert found.streams() == sorted({each[1] for each in known}, key=str.encode)
    assert found.largest_end_ns() == max((each[3] for each in known), default=-(2**63))


@given(ROWS, st.integers(0, 150))
def test_it_knows_every_entry_and_every_gap(rows: list[Row], ordinal: int) -> None:
    found, known = index_of(rows)
    position = FIRST + ordinal
    here = [each for each in known if each[0] == position]
    assert found.describe(position) == (here[0][1:4] if here else None)
    if position < found.directory.end:
        assert found.offset(position) == (here[0][4] if here else 0)
    if position < found.directory.end and not here:
        before = max((each[0] for each in known if each[0] < position), default=FIRST - 1)
        behind = min((each[0] for each in known if each[0] > position), default=None)
        assert found.gap_around(position) == (before + 1, behind)
    left = [each for each in known if each[0] >= position]
    assert found.extents(position) == {
        name: Extent(len(times), min(times)[0], max(end for _, end in times))
        for name in sorted({each[1] for each in left})
        if (times := [each[2:4] for each in left if each[1] == name])
    }


def test_a_long_column_is_searched_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_AT_ONCE_ROWS", 4)
    rows = [(0, (i * 7) % 1000 + i, 3, 1) for i in range(3000)]
    found, known = index_of(rows)
    for time_ns in range(-1, 4000, 37):
        assert found.find("a", time_ns) == min((each[0] for each in known if each[3] >= time_ns), default=None)


def test_declarations_are_kept_by_number() -> None:
    found, _ = index_of([(0, 0, 1, 1)])
    assert [found.declaration(number) for number in range(5)] == [*DECLARED, None]


@pytest.mark.parametrize("bit", range(8))
def test_no_answer_comes_from_a_damaged_index(bit: int) -> None:
    right, _ = index_of([(i % 4, i, 2, 1) for i in range(8)])
    data = right.content
    assert data is not None
    for byte in range(len(data)):
        damaged = bytearray(data)
        damaged[byte] ^= 1 << bit
        with pytest.raises(IndexDamaged):
            ask_all(SidecarIndex(bytes(damaged)))
    for size in range(len(data)):
        with pytest.raises(IndexDamaged):
            ask_all(SidecarIndex(data[:size]))


def ask_all(found: SidecarIndex) -> None:
    found.offset(FIRST)
    found.find("a", 0)
    found.spans("b")


def test_an_index_of_another_version_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar, "_VERSION", 2)
    right, _ = index_of([])
    data = right.content
    assert data is not None
    monkeypatch.undo()
    with pytest.raises(IndexDamaged, match="version 2"):
        SidecarIndex(data)
