"""From the text of an expression to states: what PCRE and Python have in common, but for what looks around or back."""

import re
from dataclasses import dataclass, field
from typing import Final

from rawdaq.errors import InvalidValue

_MAX_STATES = 80_000  # what repetitions unfold to: bounds what an expression can make us hold
_MAX_REPEAT = 1000
_MAX_DEPTH = 50  # of groups in each other
_ALL: Final = frozenset(range(256))
_DIGITS: Final = frozenset(b"0123456789")
_WORD: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_SPACE: Final = frozenset(b" \t\n\r\f\v")
_CLASSES: Final = {
    "d": _DIGITS,
    "D": _ALL - _DIGITS,
    "w": _WORD,
    "W": _ALL - _WORD,
    "s": _SPACE,
    "S": _ALL - _SPACE,
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_NAMED: Final = {
    "alpha": frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    "digit": _DIGITS,
    "alnum": _WORD - frozenset(b"_"),
    "upper": frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "lower": frozenset(b"abcdefghijklmnopqrstuvwxyz"),
    "space": _SPACE,
    "punct": frozenset(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
}
_REPEAT = re.compile(r"\{(\d{1,4})(?:(,)(\d{0,4}))?\}", re.ASCII)
_NAMED_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_GROUP = re.compile(r"\?(?::|P?<\w{1,32}>)")


@dataclass(slots=True)
class State:
    """A place in an expression.

    Attributes:
        bytes: what leads on to `then`; None: nothing has to come.
        then: the states that follow.
        at_start: it is passed only at the beginning of the text.
        at_end: it is passed only at its end.
        is_edge: it is passed only between a word and something else; False: only elsewhere; None: anywhere.
    """

    bytes: frozenset[int] | None = None
    then: list[int] = field(default_factory=list[int])
    at_start: bool = False
    at_end: bool = False
    is_edge: bool | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of an expression: where it is entered, and which states lead out of it."""

    first: int
    lasts: tuple[int, ...]


class Parser:
    """Reads one expression.

    Args:
        text: the expression.

    Attributes:
        states: all states.
        first: where it is entered.
        last: where it is left: found.
        ignores_case: whether ``(?i)`` stands in front.

    Raises:
        InvalidValue: it is no expression, or one that is not understood here; the text says why.
    """

    def __init__(self, text: str) -> None:
        self.states: list[State] = []
        self.ignores_case = text.startswith("(?i)")
        self._text = text
        self._at = 4 if self.ignores_case else 0
        self._depth = 0
        whole = self._either()
        if self._at < len(text):
            raise self._wrong("a parenthesis is closed that was not opened")
        self.first = whole.first
        self.last = self._new(State())
        self._connect(whole, self.last)

    def _wrong(self, reason: str) -> InvalidValue:
        return InvalidValue(f"{reason}, at character {self._at + 1}")

    def _new(self, state: State) -> int:
        if len(self.states) >= _MAX_STATES:
            raise self._wrong("it is too large")
        self.states.append(state)
        return len(self.states) - 1

    def _connect(self, part: _Part, state: int) -> None:
        for last in part.lasts:
            self.states[last].then.append(state)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    # ------------------------------------------------------------------ from the whole to its parts

    def _either(self) -> _Part:
        """Read alternatives up to the end of a group."""
        parts = [self._sequence()]
        while self._peek() == "|":
            self._take()
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        fork = self._new(State(then=[part.first for part in parts]))
        return _Part(fork, tuple(last for part in parts for last in part.lasts))

    def _sequence(self) -> _Part:
        begin = self._new(State())
        whole = _Part(begin, (begin,))
        while self._peek() not in ("", "|", ")"):
            part = self._repeated()
            self._connect(whole, part.first)
            whole = _Part(begin, part.lasts)
        return whole

    def _repeated(self) -> _Part:
        begin_text, begin_states = self._at, len(self.states)
        part = self._atom()
        while (counts := self._counts()) is not None:
            end_text = self._at
            low, high = counts
            size = len(self.states) - begin_states
            if size * max(low, high or 1) > _MAX_STATES:
                raise self._wrong("it is too large")
            part = self._repeat(part, begin_text, low, high)
            self._at = end_text
        return part

    def _counts(self) -> tuple[int, int | None] | None:
        """Take what says how often the part before may come; None when nothing does."""
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        match = _REPEAT.match(self._text, self._at)
        if self._peek() in simple and self._peek():
            counts = simple[self._take()]
        elif match is not None:
            self._at = match.end()
            low = int(match[1])
            high = low if match[2] is None else int(match[3]) if match[3] else None
            if max(low, high or 0) > _MAX_REPEAT or (high is not None and high < low):
                raise self._wrong(f"{match[0]} is no number of repetitions up to {_MAX_REPEAT}")
            counts = low, high
        else:
            return None
        if self._peek() in ("?", "+") and self._peek():  # as few as possible, or without a way back: found is found
            self._take()
        return counts

    def _repeat(self, part: _Part, begin_text: int, low: int, high: int | None) -> _Part:
        """Return *part* as often as is wanted; copies are read from the text again."""
        first = self._new(State())
        whole = _Part(first, (first,))
        copies = [part, *(self._copy(begin_text) for _ in range(max(low, high or 1) - 1))]
        if high == 0:
            return whole
        skips: list[int] = []
        for index, copy in enumerate(copies):
            if index >= low:
                skips += whole.lasts
            self._connect(whole, copy.first)
            whole = _Part(first, copy.lasts)
        end = self._new(State())
        self._connect(whole, end)
        if high is None:
            self.states[end].then.append(copies[-1].first)
        for skip in skips:
            self.states[skip].then.append(end)
        return _Part(first, (end,))

    def _copy(self, begin_text: int) -> _Part:
        self._at = begin_text
        return self._atom()

    def _atom(self) -> _Part:
        character = self._take()
        if character == "(":
            return self._group()
        if character in ("*", "+", "?"):
            raise self._wrong(f"there is nothing that {character} could repeat")
        state = self._state(character)
        at = self._new(state)
        return _Part(at, (at,))

    def _state(self, character: str) -> State:
        match character:
            case "^":
                return State(at_start=True)
            case "$":
                return State(at_end=True)
            case ".":
                return State(_ALL - frozenset(b"\n"))
            case "[":
                return State(self._set())
            case "\\":
                return self._escaped()
            case _:
                return self._literal(character)

    def _literal(self, character: str) -> State:
        found = {ord(self._checked(character))}
        if self.ignores_case:
            found |= {ord(character.lower()), ord(character.upper())}
        return State(frozenset(found))

    def _checked(self, character: str) -> str:
        if not character:
            raise self._wrong("it ends in the middle")
        if not character.isascii():
            raise self._wrong("names of streams have ASCII characters only")
        return character

    def _escaped(self) -> State:
        character = self._take()
        match character:
            case "A":
                return State(at_start=True)
            case "Z" | "z":
                return State(at_end=True)
            case "b" | "B":
                return State(is_edge=character == "b")
            case _:
                return self._class(character) if character.isalnum() else self._literal(character)

    def _class(self, character: str) -> State:
        if character in _CLASSES:
            return State(_CLASSES[character])
        if character in _CONTROLS:
            return self._literal(_CONTROLS[character])
        raise self._wrong(f"\\{character} is not understood here")

    def _group(self) -> _Part:
        if self._peek() == "?":
            match = _GROUP.match(self._text, self._at)
            if match is None:
                raise self._wrong(f"(?{self._text[self._at + 1 : self._at + 2]} is not understood here")
            self._at = match.end()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong("it has too many groups in each other")
        inside = self._either()
        self._depth -= 1
        if self._take() != ")":
            raise self._wrong("a parenthesis is not closed")
        return inside

    # ------------------------------------------------------------------ sets of characters

    def _set(self) -> frozenset[int]:
        negates = self._peek() == "^"
        if negates:
            self._take()
        found: set[int] = set()
        is_first = True
        while (character := self._peek()) != "]" or is_first:
            if not character:
                raise self._wrong("a set is not closed")
            is_first = False
            found |= self._member()
        self._take()
        if self.ignores_case:
            found |= {ord(chr(each).swapcase()) for each in found if each < 128}
        return _ALL - found if negates else frozenset(found)

    def _member(self) -> frozenset[int]:
        """Take a character, a range of them, or a class."""
        named = _NAMED_CLASS.match(self._text, self._at)
        if named is not None:
            self._at = named.end()
            if named[2] not in _NAMED:
                raise self._wrong(f"{named[0]} is no class of characters")
            return _ALL - _NAMED[named[2]] if named[1] else _NAMED[named[2]]
        low = self._one()
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return low
        self._take()
        high = self._one()
        (begin,), (end,) = (low, high) if len(low) == len(high) == 1 else ({1}, {0})
        if begin > end:
            raise self._wrong("a range of characters runs backwards")
        return frozenset(range(begin, end + 1))

    def _one(self) -> frozenset[int]:
        character = self._take()
        if character != "\\":
            return self._plain(character)
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        return self._plain(_CONTROLS.get(character, character))

    def _plain(self, character: str) -> frozenset[int]:
        return frozenset({ord(self._checked(character))})
