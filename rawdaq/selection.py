"""Which streams a publisher gets, by the patterns of its key ``streams``."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from rawdaq.outlet import Waiting
from rawdaq.packet import Packet, PacketRun, StreamId

Item = TypeVar("Item", bound=Waiting)


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
