"""The messages of a component: numbered by topic, and counted for `status`."""

import time
from collections.abc import Callable, Sequence

from rawdaq.messages.message import Message
from rawdaq.times import NS_PER_S, to_iso

#: A component has a few; one that passes messages on gets the topics of its peers.
MAX_TOPICS = 10_000


class _Topic:
    """The counters of one topic."""

    __slots__ = ("bytes", "messages", "next_frame", "published_ns", "skipped")

    def __init__(self) -> None:
        self.messages = self.bytes = self.next_frame = self.skipped = self.published_ns = 0

    def report(self, now_ns: int) -> dict[str, object]:
        """Return the counters as `status` shows them."""
        return {
            "age_s": round(max(0, now_ns - self.published_ns) / NS_PER_S, 3) if self.messages else None,
            "messages": self.messages,
            "bytes": self.bytes,
            "frame": self.next_frame - 1,
            "skipped": self.skipped,
            "last": to_iso(self.published_ns) if self.messages else "",
        }


class Topics:
    """Numbers the messages of each topic from 0 on.

    Args:
        component: the name that messages get which have none yet.
        clock_ns: nanoseconds since 1970 UTC.
    """

    def __init__(self, component: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._component = component
        self._clock_ns = clock_ns
        self._topics: dict[str, _Topic] = {}

    def numbered(self, messages: Sequence[Message]) -> list[Message]:
        """Return *messages* with complete headers, and count them.

        Raises:
            InvalidValue: the header of one cannot be JSON; none is counted.
        """
        now_ns = self._clock_ns()
        frames: dict[str, int] = {}
        numbered: list[Message] = []
        for message in messages:
            frame = frames.get(message.topic)
            if frame is None:
                known = self._topics.get(message.topic)
                frame = 0 if known is None else known.next_frame
            made = message.published(frame, self._component, now_ns)
            made.head  # noqa: B018 - made here, where the receiver learns what is wrong with it
            frames[message.topic] = frame + 1
            numbered.append(made)
        for message in numbered:
            counts = self._of(message.topic)
            counts.messages += 1
            counts.bytes += message.size_bytes
            counts.next_frame = message.frame + 1
            counts.published_ns = now_ns
        return numbered

    def skip(self, topic: str, count: int) -> None:
        """Leave *count* numbers of *topic* out: so many messages were lost before they came here."""
        counts = self._of(topic)
        counts.next_frame += count
        counts.skipped += count

    def admits(self, topic: str) -> bool:
        """Return whether *topic* is known; it is from now on where there may be one more."""
        if topic not in self._topics and len(self._topics) >= MAX_TOPICS:
            return False
        self._of(topic)
        return True

    def _of(self, topic: str) -> _Topic:
        counts = self._topics.get(topic)
        if counts is None:
            counts = self._topics[topic] = _Topic()
        return counts

    def totals(self) -> tuple[int, int]:
        """Return how many messages there were, and their size."""
        counts = self._topics.values()
        return sum(each.messages for each in counts), sum(each.bytes for each in counts)

    def report(self) -> dict[str, object]:
        """Return the counters of all topics by name."""
        now_ns = self._clock_ns()
        return {topic: counts.report(now_ns) for topic, counts in sorted(self._topics.items())}
