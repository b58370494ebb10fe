"""How far a publisher has come in a journal, as it is kept there: moved only when what it delivered is safe."""

import asyncio
import contextlib
import logging
import struct
from collections.abc import Mapping
from typing import NamedTuple

from rawdaq.delivery.journal.ledger import Place, SampleLedger
from rawdaq.delivery.journal.queue import JournalQueue
from rawdaq.errors import InvalidValue
from rawdaq.outage import Outage
from rawdaq.publisher import CursorMarks, Publisher, PublisherUnavailable
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.errors import StoreError
from rawdaq.stream_id import StreamId

_STREAM, _OWN = b"s", b"p"  # what a key begins with: a stream's place, or what the publisher keeps itself
_PLACE = struct.Struct("<QI")
_LOOK_S = 5.0  # it moves so often also when nothing of what came is for this publisher
_PAUSE_S = 0.05  # between two moves under load: each looks at every stream
_AGAIN_S = 1.0  # between two moves through what an earlier run had left: each has the disk sync


class Start(NamedTuple):
    """Where a publisher begins.

    Attributes:
        base: all below this position is delivered.
        places: streams of which more is delivered, and up to where.
        marks: what the publisher keeps itself.
    """

    base: int
    places: Mapping[StreamId, Place]
    marks: CursorMarks


class PublisherCursor:
    """Moves the cursor of one publisher.

    Args:
        name: of the cursor.
        publisher: says what is safe.
        queue: knows what is acknowledged.
        ledger: knows which samples are in delivered records; None: what is acknowledged is delivered.
        log: where it is logged that the publisher cannot say what is safe.

    Attributes:
        moved: set when it may be moved.
        base: where it is.
    """

    def __init__(
        self,
        name: str,
        publisher: Publisher,
        queue: JournalQueue,
        ledger: SampleLedger | None,
        log: logging.Logger,
    ) -> None:
        self.name = name
        self.moved = asyncio.Event()
        self._publisher = publisher
        self._queue = queue
        self._ledger = ledger
        self._log = log
        self._begun = self._made = 0  # settlings
        self._remembered: dict[bytes, int] = {}  # keys that the publisher had kept itself, and after which settling
        self._store: AsyncStore | None = None
        self._has_begun = False
        self.base = 0
        self._left = 0  # behind the newest entry of earlier runs
        self._places: Mapping[StreamId, Place] = {}
        self._outage = Outage(log)

    def open(self, store: AsyncStore) -> Start:
        """Return where the publisher begins: where it was, a new one behind the newest entry."""
        self._store = store
        self._left = store.store.end_position
        cursor = store.store.cursors().get(self.name)
        if cursor is None or cursor.position is None:
            end = store.store.end_position
            store.move_cursor(self.name, end)
            if end > store.store.oldest_position:
                self._log.warning("%s is new to the journal: it begins with what comes now", self.name)
            self.base = end
            return Start(end, {}, {})
        self.base = cursor.position
        self._places = _places_of(cursor.marks)
        own = {key[len(_OWN) :]: value for key, value in cursor.marks.items() if key.startswith(_OWN)}
        return Start(cursor.position, self._places, own)

    def begin(self) -> None:
        """Let the cursor move from now on: the publisher goes on from there."""
        self._has_begun = True

    def remember(self, marks: CursorMarks) -> None:
        """Keep *marks* of the publisher at once; it blocks, and any thread may call it.

        Raises:
            PublisherUnavailable: the journal cannot be written.
        """
        assert self._store is not None  # noqa: S101 - it has begun
        own = _own(marks)
        self._remembered.update(dict.fromkeys(own, self._begun))
        try:
            self._store.store.mark_cursor(self.name, own)
            self._store.store.sync()
        except (StoreError, InvalidValue) as error:
            raise PublisherUnavailable(f"its place in the journal cannot be kept: {error}") from error

    async def run(self) -> None:
        """Move the cursor whenever more is safe, until cancelled.

        What an earlier run had left is made safe at once: a process that dies again and again before its files are
        synced in their own time would begin with the same each time.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self.moved.wait()
            self.moved.clear()
            is_left = self.base < self._left
            try:
                await self.settle(at_once=is_left)
            except PublisherUnavailable as error:
                if not self._outage.is_on:
                    self._outage.log("the journal keeps what comes for %s until this is over: %s", self.name, error)
                await asyncio.sleep(_LOOK_S)
            else:
                self._outage.clear()
                if is_left or self._queue.waiting:
                    await asyncio.sleep(_AGAIN_S if is_left else _PAUSE_S)

    async def settle(self, *, at_once: bool = False) -> None:
        """Move the cursor to what is delivered by now, once that is safe.

        Raises:
            PublisherUnavailable: it is not.
        """
        if not self._has_begun:
            return
        base, places = self._queue.position, dict[StreamId, Place]()
        if self._ledger is not None:
            places, waiting = self._ledger.places()
            base = base if waiting is None else min(base, waiting)
        if (base, places) == (self.base, self._places):
            return
        self._begun += 1
        number = self._begun
        # The publisher notes its marks before anything else runs: they are of the same moment as the places.
        own = await self._publisher.settled(at_once=at_once)
        if number > self._made:  # one that began later may have overtaken this one
            self._made = number
            self._move(base, places, own, number)

    def _move(self, base: int, places: dict[StreamId, Place], own: CursorMarks, number: int) -> None:
        assert self._store is not None  # noqa: S101 - it has begun
        marks = _own(own) | {
            _STREAM + str(stream).encode(): _PLACE.pack(*place)
            for stream, place in places.items()
            if place.position >= base and place != (base, 0)
        }
        kept = self._store.store.cursors()[self.name].marks
        changes = {key: value for key, value in marks.items() if kept.get(key) != value}
        changes |= {key: b"" for key in kept if key not in marks}
        for key, after in tuple(self._remembered.items()):
            if after >= number:  # it was kept after the publisher had noted its marks
                changes.pop(key, None)
            else:
                del self._remembered[key]
        self._store.move_cursor(self.name, base, changes)
        self.base, self._places = base, places


def _own(marks: CursorMarks) -> dict[bytes, bytes]:
    return {_OWN + key: value for key, value in marks.items()}


def _places_of(marks: Mapping[bytes, bytes]) -> dict[StreamId, Place]:
    return {
        StreamId.parse(key[len(_STREAM) :].decode()): Place(*_PLACE.unpack(value))
        for key, value in marks.items()
        if key.startswith(_STREAM)
    }
