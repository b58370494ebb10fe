"""Frames that wait for consumers, each of them in memory once however many wait for it."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rawdaq.multipart import Part


class Outgoing:
    """A frame on its way out of one output.

    Args:
        pieces: what goes to a socket for it; None: they are made when its turn comes.
        size_bytes: of the frame.
        frame: its number.
        topic: what subscriptions are compared with.
        keys: those of its header, where the pieces are made late.
        data: its second part, where the pieces are made late.

    Attributes:
        copies: for how many consumers it still waits.
        is_sent: whether one of them has it.
        is_lost: whether one of them does not get it.
    """

    __slots__ = ("copies", "data", "frame", "is_lost", "is_sent", "keys", "pieces", "size_bytes", "topic")

    def __init__(
        self,
        pieces: list[Part] | None,
        size_bytes: int,
        frame: int,
        topic: Part,
        keys: Mapping[str, Any] | None = None,
        data: Part = b"",
    ) -> None:
        self.pieces = pieces
        self.size_bytes = size_bytes
        self.frame = frame
        self.topic = topic
        self.keys = keys
        self.data = data
        self.copies = 0
        self.is_sent = False
        self.is_lost = False


class Backlog:
    """What waits for one consumer, or for any of several.

    Attributes:
        size_bytes: of all that waits.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._items: deque[Outgoing] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Outgoing) -> None:
        """Let *item* wait as the last one."""
        self._items.append(item)
        self.size_bytes += item.size_bytes

    def take(self) -> Outgoing:
        """Return the frame that waits longest; it waits no more."""
        item = self._items.popleft()
        self.size_bytes -= item.size_bytes
        return item

    def put_back(self, items: Iterable[Outgoing]) -> None:
        """Let *items* wait again, before all others."""
        for item in reversed(list(items)):
            self._items.appendleft(item)
            self.size_bytes += item.size_bytes

    def clear(self) -> list[Outgoing]:
        """Return all that waits, which waits no more."""
        items = list(self._items)
        self._items.clear()
        self.size_bytes = 0
        return items


class Outcome(Enum):
    """What becomes of a frame for one of its consumers."""

    SENT = "sent"
    LOST = "lost"
    DISCARDED = "discarded"
    ENDED = "ended"


@dataclass(slots=True)
class Counts:
    """The counters of an output, in frames.

    At every moment ``selected = sent + dropped + unheard + waiting + discarded_at_stop + after_end``, and of what came
    to the output all is in one of ``selected``, ``skipped`` and ``refused``.

    Attributes:
        selected: those that its mode selects.
        skipped: those that its mode does not select.
        refused: those that have no number, or of which no header for the writer can be made.
        sent: those that the system has taken for a consumer.
        sent_bytes: their size.
        dropped: those that no consumer got because the queue was full.
        dropped_for_some: those that reached some of the consumers of a PUB output and not all.
        unheard: those of a PUB output that no consumer subscribed to.
        discarded_at_stop: those that still waited when the output was closed.
        after_end: those that came after the last image of a writer's file.
        extra_parts: parts that the writer does not read, and did not get.
        last_frame: the number of the frame that was sent last.
    """

    selected: int = 0
    skipped: int = 0
    refused: int = 0
    sent: int = 0
    sent_bytes: int = 0
    dropped: int = 0
    dropped_for_some: int = 0
    unheard: int = 0
    discarded_at_stop: int = 0
    after_end: int = 0
    extra_parts: int = 0
    last_frame: int | None = None

    def add(self, item: Outgoing, outcome: Outcome) -> None:
        """Count *item*, for whose last consumer *outcome* is what becomes of it."""
        if item.is_sent:
            self.sent += 1
            self.sent_bytes += item.size_bytes
            self.dropped_for_some += item.is_lost
            self.last_frame = item.frame
        elif outcome is Outcome.DISCARDED:
            self.discarded_at_stop += 1
        elif outcome is Outcome.ENDED:
            self.after_end += 1
        else:
            self.dropped += 1
