"""The journal of a component read like a stream: its packets in the order in which they came, up to its end."""

import contextlib
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.journal.entries import EntryUnreadable
from rawdaq.journal.entries import Item as Entry
from rawdaq.journal.folder import is_journal, items
from rawdaq.messages.message import Kind, Message
from rawdaq.packet import Packet
from rawdaq.store.errors import StoreUnavailable
from rawdaq.store.inspect import StoreView
from rawdaq.store.values import Loss
from rawdaq.stream_id import StreamId, check_patterns
from rawdaq.subscriber.reader import Item, ItemReader, PacketReader


def open_journal(path: Path, on_loss: Callable[[Loss], None]) -> StoreView:
    """Return a view of the journal in the folder *path*.

    Raises:
        InvalidValue: there is none in it.
        StoreUnavailable: it cannot be read.
    """
    if not is_journal(path):
        raise InvalidValue(f"there is no journal in {path}; give the path of `Journal` in the station file")
    return StoreView.of(path, on_loss)


class JournalItems(ItemReader[Item]):
    """Reads what a journal holds, also while its component runs; the iteration ends at the newest item.

    What is damaged is logged with its extent.

    Attributes:
        path: its folder.
    """

    path: Path
    _view: StoreView | None = None
    _items: Iterator[Item] = iter(())

    def open(self) -> None:
        """Look at the folder; a second time does nothing.

        Raises:
            InvalidValue: there is no journal in it.
            StoreUnavailable: it cannot be read.
        """
        if self._view is None and not self._is_closed:
            self._view = open_journal(self.path, self._note_loss)
            self._items = self._wanted(self._view)

    def _note_loss(self, loss: Loss) -> None:
        self._log.warning("%s", loss)

    def _wanted(self, view: StoreView) -> Iterator[Item]:
        for item in items(view):
            if isinstance(item, EntryUnreadable):
                self._log.warning("%s", item)
            else:
                yield from self._made(item)

    @abstractmethod
    def _made(self, item: Entry) -> Iterable[Item]:
        """Return what is read of *item*."""

    @abstractmethod
    def _count(self, item: Item) -> None:
        """Count *item*, which is read now."""

    def receive(self, timeout_s: float | None = None) -> Item | None:
        """Return the next one, or None at the end of the journal or when this was closed.

        Raises:
            RawdaqError: it cannot be read.
        """
        self._begin()
        try:
            self.open()
            item = None if self._is_closed else next(self._items, None)
        except StoreUnavailable as error:
            raise RawdaqError(str(error)) from error
        finally:
            self._end()
        if item is None:
            self.has_ended = True
        else:
            self._count(item)
        return item

    def _release(self) -> None:
        if self._view is not None:
            self._view.close()


class JournalReader(PacketReader, JournalItems[Packet]):
    """Reads the packets of a journal, also while its component runs; the iteration ends at the newest one.

    Packets have the numbers, qualities and reception times that they had when they came. Messages are left out, and so
    are plain bytes, which count as malformed. What is damaged is logged with its extent, and counted in `lost` where
    its stream is known.

    Args:
        path: the folder.
        streams: as those of `PacketReader`.
        logger: as that of `PacketReader`.

    Attributes:
        messages: how many messages were left out, by kind; `JournalMessages` reads them.
    """

    def __init__(
        self, path: str | Path, streams: str | Iterable[str] = (), *, logger: logging.Logger | None = None
    ) -> None:
        super().__init__(streams, None, logger)
        check_patterns(self.streams)
        self.path = Path(path)
        self._plain = 0
        self.messages: Counter[Kind] = Counter()
        self._passed_over: set[str] = set()

    @property
    def malformed(self) -> int:
        """How many plain messages were left out."""
        return self._plain

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that no pattern selects."""
        return sorted(self._passed_over)

    def _note_loss(self, loss: Loss) -> None:
        super()._note_loss(loss)
        with contextlib.suppress(InvalidValue):
            self.lost[StreamId.parse(loss.stream or "")] += loss.entries

    def _made(self, item: Entry) -> Iterable[Packet]:
        if isinstance(item, bytes):
            self._plain += 1
        elif isinstance(item, Message):
            self.messages[item.kind] += 1
        elif item.stream.matches(self.streams):
            return (item,) if isinstance(item, Packet) else item
        else:
            self._passed_over.add(str(item.stream))
        return ()

    def _count(self, item: Packet) -> None:
        self.size_bytes += len(item.data)
        self.received[item.stream] += 1
