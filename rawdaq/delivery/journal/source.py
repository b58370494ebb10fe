"""Reads a journal for one queue; what cannot be read is logged and left out, a disk that refuses is asked again."""

import asyncio
import contextlib
import logging

from rawdaq.journal.entries import EntryUnreadable, Item, decode
from rawdaq.outage import Outage
from rawdaq.sockets.dialling import Backoff
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.errors import StoreUnavailable
from rawdaq.store.segments.reading import Reader
from rawdaq.store.values import Batch


class Source:
    """What a journal holds, from a position on.

    Args:
        name: for whom it reads, for log lines.
        store: the journal, open.
        log: where it says what cannot be read.

    Attributes:
        lost: how many entries could not be read.
    """

    def __init__(self, name: str, store: AsyncStore, log: logging.Logger) -> None:
        self.lost = 0
        self._name = name
        self._store = store
        self._log = log
        self._reader: Reader | None = None
        self._outage = Outage(log)
        self._backoff = Backoff(0.1, 5.0)

    async def read(self, position: int, max_bytes: int, woken: asyncio.Event) -> tuple[list[tuple[int, Item]], int]:
        """Return the next items with their positions, and where to read on; none after a wait for a disk.

        Args:
            position: of the first one.
            max_bytes: about how much to read.
            woken: ends the wait for a disk that refuses.
        """
        reader = self._reader
        if reader is None or reader.position != position:
            reader = self._reader = self._store.store.reader(position)
        try:
            batch = await self._store.read(reader, max_bytes)
        except StoreUnavailable as error:
            self._reader = None
            if not self._outage.is_on:
                self._outage.log("%s cannot read on in the journal: %s; it tries again by itself", self._name, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._backoff.next_s()):
                    await woken.wait()
            return [], position
        if self._outage.is_on:
            self._outage.clear()
            self._backoff = Backoff()
            self._log.warning("%s reads on in the journal", self._name)
        return self._items(batch), batch.next_position

    def _items(self, batch: Batch) -> list[tuple[int, Item]]:
        self.lost += sum(loss.entries for loss in batch.losses)  # which the store has logged
        items: list[tuple[int, Item]] = []
        for stored in batch.entries:
            try:
                items.append((stored.position, decode(stored).item))
            except EntryUnreadable as error:
                self.lost += 1
                self._log.error("%s: %s of %s", self._name, error, stored.stream)
        return items
