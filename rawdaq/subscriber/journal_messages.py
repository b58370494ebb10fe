"""The messages of a component's journal, in the order in which they came, up to its end."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from rawdaq.errors import RawdaqError
from rawdaq.journal.entries import EntryUnreadable
from rawdaq.journal.folder import items
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.order import FrameOrder
from rawdaq.sockets.refusals import Refusals
from rawdaq.store.errors import StoreUnavailable
from rawdaq.store.inspect import StoreView
from rawdaq.store.values import Loss
from rawdaq.subscriber.journal import open_journal
from rawdaq.subscriber.reader import ItemReader


class JournalMessages(ItemReader[Message]):
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
        self._view: StoreView | None = None
        self._messages: Iterator[Message] = iter(())

    @property
    def malformed(self) -> int:
        """How many messages carry nothing of their kind."""
        return self.refusals.by_reason.total()

    def open(self) -> None:
        """Look at the folder; a second time does nothing.

        Raises:
            InvalidValue: there is no journal in it.
            StoreUnavailable: it cannot be read.
        """
        if self._view is None and not self._is_closed:
            self._view = open_journal(self.path, self._log_loss)
            self._messages = self._read(self._view)

    def _log_loss(self, loss: Loss) -> None:
        self._log.warning("%s", loss)

    def _read(self, view: StoreView) -> Iterator[Message]:
        for item in items(view):
            if isinstance(item, EntryUnreadable):
                self._log.warning("%s", item)
            elif isinstance(item, Message) and item.kind in self.kinds:
                yield item

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, or None at the end of the journal or when this was closed.

        Raises:
            RawdaqError: it cannot be read.
        """
        self._begin()
        try:
            self.open()
            message = None if self._is_closed else next(self._messages, None)
        except StoreUnavailable as error:
            raise RawdaqError(str(error)) from error
        finally:
            self._end()
        if message is None:
            self.has_ended = True
            return None
        self.size_bytes += message.size_bytes
        self.received[message.topic] += 1
        self._order.missing("", message)
        return message

    def _release(self) -> None:
        if self._view is not None:
            self._view.close()
        self.refusals.log(at_once=True)
