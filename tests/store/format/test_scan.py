"""Entries are found from the bytes alone: cut anywhere, with any bit wrong, behind what an earlier use has left."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.store.format.drafts import Draft
from rawdaq.store.format.frames import HEADER_BYTES, Kind, column
from rawdaq.store.format.scan import Scan, cut_tail, scan
from rawdaq.store.segments.segment import ENDLESS
from rawdaq.store.values import Entry

FIRST = 1 << 50
BODIES = st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=4), min_size=1, max_size=6)


def written(groups: list[list[bytes]], first: int = FIRST) -> tuple[bytes, list[int]]:
    """Return the bytes of groups, and where each ends."""
    data, ends, position = b"", list[int](), first
    for bodies in groups:
        draft = Draft(position, {("s", b""): 0}, 1)
        draft.add_control(Kind.LIMIT, b"12345678")
        draft.add_entries([Entry("s", 0, 1, body) for body in bodies])
        memory = np.empty(draft.size_bytes, np.uint8)
        draft.write(memory)
        data += memory.tobytes()
        ends.append(len(data))
        position = draft.position
    return data, ends


def bodies(data: bytes, found: Scan) -> list[bytes]:
    rows = zip(found.offsets.tolist(), column(found.rows, "length").tolist(), strict=True)
    return [data[at + HEADER_BYTES : at + HEADER_BYTES + length] for at, length in rows]


def data_bodies(groups: list[list[bytes]]) -> list[bytes]:
    return [body for group in groups for body in [b"12345678", *group]]


@settings(max_examples=50)
@given(BODIES, st.binary(max_size=100))
def test_all_is_found_and_what_stands_behind_is_not(groups: list[list[bytes]], rest: bytes) -> None:
    data, _ = written(groups)
    found = cut_tail(scan(data + rest, FIRST, ENDLESS), data + rest)
    assert bodies(data, found) == data_bodies(groups)
    assert found.end == len(data)
    assert found.next_position == FIRST + sum(map(len, groups))
    assert not found.holes
    assert found.damaged_bodies(data) == []


@settings(max_examples=50)
@given(BODIES, st.data())
def test_a_log_that_is_cut_anywhere_ends_with_its_last_whole_group(
    groups: list[list[bytes]], more: st.DataObject
) -> None:
    data, ends = written(groups)
    size = more.draw(st.integers(0, len(data)))
    torn = data[:size] + more.draw(st.sampled_from([b"", bytes(500)]))
    found = cut_tail(scan(torn, FIRST, ENDLESS), torn)
    whole = sum(end <= size for end in ends)
    if found.end > size:  # what was cut off was zeros, so nothing is missing
        assert torn[: found.end] == data[: found.end]
        whole = sum(end <= found.end for end in ends)
    assert bodies(data, found) == data_bodies(groups[:whole])
    assert found.end == ([0, *ends])[whole]


@settings(max_examples=50)
@given(BODIES, BODIES, st.integers(0, 3000))
def test_what_an_earlier_use_of_the_file_has_left_is_never_found(
    old: list[list[bytes]], new: list[list[bytes]], size: int
) -> None:
    stale, _ = written(old, FIRST - 1000)
    data, ends = written(new)
    torn = data[:size] + stale[min(size, len(data)) :]
    found = cut_tail(scan(torn, FIRST, ENDLESS), torn)
    whole = sum(end <= min(size, len(data)) for end in ends)
    assert bodies(torn, found)[: len(data_bodies(new[:whole]))] == data_bodies(new[:whole])
    assert found.end in (([0, *ends])[whole], *ends[whole:])
    assert torn[: found.end] == data[: found.end]


@settings(max_examples=50)
@given(BODIES, st.data())
def test_a_damaged_header_hides_nothing_behind_it(groups: list[list[bytes]], more: st.DataObject) -> None:
    data, _ = written(groups)
    offsets = scan(data, FIRST, ENDLESS).offsets.tolist()
    number = more.draw(st.integers(0, len(offsets) - 1))
    damaged = bytearray(data)
    damaged[offsets[number] : offsets[number] + 20] = bytes(20)
    found = scan(bytes(damaged), FIRST, ENDLESS)
    assert found.offsets.tolist() == [each for each in offsets if each != offsets[number]]
    assert len(found.holes) == (number < len(offsets) - 1)
    of_data = sum(hole.last - hole.first + 1 for hole in found.holes)
    assert FIRST + sum(map(len, groups)) - found.next_position + of_data in (0, 1)


@settings(max_examples=50)
@given(BODIES, st.integers(0, 30))
def test_nothing_is_found_from_the_position_on_at_which_the_next_segment_begins(
    groups: list[list[bytes]], count: int
) -> None:
    data, _ = written(groups)
    found = scan(data, FIRST, FIRST + count)
    assert found.next_position == FIRST + min(count, sum(map(len, groups)))


def test_many_entries_are_found_where_the_walk_pauses() -> None:
    groups = [[b"x" * (number % 5)] * 3000 for number in range(3)]
    data, _ = written(groups)
    assert bodies(data, scan(data, FIRST, ENDLESS)) == data_bodies(groups)
