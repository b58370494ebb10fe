"""What is missing between messages: a jump of ``frame`` is a loss."""

from collections import Counter

from rawdaq.messages.message import Message

_MAX_SOURCES = 10_000  # topics of publishers, of which what is missing is counted


class FrameOrder:
    """Compares the frame numbers of messages, each topic of each publisher by itself.

    Attributes:
        lost: how many messages are missing, by topic.
    """

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()
        self._next: dict[tuple[str, str], int] = {}

    def missing(self, address: str, message: Message) -> int:
        """Return how many messages are missing before *message* from *address*; they are counted.

        A number that goes back is a publisher that was started again, and says nothing of losses.
        """
        key = address, message.topic
        frame = message.frame
        expected = self._next.get(key, frame)
        if key in self._next or len(self._next) < _MAX_SOURCES:
            self._next[key] = frame + 1
        missing = max(0, frame - expected)
        if missing:
            self.lost[message.topic] += missing
        return missing
