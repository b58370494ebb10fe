"""What is read from the disk for clients that are behind: in blocks that several of them share."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from rawdaq.ring.packets import RingPacket
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.segments.reading import READ_BYTES, Reader

_KEPT = 16
_AT_ONCE = 4  # reads on the way
_ALIGNED = 256  # blocks begin at multiples of this number, so that clients at different places share them


class Block(NamedTuple):
    """Packets that follow each other.

    Attributes:
        first: it has every packet that is kept from this number on.
        end: up to this one.
        packets: those that there are.
    """

    first: int
    end: int
    packets: Sequence[RingPacket]

    def since(self, position: int) -> Sequence[RingPacket]:
        """Return the packets from *position* on."""
        return [packet for packet in self.packets if packet.position >= position]


class Blocks:
    """Reads a store, each block once for all that want it at about the same time.

    Args:
        store: an open one.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._reader: Reader | None = None
        self._kept: OrderedDict[int, Block] = OrderedDict()
        self._coming: dict[int, asyncio.Task[Block]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def get(self, position: int) -> Block:
        """Return a block that has *position*, or begins behind it, where the oldest packet is.

        Raises:
            InvalidValue: the position has not been used.
            StoreError: the disk cannot be read, or the store is closed.
        """
        if (kept := self._find(position)) is not None:
            return kept
        goes_on = any(block.end == position for block in self._kept.values())
        first = position if goes_on else position - position % _ALIGNED
        block = await self._read(first)
        if block.end <= position and first < position:  # large packets: it ends before what is wanted
            block = await self._read(position)
        return block

    def _find(self, position: int) -> Block | None:
        for first, block in self._kept.items():
            if block.first <= position < block.end:
                self._kept.move_to_end(first)
                return block
        return None

    async def _read(self, first: int) -> Block:
        if first not in self._coming:
            task = asyncio.get_running_loop().create_task(self._read_now(first), name="ring block")
            self._coming[first] = task
            task.add_done_callback(lambda done: self._come(first, done))
        return await asyncio.shield(self._coming[first])

    def _come(self, first: int, task: "asyncio.Task[Block]") -> None:
        del self._coming[first]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept[first] = task.result()
        self._kept.move_to_end(first)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def _read_now(self, first: int) -> Block:
        async with self._room:
            return await self._store.call(self._read_block, first)

    def _read_block(self, first: int) -> Block:
        """Read in the thread for it, which alone uses the reader."""
        reader = self._reader = self._reader or self._store.store.reader()
        first = max(first, self._store.store.oldest_position)
        if reader.position != first:
            reader.seek(first)
        batch = reader.read(READ_BYTES)
        first += batch.skipped  # some of it may have made room since
        return Block(first, batch.next_position, [RingPacket.of(entry) for entry in batch.entries])

    async def aclose(self) -> None:
        """Wait for what is on the way."""
        await asyncio.gather(*self._coming.values(), return_exceptions=True)
