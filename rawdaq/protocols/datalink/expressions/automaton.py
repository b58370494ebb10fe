"""Follows all ways through an expression at once, and remembers where they lead."""

from collections.abc import Iterable

from rawdaq.errors import InvalidValue
from rawdaq.protocols.datalink.expressions.syntax import Parser, State

_MAX_STEPS = 50_000  # of one name: a large expression may have many ways, and its client waits for them
_MAX_REMEMBERED = 1 << 17  # places in all sets that are remembered: some 10 MB
_MAX_TEXT = 1 << 16

_Places = frozenset[int]
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")


class Expression:
    r"""A regular expression, searched anywhere in a name.

    It may have ``. [] () (?:) | * + ? {m,n} ^ $``, ``\d \w \s \b`` and their opposites, POSIX classes, and ``(?i)`` in
    front.

    Args:
        text: the expression; empty selects all.

    Raises:
        InvalidValue: it is invalid, or not understood here; the text says why.
    """

    def __init__(self, text: str) -> None:
        if len(text) > _MAX_TEXT:
            raise InvalidValue(f"it has {len(text)} characters, more than {_MAX_TEXT}")
        self.text = text
        parsed = Parser(text)
        self._states: list[State] = parsed.states
        self._first, self._last = parsed.first, parsed.last
        self._known: dict[tuple[_Places, int, int], _Places] = {}
        self._room = _MAX_REMEMBERED
        self._led: dict[tuple[bool, bool, int], _Places] = {}
        self._steps = 0

    def selects(self, name: str) -> bool:
        """Whether it is found in *name*; one with too many ways to follow is not found."""
        data = name.encode("ascii", "replace")
        self._steps = 0
        places: _Places = frozenset()
        before = -1
        for at, byte in enumerate([*data, -1]):
            key = places, before if at else -2, byte
            reached = self._known.get(key)
            if reached is None:
                reached = self._advance(places, before, byte, is_start=not at)
                self._remember(key, reached)
            if self._last in reached:
                return True
            if self._steps > _MAX_STEPS:
                return False
            places, before = reached, byte
        return False

    def _remember(self, key: tuple[_Places, int, int], reached: _Places) -> None:
        size = len(reached) + 1
        if size <= self._room:
            self._known[key] = reached
            self._room -= size

    def _advance(self, places: _Places, before: int, byte: int, *, is_start: bool) -> _Places:
        """Return where the ways from *places*, and those that begin here, are behind *byte* (-1: the end)."""
        is_edge = (before in _WORD) != (byte in _WORD)
        begun = self._led.get((is_start, is_edge, byte))
        if begun is None:  # found once, however many names there are, so it is not counted as steps of this one
            steps = self._steps
            begun = self._led[is_start, is_edge, byte] = self._lead([self._first], byte, is_start, is_edge)
            self._steps = steps
        if not places or self._last in begun:
            return begun
        return begun | self._lead(places, byte, is_start, is_edge)

    def _lead(self, places: Iterable[int], byte: int, is_start: bool, is_edge: bool) -> _Places:
        """Return where the ways from *places* are behind *byte*."""
        here = self._closure(places, is_start=is_start, is_end=byte < 0, is_edge=is_edge)
        if self._last in here:
            return frozenset({self._last})
        ahead: set[int] = set()
        for place in here:
            state = self._states[place]
            if state.bytes is not None and byte in state.bytes:
                ahead.update(state.then)
        self._steps += len(here)
        return frozenset(ahead)

    def _closure(self, places: Iterable[int], *, is_start: bool, is_end: bool, is_edge: bool) -> set[int]:
        """Return *places* and what follows them without a character."""
        found = set(places)
        waiting = list(found)
        while waiting:
            state = self._states[waiting.pop()]
            self._steps += 1
            if state.bytes is not None or (state.at_start and not is_start) or (state.at_end and not is_end):
                continue
            if state.is_edge is not None and state.is_edge != is_edge:
                continue
            for place in state.then:
                if place not in found:
                    found.add(place)
                    waiting.append(place)
        return found
