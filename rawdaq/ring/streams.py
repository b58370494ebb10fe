"""What is held of each stream: the first and the last packet, kept up as packets come and go."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rawdaq.ring.packets import RingPacket
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.store import Store

_AT_ONCE = 200  # streams that are looked up before others may read
_ANY_TIME_NS = -(2**63)


class PacketPlace(NamedTuple):
    """Where a packet is, and when.

    Attributes:
        position: its number.
        start_ns: time of its first sample.
        end_ns: time of its last one.
    """

    position: int
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class StreamState:
    """A stream.

    Attributes:
        first: its oldest packet.
        last: its newest one.
        end_ns: time of its last sample, in whatever order this run got them.
    """

    first: PacketPlace
    last: PacketPlace
    end_ns: int


class StreamBook:
    """All streams of a ring by name.

    What an earlier run has left is looked up when somebody asks for it, and so is the oldest packet of a stream when
    the one that was it is gone.

    Args:
        store: an open one.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._states: dict[str, StreamState | None] = {}

    @property
    def names(self) -> Sequence[str]:
        """The names of all streams; of one that was removed as a whole it may still be there."""
        return list(self._states)

    async def open(self) -> None:
        """Find out which streams there are.

        Raises:
            StoreError: the disk cannot be read.
        """
        for name in await self._store.call(self._store.store.extents):
            self._states[name] = None

    def add(self, packets: Iterable[RingPacket]) -> None:
        """Take note of what was written."""
        for packet in packets:
            place = PacketPlace(packet.position, packet.start_ns, packet.end_ns)
            state = self._states.get(packet.name)
            if state is not None:
                state.last = place
                state.end_ns = max(state.end_ns, packet.end_ns)
            elif packet.name not in self._states:
                self._states[packet.name] = StreamState(place, place, packet.end_ns)

    async def states(self) -> Mapping[str, StreamState]:
        """Return what is held of each stream.

        Raises:
            StoreError: the disk cannot be read.
        """
        oldest = self._store.store.oldest_position
        stale = [name for name, state in self._states.items() if state is None or state.first.position < oldest]
        for at in range(0, len(stale), _AT_ONCE):
            names = stale[at : at + _AT_ONCE]
            found = await self._store.call(_look_up, self._store.store, names)
            for name in names:
                self._update(name, found.get(name))
        return {name: state for name, state in self._states.items() if state is not None}

    def _update(self, name: str, found: StreamState | None) -> None:
        state = self._states.get(name)
        if state is None and found is None:
            self._states.pop(name, None)
        elif state is None:
            self._states[name] = found
        elif found is not None:  # what came since it was looked up is newer
            state.first = found.first
        elif state.last.position < self._store.store.oldest_position:
            del self._states[name]


def _look_up(store: Store, names: Sequence[str]) -> dict[str, StreamState]:
    """Return what the store holds of these streams; those of which it holds nothing are left out."""
    found: dict[str, StreamState] = {}
    for name in names:
        first, last = _place(store, store.find(name, _ANY_TIME_NS)), _place(store, store.newest(name))
        if first is not None and last is not None:
            found[name] = StreamState(first, last, last.end_ns)
    return found


def _place(store: Store, position: int | None) -> PacketPlace | None:
    described = store.describe(position) if position is not None else None
    return PacketPlace(position, *described[1:]) if position is not None and described is not None else None
