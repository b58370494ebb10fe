"""Which streams a publisher gets, by the patterns of its key ``streams``; and patterns that select nothing."""

import re
import string
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from rawdaq.errors import InvalidValue
from rawdaq.outlet import Waiting
from rawdaq.packet import Packet, PacketRun, StreamId

Item = TypeVar("Item", bound=Waiting)

_REMEDY = "a pattern is like XX.*.00.HH?"
_CHARACTERS = f"{string.ascii_uppercase}{string.digits}-_."  # of all that names of streams are made of
_DOTS = 3
_TOKEN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)  # what stands for one character, or is *


class Selection:
    """Lets through what any of some patterns names; plain bytes, which have no name, always.

    Args:
        patterns: shell-style patterns of ``NET.STA.LOC.CHA``, at least one.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)
        self._wanted: dict[StreamId, bool] = {}  # patterns are looked at once for each stream

    def of(self, items: Iterable[Item]) -> list[Item]:
        """Return those of *items* that are wanted."""
        return [item for item in items if isinstance(item, bytes) or self._wants(item.stream)]

    def _wants(self, stream: StreamId) -> bool:
        wanted = self._wanted.get(stream)
        if wanted is None:
            wanted = self._wanted[stream] = stream.matches(self._patterns)
        return wanted


def owned(items: Iterable[Packet | PacketRun | bytes]) -> list[Packet | PacketRun | bytes]:
    """Return *items* as those of a selection have to wait: with samples of their own.

    Samples are views of all that was read at once, most of which a selection may have left out.
    """
    return [item if isinstance(item, bytes) else item.owned() for item in items]


def selection(patterns: Sequence[Sequence[str]]) -> Selection | None:
    """Return what lets through all that somebody of several wants, None when it is everything.

    Args:
        patterns: of each of them; none at all means everything.
    """
    return Selection(pattern for each in patterns for pattern in each) if all(patterns) else None


def can_meet(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether one of *some* patterns names all that one of the *others* names, or the other way round.

    That two patterns have no stream in common cannot be told from them alone: ``*.00.*`` and ``*.01.*`` both name the
    location 01 of a station 00.

    >>> can_meet(["XX.AE.*"], ["XX.*"]), can_meet(["*.J??"], ["*.G??"]), can_meet(["*.00.*"], ["*.01.*"])
    (True, False, False)
    """
    return any(fnmatchcase(one, other) or fnmatchcase(other, one) for one in some for other in others)


def check_patterns(patterns: Iterable[str]) -> None:
    """Refuse what can name no stream, whatever the streams are called: wrong characters, or dots that do not fit.

    Raises:
        InvalidValue: the text says which pattern.

    >>> check_patterns(["*", "XX.*", "*HHZ"])
    >>> check_patterns(["XX.*", "HHZ"])
    Traceback (most recent call last):
    ...
    rawdaq.errors.InvalidValue: 'HHZ' can name no stream, NET.STA.LOC.CHA in capitals; a pattern is like XX.*.00.HH?
    """
    for pattern in patterns:
        if not _can_name_some(pattern):
            raise InvalidValue(f"{pattern!r} can name no stream, NET.STA.LOC.CHA in capitals; {_REMEDY}")


def _can_name_some(pattern: str) -> bool:
    tokens = _TOKEN.findall(pattern)
    meant = [{each for each in _CHARACTERS if fnmatchcase(each, token)} for token in tokens]
    fewest_dots = sum(each == {"."} for each in meant)
    has_enough = "*" in tokens or sum("." in each for each in meant) >= _DOTS
    return all(meant) and has_enough and fewest_dots <= _DOTS


def selects_nothing(streams: Iterable[StreamId | str]) -> str:
    """Return what is wrong with patterns that name none of *streams*."""
    return f"selects none of {', '.join(map(str, streams))}; {_REMEDY}"
