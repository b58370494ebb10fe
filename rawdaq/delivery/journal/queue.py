"""The queue of a publisher behind a journal: what just came from memory, what memory cannot hold from the disk."""

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from rawdaq.delivery.items import NAMELESS, count_of, owned, size_bytes
from rawdaq.delivery.journal.ledger import Place
from rawdaq.delivery.journal.source import Source
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.selection import MessageSelection, Selection
from rawdaq.journal.entries import Item
from rawdaq.journal.pieces import nothing_of, parts
from rawdaq.messages.message import Message
from rawdaq.publisher import Known, OverflowPolicy
from rawdaq.stream_id import StreamId

#: Of one read: decoded, and made into records, in a turn of the loop that a live stream does not notice.
_READ_BYTES = 64 << 10

#: Called for each item that is acknowledged, with the place of its first sample.
Enter = Callable[[Item, Place], None]


class JournalQueue(DeliveryQueue[Item]):
    """Gives a publisher what was journalled, in order, from a position on.

    It holds what just came, within its limits. When these are reached and the publisher takes nothing, `fall_behind`
    forgets what it holds, and `take` reads from the journal until it has caught up.

    Args:
        name: the publisher's name, for log lines.
        max_items: limit of waiting packets.
        max_bytes: limit of their memory.
        log: where it says that it falls behind and catches up.
        clock: seconds that only run forward.
        selection: what the publisher wants of streams; None: everything.
        messages: what it wants of messages.

    Attributes:
        moved: called when something was acknowledged, or left out.
        enter: see `Enter`; None: what is acknowledged is delivered.
        read_count: how many packets it has read from the journal.
        is_written_to: returns whether something waits to be written to the journal.
    """

    def __init__(
        self,
        name: str,
        max_items: int,
        max_bytes: int,
        log: logging.Logger,
        clock: Callable[[], float],
        selection: Selection | None,
        messages: MessageSelection,
    ) -> None:
        super().__init__(name, OverflowPolicy.BLOCK, max_items, max_bytes, log, clock)
        self.moved: Callable[[], None] = lambda: None
        self.enter: Enter | None = None
        self.read_count = 0
        self.is_written_to: Callable[[], bool] = lambda: False
        self._selection = selection
        self._messages = messages
        self._log = log
        self._places: deque[Place] = deque()  # of the items that wait
        self._next = 0  # what comes below this position is in memory, or done
        self._end = 0
        self._new_from = 0
        self._source: Source | None = None
        self._resume: dict[StreamId, Place] = {}
        self._resume_end = -1
        self._known: Known | None = None
        self._behind_since_s: float | None = None
        self._read_before = 0

    def open(self, end: int) -> None:
        """Take note of the position that the next entry gets: what comes before `begin` is read from the journal."""
        self._end = self._new_from = end

    def begin(self, source: Source, position: int, places: Mapping[StreamId, Place], known: Known | None) -> None:
        """Begin at *position* of the journal.

        Args:
            source: reads from the journal.
            position: the publisher's base: what is below it is delivered.
            places: of the streams of which more is delivered.
            known: what is recognised as delivered though no cursor says so.
        """
        self._source, self._next = source, position
        self._resume = {stream: place for stream, place in places.items() if place.position >= position}
        self._resume_end = max((place.position for place in self._resume.values()), default=-1)
        self._known = known
        if self.is_behind:
            self._empty.clear()
        self.wake()

    @property
    def is_behind(self) -> bool:
        """Whether what comes next must be read from the journal."""
        return self._next < self._end

    @property
    def position(self) -> int:
        """The first position of which something is not acknowledged."""
        return self._places[0].position if self._places else self._next

    def set_policy(self, policy: OverflowPolicy) -> None:
        """Do nothing: what does not fit in memory is in the journal."""

    def follow(self, first: int, items: Sequence[Item]) -> None:
        """Take note that *items* were appended to the journal from position *first* on."""
        end = first + len(items)
        if self._source is None or self.is_behind:
            self._end = end
            return
        if self._selection is not None and self.waiting:  # so that views keep one read at most
            items = owned(items)
        for position, item in enumerate(items, first):
            if position >= self._next:
                self._accept(position, item)
        self._end = end
        self._next = max(self._next, end)
        self._note_added()

    def _accept(self, position: int, item: Item) -> None:
        """Let *item* wait, or what of it is not delivered."""
        if self._selection is not None and not self._selection.of([item]):
            return
        if isinstance(item, Message) and not self._messages.wants(item):
            return
        if self._known is None and position > self._resume_end:
            self._add(Place(position, 0), item)
            return
        for index, part in self._undelivered(position, item):
            self._add(Place(position, index), part)

    def _undelivered(self, position: int, item: Item) -> list[tuple[int, Item]]:
        """Return the parts of *item* that are not delivered; where records are made, an empty one for its end."""
        begin = 0
        if not isinstance(item, NAMELESS):
            place = self._resume.get(item.stream, _NOWHERE)
            if position < place.position:
                return []
            begin = place.sample if position == place.position else 0
        pieces: list[tuple[int, Item]] = [(0, item)]
        if begin and not isinstance(item, NAMELESS):
            pieces = [*parts(item, begin, item.size)]
        if self._known is not None:
            known, is_new = self._known, position >= self._new_from
            pieces = [(index + at, part) for index, piece in pieces for at, part in known.rest(piece, is_new)]
            if known.is_over:
                self._known = None
        is_end_done = not isinstance(item, NAMELESS) and (not pieces or _end(pieces[-1]) < item.size)
        if self.enter is not None and is_end_done and not isinstance(item, NAMELESS):
            pieces.append((item.size, nothing_of(item)))  # so that it is known how far the stream is
        return pieces

    def _add(self, place: Place, item: Item) -> None:
        self._items.append(item)
        self._places.append(place)
        self.waiting += count_of(item)
        self.waiting_bytes += size_bytes(item)

    def _note_added(self) -> None:
        if len(self._items) > self._in_flight:
            self._filled.set()
            self._empty.clear()
            if self._enough is not None and self._has_enough:
                self._enough.set()
            if self.is_full:
                self._room.clear()
        elif not self._items:
            if not self.is_behind:
                self._empty.set()
            self.moved()

    def fall_behind(self) -> None:
        """Forget what waits and is not being delivered: it is read from the journal when its turn comes."""
        if len(self._items) == self._in_flight:
            return
        if self._behind_since_s is None:
            self._behind_since_s, self._read_before = self._clock(), self.read_count
            self._log.warning(
                "%s takes nothing, and memory is full (%d packets): what comes waits in the journal",
                self.name,
                self.waiting,
            )
        while len(self._items) > self._in_flight:  # which takes the parts of an entry together
            item, place = self._items.pop(), self._places.pop()
            self.waiting -= count_of(item)
            self.waiting_bytes -= size_bytes(item)
            self._next = place.position
        self._empty.clear()

    async def comes_soon(self, within_s: float) -> bool:
        """Return whether more waits, or comes within *within_s*: what is being written is followed by that."""
        if await super().comes_soon(within_s):
            return True
        if self.is_behind or not self.is_written_to():
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._filled.wait()
        return self.waiting > 0

    async def take(self, gather_bytes: int = 0, gather_s: float = 0.0) -> list[Item]:
        """Return all that waits in memory as one batch, or the next that the journal has.

        As `DeliveryQueue.take`.
        """
        while self._is_reading and not self._filled.is_set():
            await self._read()
        # A read brings little: with a wait behind each of them, what is behind would never catch up.
        return await super().take(gather_bytes, 0.0 if self.is_behind else gather_s)

    @property
    def _is_reading(self) -> bool:
        return self._source is not None and self.is_behind and len(self._items) == self._in_flight

    async def _read(self) -> None:
        """Take over what one read of the journal brings."""
        assert self._source is not None  # noqa: S101 - only what has begun reads
        numbered, position = await self._source.read(self._next, _READ_BYTES, self._filled)
        for at, item in numbered:
            self._accept(at, item)
            self.read_count += count_of(item)
        self._next = max(self._next, position)
        if not self.is_behind and self._behind_since_s is not None:
            self._log.warning(
                "%s has caught up after %.1f s: %d packets came from the journal",
                self.name,
                self._clock() - self._behind_since_s,
                self.read_count - self._read_before,
            )
            self._behind_since_s = None
        self._note_added()

    def acknowledge(self, count: int) -> None:
        """Forget the first *count* items of what was taken."""
        enter = self.enter
        for item in itertools.islice(self._items, count):
            place = self._places.popleft()
            if enter is not None:
                enter(item, place)
        super().acknowledge(count)
        self.moved()

    async def empty(self) -> None:
        """Return when everything that was journalled is acknowledged."""
        while self.is_behind or self._items:
            self._empty.clear()
            await self._empty.wait()


_NOWHERE = Place(-1, 0)


def _end(piece: tuple[int, Item]) -> int:
    index, part = piece
    return index + (0 if isinstance(part, NAMELESS) else part.size)
