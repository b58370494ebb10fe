"""The messages of a component's journal, in the order in which they came, up to its end."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rawdaq.journal.entries import Item as Entry
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.order import FrameOrder
from rawdaq.sockets.refusals import Refusals
from rawdaq.subscriber.journal import JournalItems


class JournalMessages(JournalItems[Message]):
    """Reads what is no waveform of a journal, also while its component runs; the iteration ends at the newest message.

    Packets and plain bytes are passed over. What is damaged is logged with its extent.

    Args:
        path: the folder.
        kinds: of messages; none means all.
        logger: where what is damaged is logged.

    Attributes:
        received: messages that were read so far, by topic.
        lost: messages that a jump of ``frame`` shows to be missing, by topic.
        refusals: messages that carry nothing of their kind.
    """

    def __init__(self, path: str | Path, kinds: Iterable[Kind] = (), *, logger: logging.Logger | None = None) -> None:
        super().__init__(None, logger)
        self.path = Path(path)
        self.kinds = tuple(kinds) or tuple(Kind)
        self.received: Counter[str] = Counter()
        self.refusals = Refusals(self._log, what="message")
        self._order = FrameOrder()
        self.lost = self._order.lost

    @property
    def malformed(self) -> int:
        """How many messages carry nothing of their kind."""
        return self.refusals.by_reason.total()

    def _made(self, item: Entry) -> Iterable[Message]:
        return (item,) if isinstance(item, Message) and item.kind in self.kinds else ()

    def _count(self, item: Message) -> None:
        self.size_bytes += item.size_bytes
        self.received[item.topic] += 1
        self._order.missing("", item)

    def _release(self) -> None:
        super()._release()
        self.refusals.log(at_once=True)
