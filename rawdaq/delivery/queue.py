"""A bounded queue: what waits for one publisher, with an overflow policy and counters of what was dropped.

The contract is put, take a batch, acknowledge. What was taken stays counted as waiting until it is acknowledged, so
a batch that could not be delivered is still there. In memory today; a journal on disk can offer the same interface.
"""

import asyncio
import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Generic

from rawdaq.archive.extent import Extent
from rawdaq.delivery.items import NAMELESS, Item, count_of, size_bytes, stream_of
from rawdaq.outage import Outage
from rawdaq.packet import Packet
from rawdaq.publisher import OverflowPolicy

_SINGLE = (Packet, bytes)
_TURNS = 2  # of the loop, until it has polled the sockets and called their readers
_BLOCK = OverflowPolicy.BLOCK  # Python 3.11 finds the members of an enum slowly


class DeliveryQueue(Generic[Item]):
    """The queue between a receiver and one publisher.

    ``put`` never waits. With the policy `OverflowPolicy.BLOCK` it accepts everything and the receiver awaits `room`
    before it reads on, so the queue holds at most its limits and what one read brought. The other policies add nothing
    while a limit is reached, so it holds at most its limits and one item, which may be of any size.

    Args:
        name: the publisher's name, for log lines.
        policy: what happens when a limit is reached.
        max_items: limit of waiting packets, records or messages.
        max_bytes: limit of their memory.
        log: where the start and the extent of an outage are logged.
        clock: seconds that only run forward.

    Attributes:
        waiting: how many packets, records or messages wait, those being delivered included.
        waiting_bytes: about the memory that these hold.
        delivered_count: how many were delivered, those included that did not wait here.
        dropped: how many the policy dropped, by stream.
    """

    def __init__(
        self,
        name: str,
        policy: OverflowPolicy,
        max_items: int,
        max_bytes: int,
        log: logging.Logger,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.policy = policy
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.delivered_count = 0
        self.dropped: Counter[str] = Counter()
        self._clock = clock
        self.waiting = 0
        self._items: deque[Item] = deque()
        self.waiting_bytes = 0
        self._in_flight = 0
        self._taken = 0, 0  # packets, records or messages, and bytes, of what was taken
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._is_ending = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._enough: asyncio.Event | None = None  # ends the wait for more
        self._enough_bytes = 0
        self._outage = Outage(log, clock=clock)
        self._lost = Extent()  # since the outage began
        self._log = log

    def __len__(self) -> int:
        return self.waiting

    @property
    def waiting_s(self) -> float:
        """The time range of what waits of the stream that has waited longest, in seconds; 0 of plain bytes."""
        oldest = next((item for item in self._items if not isinstance(item, NAMELESS)), None)
        if oldest is None:
            return 0.0
        newest = next(item for item in reversed(self._items) if stream_of(item) == stream_of(oldest))
        return Extent([oldest, newest]).seconds

    @property
    def is_dropping(self) -> bool:
        """Whether the policy drops what comes."""
        return self._outage.is_on

    @property
    def is_full(self) -> bool:
        """Whether a limit is reached."""
        return self.waiting >= self.max_items or self.waiting_bytes >= self.max_bytes

    def set_policy(self, policy: OverflowPolicy) -> None:
        """Follow *policy* from now on; a wait for `room` ends when it is no longer needed."""
        if policy is self.policy:
            return
        self.policy = policy
        if policy is not _BLOCK:
            self._room.set()
        elif self.is_full:
            self._room.clear()

    def set_limit(self, max_bytes: int) -> None:
        """Hold up to *max_bytes* from now on; a wait for `room` ends when there is some."""
        self.max_bytes = max_bytes
        if not self.is_full:
            self._room.set()
        elif self.policy is _BLOCK and not self._is_ending:
            self._room.clear()

    def put(self, items: Iterable[Item]) -> bool:
        """Add *items* in order; what the policy drops is counted by stream and logged once per outage.

        Returns:
            False when the caller must await `room` before it puts more.
        """
        for item in items:
            count = count_of(item)
            if self.policy is not _BLOCK and self.is_full and not self._make_room_for(item):
                continue
            self._items.append(item)
            self.waiting += count
            self.waiting_bytes += size_bytes(item)
        if len(self._items) > self._in_flight:
            self._filled.set()
            self._empty.clear()
        if self._enough is not None and self._has_enough:
            self._enough.set()
        if not self.is_full:
            return True
        self._room.clear()
        return self.policy is not _BLOCK

    def _make_room_for(self, item: Item) -> bool:
        """Drop what the policy says until no limit is reached; return whether *item* may now be added."""
        while self.is_full:
            if self.policy is OverflowPolicy.DROP_NEWEST or len(self._items) == self._in_flight:
                self._drop(item)
                return False
            oldest = self._items[self._in_flight]  # what is being delivered cannot be taken back
            del self._items[self._in_flight]
            self.waiting -= count_of(oldest)
            self.waiting_bytes -= size_bytes(oldest)
            self._drop(oldest)
        return True

    def _drop(self, item: Item) -> None:
        stream = stream_of(item)
        if not self._outage.is_on:
            self._lost = Extent()
            self._outage.log(
                "%s does not keep up: its queue is full (%d items, %.1f MB); dropping by %s",
                self.name,
                self.waiting,
                self.waiting_bytes / 1e6,
                self.policy,
            )
        self.dropped[stream] += count_of(item)
        self._lost.add(item)

    async def room(self) -> None:
        """Return when the queue is below its limits (at once unless the policy is block), or its end begins."""
        if self.policy is _BLOCK and not self._is_ending:
            await self._room.wait()

    def begin_end(self) -> None:
        """Let no caller wait for `room` any more: what is still put is the last, and little."""
        self._is_ending = True
        self._room.set()
        if self._enough is not None:
            self._enough.set()

    async def empty(self) -> None:
        """Return when everything that was put is acknowledged or dropped."""
        await self._empty.wait()

    async def take(self, gather_bytes: int = 0, gather_s: float = 0.0) -> list[Item]:
        """Return all that waits as one batch, once something does; an empty one after `wake`.

        The batch stays in the queue until `acknowledge`; nothing more is handed out before.

        Args:
            gather_bytes: return when so much waits, or a quarter of a limit, ...
            gather_s: ... or at the next multiple of this time, or at once when the end has begun; 0: always at once.
        """
        await self._filled.wait()
        if gather_s:
            await self._gather(gather_bytes, gather_s)
        self._filled.clear()
        batch = list(itertools.islice(self._items, self._in_flight, None))
        self._in_flight = len(self._items)
        self._taken = self.waiting, self.waiting_bytes
        return batch

    async def _gather(self, enough_bytes: int, gather_s: float) -> None:
        """Return at the next multiple of *gather_s*, at which all publishers that gather go on together."""
        self._enough_bytes = enough_bytes
        if self._is_ending or self._has_enough:
            return
        loop = asyncio.get_running_loop()
        self._enough = asyncio.Event()
        timer = loop.call_at((loop.time() // gather_s + 1) * gather_s, self._enough.set)
        try:
            await self._enough.wait()
        finally:
            timer.cancel()
            self._enough = None

    @property
    def _has_enough(self) -> bool:
        """Whether so much waits that a batch need not grow; well below the limits, where the receiver would wait."""
        return self.waiting_bytes >= min(self._enough_bytes, self.max_bytes // 4) or self.waiting >= self.max_items // 4

    async def comes_soon(self, within_s: float) -> bool:
        """Return whether more waits, or comes in the next turns of the loop; these take no longer than *within_s*."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return self.waiting > 0

    def wake(self) -> None:
        """End the wait in `take`, which may return an empty batch."""
        self._filled.set()

    def passed_by(self, items: Iterable[Item]) -> None:
        """Count *items* that were delivered without waiting here."""
        for item in items:
            self.delivered_count += 1 if isinstance(item, _SINGLE) else item.count

    def acknowledge(self, count: int) -> None:
        """Forget the first *count* items of what was taken: they are delivered."""
        done, done_bytes = taken, taken_bytes = self._taken
        if count != self._in_flight:  # usually it is all, which was added up before
            first = list(itertools.islice(self._items, count))
            done, done_bytes = sum(map(count_of, first)), sum(map(size_bytes, first))
        if count == len(self._items):
            self._items.clear()
        else:
            for _ in range(count):
                self._items.popleft()
        self._taken = taken - done, taken_bytes - done_bytes
        self.waiting -= done
        self.waiting_bytes -= done_bytes
        self.delivered_count += done
        self._in_flight -= count
        if not self._items:
            self._empty.set()
        if not self.is_full:
            self._room.set()
            self.end_outage("keeps up again")

    def end_outage(self, how: str) -> None:
        """Log what was dropped in an outage that ends, if there is one; *how* it ends."""
        if self._outage.is_on:
            self._log.warning("%s %s after %.1f s: dropped %s", self.name, how, self._outage.elapsed_s, self._lost)
            self._outage.clear()

    def items(self, *, with_taken: bool) -> list[Item]:
        """Return what waits, without or with what was taken and is not acknowledged."""
        return list(itertools.islice(self._items, 0 if with_taken else self._in_flight, None))

    def status(self) -> dict[str, object]:
        """Return the counters as `status` shows them."""
        return {
            "policy": str(self.policy),
            "waiting": self.waiting,
            "waiting_bytes": self.waiting_bytes,
            "delivered": self.delivered_count,
            "dropped": self.dropped.total(),
            "dropped_by_stream": dict(self.dropped),
        }
