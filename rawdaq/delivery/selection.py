"""Which streams a publisher gets, by the patterns of its key ``streams``; and patterns that select nothing."""

from collections.abc import Iterable, Sequence

from rawdaq.delivery.items import NAMELESS, Item
from rawdaq.stream_id import StreamId


class Selection:
    """Lets through what any of some patterns names; plain bytes and messages, which have no name, always.

    Args:
        patterns: shell-style patterns of ``NET.STA.LOC.CHA``, at least one.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)
        self._wanted: dict[StreamId, bool] = {}  # patterns are looked at once for each stream

    def of(self, items: Iterable[Item]) -> list[Item]:
        """Return those of *items* that are wanted."""
        return [item for item in items if isinstance(item, NAMELESS) or self._wants(item.stream)]

    def _wants(self, stream: StreamId) -> bool:
        wanted = self._wanted.get(stream)
        if wanted is None:
            wanted = self._wanted[stream] = stream.matches(self._patterns)
        return wanted


def selection(patterns: Sequence[Sequence[str]]) -> Selection | None:
    """Return what lets through all that any of several publishers wants, None when it is everything.

    Args:
        patterns: of each of them; none at all means everything.
    """
    return Selection(pattern for each in patterns for pattern in each) if all(patterns) else None
