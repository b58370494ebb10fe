"""What is found in a ring: by number, by stream and time, and where it begins and ends."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from rawdaq.ring.blocks import Blocks
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.streams import StreamBook
from rawdaq.ring.tail import Tail
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.store import Store
from rawdaq.store.values import Extent

_FEW_NAMES = 100  # up to so many streams are each looked up by time
_LOOK_BACK = 4096  # positions in which the newest packet is searched; only packets that are lost are not there


class Part(NamedTuple):
    """Packets that follow each other, as they were asked for from a number on.

    Attributes:
        first: the number from which on they were read; between the number asked for and this one packets have made room
            for newer ones.
        packets: those that there are.
        end: the number behind them.
    """

    first: int
    packets: Sequence[RingPacket]
    end: int


class RingReader:
    """Reads a ring that is open; what is not in memory is read by a thread.

    Every coroutine raises `StoreError` when the disk cannot be read, or the ring is closed.

    Args:
        store: where it is.
        tail: its newest packets.
        streams: what is held of each stream.

    Attributes:
        tail: its newest packets.
        streams: what is held of each stream.
    """

    def __init__(self, store: AsyncStore, tail: Tail, streams: StreamBook) -> None:
        self.tail, self.streams = tail, streams
        self._store = store
        self._blocks = Blocks(store)

    @property
    def oldest(self) -> int:
        """The first number that is kept."""
        return self._store.store.oldest_position

    @property
    def end(self) -> int:
        """Behind the newest packet."""
        return self.tail.end

    async def get(self, position: int) -> RingPacket | None:
        """Return the packet with this number; None when it is not in the ring."""
        if not self.oldest <= position < self.end:
            return None
        if (packet := self.tail.at(position)) is not None:
            return packet
        packets = (await self.from_(position)).packets
        return packets[0] if packets and packets[0].position == position else None

    async def from_(self, position: int) -> Part:
        """Return packets that are kept from *position* on.

        There may be none although there are some behind its end. What was written just now is read, too.
        """
        block = await self._blocks.get(position)
        return Part(max(position, block.first), block.since(position), block.end)

    async def skip(self, streams: Set[str], position: int) -> tuple[int, int]:
        """Return where packets of *streams* may be, from *position* on: the first number of it, and the one behind."""
        return await self._store.call(self._store.store.segment_with, streams, position)

    async def first(self) -> RingPacket | None:
        """Return the oldest packet; None when there is none."""
        position = self.oldest
        while position < self.end:
            _, packets, position = await self.from_(position)
            if packets:
                return packets[0]
        return None

    async def newest(self) -> RingPacket | None:
        """Return the newest packet; None when there is none."""
        if self.tail.newest is not None:
            return self.tail.newest
        position = await self._store.call(_newest_position, self._store.store)
        if position is None:  # numbers were left out at the end, or much is lost
            places = (await self.streams.states()).values()
            position = max((state.last.position for state in places), default=None)
        return None if position is None else await self.get(position)

    async def describe(self, position: int) -> tuple[str, int] | None:
        """Return stream and start of the packet with this number; None when it is not there."""
        if (packet := self.tail.at(position)) is not None:
            return packet.name, packet.start_ns
        found = await self._store.call(self._store.store.describe, position)
        return found and found[:2]

    async def find(self, names: Iterable[str], time_ns: int) -> int | None:
        """Return a number before which no packet of these streams ends at or after *time_ns*; None: there is none.

        Of few streams it is that of the first such packet. Of many there may be none behind it, either.
        """
        wanted = list(names)
        if len(wanted) > _FEW_NAMES:
            return await self._store.call(self._store.store.find_any, time_ns)
        return await self._store.call(_find_first, self._store.store, wanted, time_ns)

    async def extents(self) -> Mapping[str, Extent]:
        """Return how many packets of each stream are held, and of what times."""
        return await self._store.call(self._store.store.extents)

    async def ranges(self, name: str, tolerance_ns: int) -> list[tuple[int, int]]:
        """Return the times of a stream that are held; parts that are no further apart than the tolerance are one."""
        found = await self._store.call(self._store.store.ranges, name, tolerance_ns)
        return [(each.start_ns, each.end_ns) for each in found]

    async def aclose(self) -> None:
        """Wait for what is being read."""
        await self._blocks.aclose()


def _newest_position(store: Store) -> int | None:
    end = store.end_position
    candidates = range(end - 1, max(store.oldest_position, end - _LOOK_BACK) - 1, -1)
    return next((position for position in candidates if store.describe(position) is not None), None)


def _find_first(store: Store, names: Iterable[str], time_ns: int) -> int | None:
    found = (store.find(name, time_ns) for name in names)
    return min((position for position in found if position is not None), default=None)
