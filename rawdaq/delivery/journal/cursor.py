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
from rawdaq.publisher import Marks, Publisher, PublisherUnavailable, Settled
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.errors import StoreError
from rawdaq.stream_id import StreamId

_STREAM, _OWN = b"s", b"p"  # what a key begins with: a stream's place, or what the publisher keeps itself
_PLACE = struct.Struct("<QI")
_LOOK_S = 5.0  # it moves so often also when nothing of what came is for this publisher


class Start(NamedTuple):
    """Where a publisher begins.

    Attributes:
        base: all below this position is delivered.
        places: streams of which more is delivered, and up to where.
        marks: what the publisher keeps itself.
    """

    base: int
    places: Mapping[StreamId, Place]
    marks: Marks


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
        self._store: AsyncStore | None = None
        self.base = 0
        self._places: Mapping[StreamId, Place] = {}
        self._written: dict[bytes, bytes] = {}

    def begin(self, store: AsyncStore) -> Start:
        """Return where the publisher begins: where it was, a new one behind the newest entry."""
        self._store = store
        cursor = store.store.cursors().get(self.name)
        if cursor is None or cursor.position is None:
            end = store.store.end_position
            store.move_cursor(self.name, end)
            if end > store.store.oldest_position:
                self._log.warning("%s is new to the journal: it begins with what comes now", self.name)
            self.base = end
            return Start(end, {}, {})
        self.base = cursor.position
        self._written = {key: value for key, value in cursor.marks.items() if key.startswith(_STREAM)}
        self._places = _places_of(self._written)
        own = {key[len(_OWN) :]: value for key, value in cursor.marks.items() if key.startswith(_OWN)}
        return Start(cursor.position, self._places, own)

    def remember(self, marks: Marks) -> None:
        """Keep *marks* of the publisher at once; it blocks, and any thread may call it.

        Raises:
            PublisherUnavailable: the journal cannot be written.
        """
        assert self._store is not None  # noqa: S101 - it has begun
        try:
            self._store.store.mark_cursor(self.name, _own(marks))
            self._store.store.sync()
        except (StoreError, InvalidValue) as error:
            raise PublisherUnavailable(f"its place in the journal cannot be kept: {error}") from error

    async def run(self) -> None:
        """Move the cursor whenever more is safe, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self.moved.wait()
            self.moved.clear()
            try:
                await self.settle()
            except PublisherUnavailable as error:
                self._log.error("the cursor of %s stays where it is: %s", self.name, error)
                await asyncio.sleep(_LOOK_S)

    async def settle(self, *, at_once: bool = False) -> None:
        """Move the cursor to what is delivered by now, once that is safe.

        Raises:
            PublisherUnavailable: it is not.
        """
        base, places = self._queue.position, dict[StreamId, Place]()
        if self._ledger is not None:
            places, waiting = self._ledger.places()
            base = base if waiting is None else min(base, waiting)
        if (base, places) == (self.base, self._places):
            return
        self._begun += 1
        number = self._begun
        # The publisher notes its marks before anything else runs: they are of the same moment as the places.
        settled = await self._publisher.settled(at_once=at_once)
        if number > self._made:  # one that began later may have overtaken this one
            self._made = number
            self._move(base, places, settled)

    def _move(self, base: int, places: dict[StreamId, Place], settled: Settled) -> None:
        assert self._store is not None  # noqa: S101 - it has begun
        for stream in settled.unsettled:
            place = places[stream] = self._places.get(stream, Place(self.base, 0))
            base = min(base, place.position)
        marks = {
            _STREAM + str(stream).encode(): _PLACE.pack(*place)
            for stream, place in places.items()
            if place.position >= base and place != (base, 0)
        }
        changed = {key: value for key, value in marks.items() if self._written.get(key) != value}
        removed = {key: b"" for key in self._written if key not in marks}
        self._store.move_cursor(self.name, base, {**changed, **removed, **_own(settled.marks)})
        self.base, self._places, self._written = base, places, marks


def _own(marks: Marks) -> dict[bytes, bytes]:
    return {_OWN + key: value for key, value in marks.items()}


def _places_of(marks: Mapping[bytes, bytes]) -> dict[StreamId, Place]:
    return {StreamId.parse(key[len(_STREAM) :].decode()): Place(*_PLACE.unpack(value)) for key, value in marks.items()}
