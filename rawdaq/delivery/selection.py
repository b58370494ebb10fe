"""Which streams and which messages a publisher gets, by its keys ``streams`` and ``kinds``."""

from collections.abc import Iterable, Sequence

from rawdaq.delivery.items import NAMELESS, Item
from rawdaq.messages.message import Message
from rawdaq.publisher import Publisher
from rawdaq.stream_id import StreamId


class Selection:
    """Lets through what any of some patterns names; plain bytes and messages, which belong to no stream, always.

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


class MessageSelection:
    """Lets through the messages that a publisher takes, and counts those that it has no use for.

    Args:
        publisher: takes messages or not, and where it does, of some kinds or of all.

    Attributes:
        passed_over: how many messages came to a publisher that takes none, such as one that writes waveforms.
    """

    def __init__(self, publisher: Publisher) -> None:
        self.passed_over = 0
        self._takes_any = publisher.takes_messages and publisher.record_format is None
        self._kinds = frozenset(publisher.kinds)

    def wants(self, message: Message) -> bool:
        """Return whether *message* goes to the publisher."""
        return self._takes_any and (not self._kinds or message.kind in self._kinds)

    def of(self, messages: list[Message]) -> list[Message]:
        """Return those of *messages* that go to the publisher; the others are counted where it takes none."""
        if not self._takes_any:
            self.passed_over += len(messages)
            return []
        if not self._kinds:
            return messages
        return [message for message in messages if message.kind in self._kinds]
