"""Cursors: how far each reader of a log has come, kept in the log itself."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.store.format.control import CursorBody

_MAX_NAME_BYTES = 255
_MAX_KEY_BYTES = 0xFFFF
_MAX_MARKS_BYTES = 1 << 20  # each segment begins with all of them


class Cursor(NamedTuple):
    """How far a reader has come.

    Args:
        position: of the first entry that it still needs: retention keeps it and what follows. None for one that is
            about another log or another source; it keeps nothing.
        marks: whatever else the reader must find again, by key.
        updated_ns: when it was moved last.
    """

    position: int | None
    marks: Mapping[bytes, bytes]
    updated_ns: int


class CursorMove(NamedTuple):
    """How a cursor changes.

    Args:
        name: of the cursor; one that is not there yet is made.
        position: where it is now.
        marks: what changes of its marks; an empty value removes a key.
    """

    name: str
    position: int | None
    marks: Mapping[bytes, bytes] = {}


class _Change(NamedTuple):
    """What of a cursor is not in the log yet."""

    position: int | None
    marks: Mapping[bytes, bytes]
    is_new: bool = False
    is_dropped: bool = False


class CursorGroup(NamedTuple):
    """What is written about cursors with one group.

    Args:
        bodies: of the entries.
        moves: those that are made when it is written.
        waited: what had waited for it.
    """

    bodies: list[CursorBody]
    moves: Sequence[CursorMove]
    waited: Mapping[str, object]


NO_CURSORS = CursorGroup([], (), {})


class CursorBook:
    """All cursors of a log, and the changes that are not in it yet.

    A move is written with the next group of entries, or with the next sync when none comes. Any thread may move a
    cursor, but only one at a time each; none waits for a disk.

    Args:
        clock: the time in nanoseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cursors: dict[str, Cursor] = {}
        self._sequences: dict[str, int] = {}  # of what is in the log
        self._waiting: dict[str, _Change] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._cursors)

    @property
    def has_waiting(self) -> bool:
        """Whether there are changes that are not in the log yet."""
        return bool(self._waiting)

    def all(self) -> dict[str, Cursor]:
        """Return all cursors by name."""
        with self._lock:
            return dict(self._cursors)

    def needed(self) -> dict[str, int]:
        """Return the positions that cursors keep, by name."""
        return {name: cursor.position for name, cursor in self.all().items() if cursor.position is not None}

    def move(self, move: CursorMove) -> None:
        """Move a cursor, or make it.

        Raises:
            InvalidValue: the name is empty, or something is too long.
        """
        _check(move)
        with self._lock:
            self._waiting[move.name] = self._changed(move)
            self._apply(move)

    def mark(self, name: str, marks: Mapping[bytes, bytes]) -> None:
        """Change marks of a cursor that stays where it is.

        Raises:
            InvalidValue: there is no such cursor, or something is too long.
        """
        with self._lock:
            cursor = self._cursors.get(name)
            if cursor is None:
                raise InvalidValue(f"there is no cursor {name!r}")
            move = CursorMove(name, cursor.position, marks)
            _check(move)
            self._waiting[name] = self._changed(move)
            self._apply(move)

    def drop(self, name: str) -> None:
        """End a cursor; it keeps nothing any more."""
        with self._lock:
            if self._cursors.pop(name, None) is not None:
                self._waiting[name] = _Change(None, {}, is_dropped=True)

    def _changed(self, move: CursorMove) -> _Change:
        waiting = self._waiting.get(move.name)
        if waiting is None or waiting.is_dropped:
            return _Change(move.position, move.marks, is_new=move.name not in self._cursors)
        return _Change(move.position, {**waiting.marks, **move.marks}, waiting.is_new)

    def _apply(self, move: CursorMove) -> None:
        old = self._cursors.get(move.name)
        marks = {**(old.marks if old is not None else {}), **move.marks}
        kept = {key: value for key, value in marks.items() if value}
        self._cursors[move.name] = Cursor(move.position, kept, self._clock())

    def group(self, moves: Sequence[CursorMove]) -> CursorGroup:
        """Return what has to be written with a group: what waits, and *moves*, which are not made yet.

        Raises:
            InvalidValue: a name is empty, or something is too long.
        """
        if not moves and not self._waiting:
            return NO_CURSORS
        for move in moves:
            _check(move)
        with self._lock:
            waited = dict(self._waiting)
            changes = {**waited, **{move.name: self._changed(move) for move in moves}}
            return CursorGroup([self._body(name, change) for name, change in changes.items()], moves, waited)

    def _body(self, name: str, change: _Change) -> CursorBody:
        kept = {key: value for key, value in change.marks.items() if value or not change.is_new}
        sequence = self._sequences.get(name, 0) + 1
        return CursorBody(name, sequence, change.position, kept, change.is_new, change.is_dropped)

    def written(self, group: CursorGroup) -> None:
        """Make the moves of *group*, which has been written, and forget what had waited for it."""
        if group is NO_CURSORS:
            return
        with self._lock:
            for move in group.moves:
                self._apply(move)
            for body in group.bodies:
                self._sequences[body.name] = body.sequence
                if self._waiting.get(body.name) is group.waited.get(body.name):
                    self._waiting.pop(body.name, None)

    def wholes(self) -> list[CursorBody]:
        """Return all cursors as a segment begins with them."""
        with self._lock:
            return [
                CursorBody(name, self._sequences.get(name, 0), cursor.position, cursor.marks, is_whole=True)
                for name, cursor in self._cursors.items()
            ]

    def load(self, body: CursorBody, updated_ns: int) -> None:
        """Take over what was found in the log. What follows a change that is lost is left out, so it is too old."""
        old = self._cursors.get(body.name)
        if body.is_whole:
            self._cursors[body.name] = Cursor(body.position, body.marks, updated_ns)
        elif old is None or body.sequence != self._sequences[body.name] + 1:
            return
        elif body.is_dropped:
            del self._cursors[body.name]
        else:
            marks = {**old.marks, **body.marks}
            kept = {key: value for key, value in marks.items() if value}
            self._cursors[body.name] = Cursor(body.position, kept, updated_ns)
        self._sequences[body.name] = body.sequence


def _check(move: CursorMove) -> None:
    size = sum(len(key) + len(value) for key, value in move.marks.items())
    if not 0 < len(move.name.encode()) <= _MAX_NAME_BYTES:
        raise InvalidValue(f"name of cursor {move.name[:80]!r} is empty or too long")
    if size > _MAX_MARKS_BYTES or any(len(key) > _MAX_KEY_BYTES for key in move.marks):
        raise InvalidValue(f"marks of cursor {move.name!r} are too long")
