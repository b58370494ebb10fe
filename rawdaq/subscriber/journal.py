"""The journal of a component read like a stream: its packets in the order in which they came, up to its end."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.journal.entries import EntryUnreadable
from rawdaq.journal.folder import is_journal, items
from rawdaq.messages.message import Kind, Message
from rawdaq.packet import Packet
from rawdaq.store.errors import StoreUnavailable
from rawdaq.store.inspect import StoreView
from rawdaq.store.values import Loss
from rawdaq.stream_id import StreamId, check_patterns
from rawdaq.subscriber.reader import PacketReader


def open_journal(path: Path, on_loss: Callable[[Loss], None]) -> StoreView:
    """Return a view of the journal in the folder *path*.

    Raises:
        InvalidValue: there is none in it.
        StoreUnavailable: it cannot be read.
    """
    if not is_journal(path):
        raise InvalidValue(f"there is no journal in {path}; give the path of `Journal` in the station file")
    return StoreView.of(path, on_loss)


class JournalReader(PacketReader):
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
        self._view: StoreView | None = None
        self._packets: Iterator[Packet] | None = None
        self._passed_over: set[str] = set()

    @property
    def malformed(self) -> int:
        """How many plain messages were left out."""
        return self._plain

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that no pattern selects."""
        return sorted(self._passed_over)

    def open(self) -> None:
        """Look at the folder; a second time does nothing.

        Raises:
            InvalidValue: there is no journal in it.
            RawdaqError: it cannot be read.
        """
        if self._view is not None or self._is_closed:
            return
        self._view = open_journal(self.path, self._note_loss)
        self._packets = self._read(self._view)

    def _note_loss(self, loss: Loss) -> None:
        self._log.warning("%s", loss)
        try:
            self.lost[StreamId.parse(loss.stream or "")] += loss.entries
        except InvalidValue:
            return

    def _read(self, view: StoreView) -> Iterator[Packet]:
        for item in items(view):
            if isinstance(item, EntryUnreadable):
                self._log.warning("%s", item)
            elif isinstance(item, bytes):
                self._plain += 1
            elif isinstance(item, Message):
                self.messages[item.kind] += 1
            elif item.stream.matches(self.streams):
                yield from (item,) if isinstance(item, Packet) else item
            else:
                self._passed_over.add(str(item.stream))

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """Return the next packet, or None at the end of the journal or when this was closed.

        Raises:
            RawdaqError: it cannot be read.
        """
        self._begin()
        try:
            self.open()
            packet = None if self._is_closed or self._packets is None else next(self._packets, None)
        except StoreUnavailable as error:
            raise RawdaqError(str(error)) from error
        finally:
            self._end()
        if packet is None:
            self.has_ended = True
            return None
        self.size_bytes += len(packet.data)
        self.received[packet.stream] += 1
        return packet

    def _release(self) -> None:
        if self._view is not None:
            self._view.close()
