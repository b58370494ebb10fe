"""Headers: what they hold, what damage does to them, and groups that are cut anywhere."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.store.format import frames
from rawdaq.store.format.control import Boot, CursorBody, pack_declaration, unpack_declaration
from rawdaq.store.format.drafts import Draft
from rawdaq.store.values import MAX_BODY_BYTES, Declared, Entry

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.text("a.Zü☃", max_size=60)
UINT32 = st.integers(0, 2**32 - 1)


def test_a_header_has_44_bytes_for_struct_and_for_numpy() -> None:
    assert frames.HEADER_BYTES == frames.ROW.itemsize == frames.FIELDS.size + frames.CHECK.size == 44


@given(UINT32.filter(lambda kind: kind < 2**16), st.binary(max_size=50), st.integers(0, 2**63), INT64, INT64, UINT32)
def test_what_is_packed_is_what_is_parsed(
    kind: int, body: bytes, position: int, start_ns: int, end_ns: int, stream: int
) -> None:
    header = frames.pack_header(kind, body, position, start_ns, end_ns, stream)
    found = frames.parse_header(b"before" + header + body, 6)
    assert found == (kind, len(body), position, start_ns, end_ns, stream, crc32(body))
    row = frames.as_rows(header)[0]
    assert [int(row[name]) for name in ("kind", "length", "position", "start_ns", "end_ns", "stream")] == [
        *(kind, len(body), position, start_ns, end_ns, stream)
    ]


@pytest.mark.parametrize("size", range(frames.HEADER_BYTES))
def test_a_part_of_a_header_is_none(size: int) -> None:
    header = frames.pack_header(0, b"body", 7)
    assert frames.parse_header(header[:size]) is None
    assert frames.repaired(header[:size], 0, 7) is None


@given(st.integers(0, 44 * 8 - 1), st.integers(0, 44 * 8 - 1))
def test_one_wrong_bit_is_turned_back_and_two_are_not(one: int, other: int) -> None:
    header = bytearray(frames.pack_header(3, b"body", 1 << 51, -5, 9, 4))
    right = bytes(header)
    header[one >> 3] ^= 1 << (one & 7)
    assert frames.parse_header(bytes(header)) is None
    assert frames.repaired(bytes(header), 0, 1 << 51) == right
    assert frames.repaired(bytes(header), 0, 8) is None
    if one != other:
        header[other >> 3] ^= 1 << (other & 7)
        assert frames.repaired(bytes(header), 0, 1 << 51) is None


def test_zeros_are_no_header() -> None:
    assert frames.parse_header(bytes(44)) is None
    assert frames.repaired(bytes(44), 0, 0) is None


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Entry("s", 2, 1, b""), "ends at 1 before it starts at 2"),
        (Entry("s", 0, 1, bytes(MAX_BODY_BYTES + 1)), "body of 67108865 bytes"),
        (Entry("s", 0, 1, b"", 256), "format 256"),
        (Entry("s", 0, 2**63, b""), "does not fit"),
        (Entry("", 0, 1, b""), "empty or too long"),
        (Entry("s" * 256, 0, 1, b""), "empty or too long"),
        (Entry("s", 0, 1, b"", 0, bytes(4097)), "empty or too long"),
    ],
)
def test_an_entry_that_cannot_be_stored_is_refused_with_the_reason(wrong: Entry, text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        Draft(1, {}, 0).add_entries([wrong])


def test_a_group_marks_its_last_entry_alone() -> None:
    draft = Draft(5, {}, 0)
    draft.add_entries([Entry("a", 0, 1, b"x"), Entry("b", 0, 1, b"yy")])
    memory = np.empty(draft.size_bytes, np.uint8)
    headers = draft.write(memory)
    marks = frames.column(frames.as_rows(headers), "kind") & frames.LAST_OF_GROUP
    assert marks.tolist() == [0, 0, 0, 0, 0, frames.LAST_OF_GROUP]  # each stream is declared twice
    assert draft.position == 7
    assert draft.size_bytes == len(headers) + 3 + 4 * len(pack_declaration(Declared("a", b"")))
    assert memory.tobytes().endswith(headers[-frames.HEADER_BYTES :] + b"yy")
    assert Draft(5, {}, 0).write(memory[:0]) == b""


def test_rows_of_an_array_are_written_one_after_the_other() -> None:
    table = np.arange(60, dtype=np.uint8).reshape(5, 12)
    as_bytes, as_rows = Draft(5, {}, 0), Draft(5, {}, 0)
    as_bytes.add_entries([Entry("a", 0, 1, table[1:, 3:9].tobytes(), head=b"h")])
    as_rows.add_entries([Entry("a", 0, 1, table[1:, 3:9], head=b"h")])
    memories = [np.empty(each.size_bytes, np.uint8) for each in (as_bytes, as_rows)]
    assert as_bytes.write(memories[0]) == as_rows.write(memories[1])
    assert memories[0].tobytes() == memories[1].tobytes()


@given(NAMES, st.binary(max_size=60))
def test_a_declaration_comes_back(stream: str, facts: bytes) -> None:
    assert unpack_declaration(pack_declaration(Declared(stream, facts))) == (stream, facts)


@given(
    NAMES,
    UINT32,
    st.none() | st.integers(0, 2**63),
    st.dictionaries(st.binary(max_size=9), st.binary(max_size=30), max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_a_cursor_comes_back(
    name: str, sequence: int, position: int | None, marks: dict[bytes, bytes], is_whole: bool, is_dropped: bool
) -> None:
    body = CursorBody(name, sequence, position, marks, is_whole, is_dropped)
    assert CursorBody.unpack(body.pack()) == body


def test_a_boot_comes_back() -> None:
    assert Boot.unpack(Boot("some boot", 1 << 50, 3).pack()) == Boot("some boot", 1 << 50, 3, version=1)
