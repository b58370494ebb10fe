"""Puts packets into a ring: what several writers bring meanwhile is written together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from rawdaq.errors import InvalidValue
from rawdaq.ring.packets import NewPacket, RingPacket, to_entry
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.errors import StoreError

_GROUP_PACKETS = 4096
_GROUP_BYTES = 1 << 20
_ROOM_BYTES = 8 << 20  # waiting to be written; who brings more has to wait
_PACKET_BYTES = 300  # of one besides its data
_NS_PER_US = 1000

WriteError = StoreError | InvalidValue
#: Called with the numbers that packets got, in order, and why the others were not written.
Done = Callable[[Sequence[int], WriteError | None], None]
Written = Callable[[Sequence[RingPacket]], None]


class _Ticket:
    """What one writer brought at once, and how far that is written."""

    def __init__(self, packets: Sequence[NewPacket], done: Done) -> None:
        self.packets = packets
        self.done = done
        self.numbers: list[int] = []
        self.taken = 0
        self.error: WriteError | None = None

    @property
    def is_written(self) -> bool:
        return len(self.numbers) == len(self.packets)


class RingWriter:
    """Writes what is put, in order, and confirms to the writers when it is as safe as it is to be.

    Args:
        store: an open one.
        is_synced: whether it is safe only when a power cut cannot undo it; else when a kill of the process cannot.
        written: called with packets as soon as they are written.
        why_not: says why the next packet cannot have a certain number.
        clock: the time in nanoseconds.

    Attributes:
        waiting_bytes: what is not written yet.
    """

    def __init__(
        self,
        store: AsyncStore,
        is_synced: bool,
        written: Written,
        why_not: Callable[[int], str | None],
        clock: Callable[[], int],
    ) -> None:
        self.waiting_bytes = 0
        self._store = store
        self._is_synced = is_synced
        self._written = written
        self._why_not = why_not
        self._clock = clock
        self._tickets: deque[_Ticket] = deque()
        self._unsafe: deque[tuple[int, _Ticket]] = deque()
        self._is_wanted = asyncio.Event()
        self._has_unsafe = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def is_full(self) -> bool:
        """Whether writers should wait for `room`."""
        return self.waiting_bytes > _ROOM_BYTES

    async def room(self) -> None:
        """Return when there is room for more."""
        await self._has_room.wait()

    async def empty(self) -> None:
        """Return when nothing waits."""
        await self._is_empty.wait()

    def put(self, packets: Sequence[NewPacket], done: Done) -> None:
        """Have *packets* written; *done* is called once, in the loop, when they are safe or cannot be written."""
        if not packets:
            done((), None)
            return
        self._tickets.append(_Ticket(packets, done))
        self._is_empty.clear()
        self.waiting_bytes += sum(map(_size_bytes, packets))
        if self.is_full:
            self._has_room.clear()
        self._is_wanted.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._is_wanted.wait()
            while self._tickets:
                await self._write_group()
            self._is_wanted.clear()

    async def confirm(self) -> None:
        """Confirm to writers what is synced, until cancelled; only needed where they wait for that.

        All that one sync has covered is confirmed at once.
        """
        while True:
            await self._has_unsafe.wait()
            await self._store.synced(self._unsafe[0][0])
            safe = self._store.store.synced_position
            while self._unsafe and self._unsafe[0][0] <= safe:
                _, ticket = self._unsafe.popleft()
                ticket.done(ticket.numbers, ticket.error)
            if not self._unsafe:
                self._has_unsafe.clear()

    async def _write_group(self) -> None:
        group = self._next_group()
        packets = [packet for _, packet in group]
        time_ns = self._clock() // _NS_PER_US * _NS_PER_US  # as DataLink says it
        number = packets[0].number
        if number is not None and (reason := self._why_not(number)) is not None:
            self._refuse_first(InvalidValue(reason))
            return
        try:
            if number is not None:
                await self._store.skip_to(number)
            positions = await self._store.write([to_entry(packet, time_ns) for packet in packets])
        except (StoreError, InvalidValue) as error:
            self._fail(error)
            return
        made = [
            RingPacket(position, packet.name, time_ns, packet.start_ns, packet.end_ns, packet.data)
            for position, packet in zip(positions, packets, strict=True)
        ]
        self._written(made)
        for position, (ticket, _) in zip(positions, group, strict=True):
            ticket.numbers.append(position)
        self._free(sum(map(_size_bytes, packets)))
        self._finish(positions.stop)

    def _next_group(self) -> list[tuple[_Ticket, NewPacket]]:
        """Return what is written next; a packet that must have a certain number stands alone."""
        group: list[tuple[_Ticket, NewPacket]] = []
        size = 0
        for ticket in self._tickets:
            while ticket.taken < len(ticket.packets):
                packet = ticket.packets[ticket.taken]
                if group and (packet.number is not None or size > _GROUP_BYTES or len(group) >= _GROUP_PACKETS):
                    return group
                group.append((ticket, packet))
                ticket.taken += 1
                size += len(packet.data)
                if packet.number is not None:
                    return group
        return group

    def _finish(self, end: int) -> None:
        """Confirm to those whose packets are all written, or let them wait for the sync."""
        while self._tickets and self._tickets[0].is_written:
            self._tell(self._tickets.popleft(), end)

    def _tell(self, ticket: _Ticket, end: int) -> None:
        """Answer a writer, of what was written below *end* when that is safe."""
        if self._is_synced and ticket.numbers:
            self._unsafe.append((end, ticket))
            self._has_unsafe.set()
        else:
            ticket.done(ticket.numbers, ticket.error)

    def _refuse(self, ticket: _Ticket, error: WriteError) -> None:
        ticket.error = error
        self._tell(ticket, ticket.numbers[-1] + 1 if ticket.numbers else 0)

    def _refuse_first(self, error: WriteError) -> None:
        """Refuse the rest of what the first writer brought."""
        ticket = self._tickets.popleft()
        self._refuse(ticket, error)
        self._free(sum(map(_size_bytes, ticket.packets[len(ticket.numbers) :])))

    def _fail(self, error: WriteError) -> None:
        """Refuse all that waits: what comes after something of the same writer must not be written without it."""
        while self._tickets:
            self._refuse(self._tickets.popleft(), error)
        self._free(self.waiting_bytes)

    def _free(self, size_bytes: int) -> None:
        self.waiting_bytes -= size_bytes
        if not self.is_full:
            self._has_room.set()
        if not self.waiting_bytes:
            self._is_empty.set()

    def close(self, error: WriteError) -> None:
        """Refuse what is not confirmed yet; nothing may be put any more."""
        self._fail(error)
        while self._unsafe:
            _, ticket = self._unsafe.popleft()
            ticket.done((), error)


def _size_bytes(packet: NewPacket) -> int:
    return len(packet.data) + _PACKET_BYTES
