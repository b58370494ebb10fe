"""Cursors come back as they were written last, or older, never newer; a group and its moves are one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.store.cursors import Cursor, CursorBook, CursorMove
from rawdaq.store.errors import StoreClosed
from rawdaq.store.format.control import CursorBody
from rawdaq.store.format.frames import HEADER_BYTES
from tests.store import logs

MARKS = st.dictionaries(st.sampled_from([b"x", b"y", b"z"]), st.sampled_from([b"", b"1", b"2"]))
MOVES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 9), MARKS | st.none()), max_size=20)


def clock() -> int:
    return 5


def apply(book: CursorBook, move: tuple[str, int, dict[bytes, bytes] | None]) -> None:
    name, position, marks = move
    if marks is None:
        book.drop(name)
    else:
        book.move(CursorMove(name, position, marks))


def test_a_cursor_comes_back_with_its_marks(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log", clock=lambda: logs.START_NS) as store:
        given = store.append(logs.entries(0, 5))
        store.move_cursor("archive", given[2], {b"a": b"1", b"b": b"2"})
        store.move_cursor("archive", given[3], {b"a": b"", b"c": b"3"})
        store.move_cursor("elsewhere", None, {b"file": b"12"})
        store.move_cursor("old", given[0])
        store.drop_cursor("old")
        store.drop_cursor("none")
    with logs.store(tmp_path / "log", identity="another boot") as store:
        assert store.cursors() == {
            "archive": Cursor(given[3], {b"b": b"2", b"c": b"3"}, logs.START_NS),
            "elsewhere": Cursor(None, {b"file": b"12"}, logs.START_NS),
        }
    with pytest.raises(StoreClosed):
        store.move_cursor("archive", 1)


@given(MOVES, st.lists(st.booleans(), min_size=20, max_size=20))
def test_what_was_written_of_a_book_makes_the_same_book(
    moves: list[tuple[str, int, dict[bytes, bytes] | None]], writes: list[bool]
) -> None:
    book, loaded = CursorBook(clock), CursorBook(clock)
    for move, is_written in zip(moves, writes, strict=False):
        apply(book, move)
        if is_written:
            write(book, loaded)
    write(book, loaded)
    assert loaded.all() == book.all()
    assert not book.has_waiting
    head = CursorBook(clock)
    for body in book.wholes():
        head.load(CursorBody.unpack(body.pack()), 5)
    assert head.all() == book.all()
    assert len(head) == len(book)


def write(book: CursorBook, loaded: CursorBook) -> None:
    group = book.group(())
    for body in group.bodies:
        loaded.load(CursorBody.unpack(body.pack()), 5)
    book.written(group)


@given(MOVES.filter(len), st.data())
def test_a_change_that_is_lost_leaves_a_cursor_as_it_was_before(
    moves: list[tuple[str, int, dict[bytes, bytes] | None]], more: st.DataObject
) -> None:
    book, loaded = CursorBook(clock), CursorBook(clock)
    states: list[Cursor | None] = []
    bodies: list[CursorBody] = []
    for _, position, marks in moves:
        apply(book, ("a", position, marks or {}))
        group = book.group(())
        bodies += group.bodies
        book.written(group)
        states.append(book.all().get("a"))
    lost = more.draw(st.integers(0, len(bodies) - 1))
    for body in bodies[:lost] + bodies[lost + 1 :]:
        loaded.load(body, 5)
    assert loaded.all().get("a") == (states[lost - 1] if lost else None)


def test_a_move_that_comes_while_another_is_written_is_not_lost() -> None:
    book, loaded = CursorBook(clock), CursorBook(clock)
    book.move(CursorMove("a", 1, {b"x": b"1"}))
    group = book.group([])
    book.move(CursorMove("a", 2, {b"y": b"2"}))
    for body in group.bodies:
        loaded.load(body, 5)
    book.written(group)
    assert loaded.all() == {"a": Cursor(1, {b"x": b"1"}, 5)}
    write(book, loaded)
    assert loaded.all() == book.all() == {"a": Cursor(2, {b"x": b"1", b"y": b"2"}, 5)}


@pytest.mark.parametrize("move", [CursorMove("", 1), CursorMove("n" * 256, 1), CursorMove("a", 1, {b"k" * 65536: b""})])
def test_a_move_that_cannot_be_written_is_refused(tmp_path: Path, no_sync: None, move: CursorMove) -> None:
    with logs.store(tmp_path / "log") as store:
        with pytest.raises(InvalidValue):
            store.move_cursor(*move)
        with pytest.raises(InvalidValue):
            store.append(logs.entries(0, 1), [move])
        assert not store.cursors()


def test_entries_and_the_moves_of_their_group_are_there_both_or_neither(tmp_path: Path, no_sync: None) -> None:
    folder = tmp_path / "log"
    store = logs.store(folder)
    store.open()
    store.append(logs.entries(0, 2), [CursorMove("journal", None, {b"at": b"before"})])
    (path,) = logs.segment_files(folder)
    begin = path.stat().st_size
    group = store.append(logs.entries(2, 3), [CursorMove("journal", None, {b"at": b"after"})])
    logs.kill(store)
    whole = path.read_bytes()
    for size in range(begin, len(whole) + 1):
        path.write_bytes(whole[:size] + bytes(3 * HEADER_BYTES))
        reports = logs.Reports()
        with logs.store(folder, reports) as again:
            is_there = again.cursors()["journal"].marks == {b"at": b"after"}
            found, lost = logs.read_all(again.reader(group.start))
            assert logs.contents(found) == (logs.entries(2, 3) if is_there else [])
            assert is_there == (whole[:size] + bytes(3 * HEADER_BYTES)).startswith(whole)
            assert not lost
            if reports.losses():
                assert sum(loss.entries for loss in reports.losses()) in (1, 2, 3)
                assert {loss.stream for loss in reports.losses()} <= set(logs.STREAMS)
                assert again.next_position > group.start
        for other in logs.segment_files(folder)[1:]:
            other.unlink()


def test_a_move_with_a_group_that_fails_is_not_made(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log") as store:
        wrong = logs.entry(1)._replace(format=-1)
        with pytest.raises(InvalidValue):
            store.append([wrong], [CursorMove("journal", 7)])
        assert not store.cursors()
        store.append([], [CursorMove("journal", 7)])
        assert store.cursors()["journal"].position == 7
