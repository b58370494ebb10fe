"""Brings packets to those who follow a ring: at once where they keep up, from the disk where they do not."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from rawdaq.ring.packets import RingPacket
from rawdaq.ring.reading import RingReader
from rawdaq.store.errors import StoreError

#: Of one write; with what the system has not taken yet it bounds what a client can make us hold.
WRITE_BYTES: Final = 64 << 10
_SENDS_IN_A_TURN = 64

#: Streams for which a view remembers what it does with them.
MAX_REMEMBERED: Final = 100_000


class Client(Protocol):
    """What gets packets."""

    @property
    def is_full(self) -> bool:
        """Whether it has not taken yet what was written before; `Sender.resume` says that it has."""
        ...

    def write(self, data: bytes) -> None:
        """Send *data*."""
        ...

    def fail(self, reason: str) -> None:
        """End it: it cannot get what it wants."""
        ...

    def lapse(self, first: int, end: int) -> None:
        """Log that it did not get numbers from *first* on, up to *end*."""
        ...


class View(ABC):
    """Which packets clients get, and as which bytes; those with the same view get the same."""

    @abstractmethod
    def frame(self, packet: RingPacket) -> bytes:
        """Return *packet* as it is sent; empty when it is not."""

    @abstractmethod
    def may_send(self, name: str) -> bool:
        """Whether packets of the stream *name* may be among those that are sent."""

    def frames(self, packets: Iterable[RingPacket]) -> list[bytes]:
        """Return those of *packets* that are sent, as they are sent."""
        frame = self.frame
        return [data for packet in packets if (data := frame(packet))]


class Follower:
    """A client that gets packets, and how far it has got them.

    Args:
        client: the client.
        view: what it gets.
        position: the first number that it has not got.

    Attributes:
        sent_packets: how many it got.
        missed: how many numbers it did not get because the ring had made room for newer ones.
        is_over: whether it gets nothing more.
        looked_to: up to this number all has to be read; beyond it there may be parts with nothing for it.
    """

    def __init__(self, client: Client, view: View, position: int) -> None:
        self.client = client
        self.view = view
        self.position = position
        self.sent_packets = 0
        self.missed = 0
        self.is_over = False
        self.looked_to = 0

    @property
    def shares(self) -> bool:
        """Whether it gets all that its view shows."""
        return True

    def frames(self, packets: Sequence[RingPacket]) -> list[bytes]:
        """Return what of *packets* it gets."""
        return self.view.frames(packets)

    def advance(self, position: int) -> None:
        """Take note that it has all up to *position*."""
        self.position = position

    def jump(self, position: int) -> None:
        """Take note that what lies before *position* is no longer there."""
        self.missed += position - self.position
        self.client.lapse(self.position, position)
        self.advance(position)


class Sender:
    """Serves all followers of a ring.

    Args:
        reader: of the ring.
    """

    def __init__(self, reader: RingReader) -> None:
        self._reader = reader
        self._tail = reader.tail
        self._idle: dict[Follower, None] = {}
        self._ready: deque[Follower] = deque()
        self._full: set[Follower] = set()
        self._behind: dict[Follower, asyncio.Task[None]] = {}
        self._is_scheduled = False
        self._joined: dict[tuple[View, int], tuple[bytes, int, int]] = {}

    def add(self, follower: Follower) -> None:
        """Send to *follower* from now on."""
        self._ready.append(follower)
        self._schedule()

    def remove(self, follower: Follower) -> None:
        """Send nothing more to it."""
        follower.is_over = True
        self._idle.pop(follower, None)
        self._full.discard(follower)
        if (task := self._behind.pop(follower, None)) is not None:
            task.cancel()

    def written(self, packets: Sequence[RingPacket]) -> None:
        """Take note that there is something new."""
        if self._idle:
            self._ready.extend(self._idle)
            self._idle.clear()
            self._schedule()

    def resume(self, follower: Follower) -> None:
        """Take note that the client is not full any more."""
        if follower in self._full:
            self._full.discard(follower)
            self._ready.append(follower)
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._ready:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Serve some of those that are ready; then others have the loop."""
        self._is_scheduled = False
        self._joined.clear()
        for _ in range(min(_SENDS_IN_A_TURN, len(self._ready))):
            follower = self._ready.popleft()
            if not follower.is_over:
                self._serve(follower)
        self._schedule()

    def _serve(self, follower: Follower) -> None:
        if follower.client.is_full:
            self._full.add(follower)
        elif follower.position < self._tail.first:
            task = asyncio.get_running_loop().create_task(self._catch_up(follower), name="ring client catches up")
            self._behind[follower] = task
        else:
            self._send_newest(follower)

    def _send_newest(self, follower: Follower) -> None:
        if follower.shares:
            data, count, position = self._shared(follower.view, follower.position)
        else:
            data, count, position = self._join(follower, follower.position)
        self._send(follower, data, count, position)
        if follower.is_over:
            return
        if follower.position < self._tail.end:
            self._ready.append(follower)
        else:
            self._idle[follower] = None

    def _shared(self, view: View, position: int) -> tuple[bytes, int, int]:
        """Return what all followers with this view and place get, made once a turn."""
        joined = self._joined.get((view, position))
        if joined is None:
            joined = self._joined[view, position] = self._join(view, position)
        return joined

    def _join(self, view: View | Follower, position: int) -> tuple[bytes, int, int]:
        packets = self._tail.since(position, WRITE_BYTES)
        frames = view.frames(packets)
        return b"".join(frames), len(frames), packets[-1].position + 1 if packets else max(position, self._tail.end)

    def _send(self, follower: Follower, data: bytes, count: int, position: int) -> None:
        if data:
            follower.client.write(data)
            follower.sent_packets += count
        follower.advance(position)

    async def _catch_up(self, follower: Follower) -> None:
        """Send what is on the disk alone, until the client is full or has caught up."""
        try:
            while not follower.is_over and not follower.client.is_full and follower.position < self._tail.first:
                await self._send_older(follower)
        except StoreError as error:
            follower.client.fail(f"what it wants cannot be read: {error}")
        finally:
            self._behind.pop(follower, None)
        if not follower.is_over:
            self._ready.append(follower)
            self._schedule()

    async def _send_older(self, follower: Follower) -> None:
        self._jump(follower, self._reader.oldest)
        if follower.position >= follower.looked_to:
            await self._skip(follower)
        first, packets, end = await self._reader.from_(follower.position)
        if follower.is_over:
            return
        self._jump(follower, first)  # the ring may have made room meanwhile
        taken: list[RingPacket] = []
        size = 0
        for packet in packets:
            taken.append(packet)
            size += len(packet.data)
            if size >= WRITE_BYTES:
                end = packet.position + 1
                break
        frames = follower.frames(taken)
        self._send(follower, b"".join(frames), len(frames), end)

    async def _skip(self, follower: Follower) -> None:
        """Pass over segments in which there is no stream for it."""
        streams = frozenset(filter(follower.view.may_send, self._reader.streams.names))
        position, follower.looked_to = await self._reader.skip(streams, follower.position)
        if follower.is_over:
            return
        self._jump(follower, self._reader.oldest)  # nobody looked whether there was something for it
        if position > follower.position:
            follower.advance(position)

    def _jump(self, follower: Follower, first: int) -> None:
        """Let *follower* go on at *first*, the oldest packet, when it is not as far as that."""
        if follower.position < first:
            follower.jump(first)

    def close(self) -> None:
        """Stop serving."""
        for follower in [*self._behind, *self._idle, *self._ready, *self._full]:
            self.remove(follower)
        self._ready.clear()
