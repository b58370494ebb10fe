"""From what a receiver publishes to its publishers: one outlet and one task each, records made once per format.

::

    put ──┬── outlet ── ZMQTCPPublisher.deliver_runs(batch)
          └── outlet ── RecordMaker(format) ──┬── outlet ── MiniSeedPublisher.deliver_runs(batch)
                                              └── outlet ── another publisher of that format

Every arrow is bounded. A full outlet of the policy block closes the door of the one before it, back to the receiver.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rawdaq.outlet import Outlet, OverflowPolicy, count_of
from rawdaq.packet import Packet, PacketRun, StreamId
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.record_series import is_compiled
from rawdaq.records import RecordFormat, RecordMaker, RecordRun, why_not
from rawdaq.selection import selection
from rawdaq.times import NS_PER_S

_RETRY_FIRST_S = 0.5
_RETRY_MAX_S = 30.0

#: What waits for a record maker, which never waits itself: one burst is enough.
_STAGE_PACKETS = 10_000
_STAGE_BYTES = 4_000_000

#: Records of a stream that are made at once under load: what one series costs beside its records is then little.
_RECORDS_AT_ONCE = 16
_BUSY_ITEMS = 32  # in one batch
_HOLD_NS = NS_PER_S // 10  # so long at most
_TURNS = 2  # of the loop, until it has asked the sockets and called those who read them


def outlet_of(publisher: Publisher) -> Outlet[Any]:
    """Return the outlet that *publisher* asks for."""
    return Outlet(
        publisher.name,
        publisher.overflow,
        publisher.queue_packets,
        int(publisher.queue_mb * 1e6),
        publisher.log,
        time.monotonic,
    )


class Delivery:
    """One publisher, its outlet, and the task that carries batches from one to the other."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.outlet = outlet_of(publisher)
        self.selection = selection([publisher.streams])
        self.paused_reason: str | None = None
        self.is_dead = False
        self._is_running = False
        self._failure: Exception | None = None
        self._paused_since = 0.0

    def put(self, items: list[Any]) -> bool:
        """Have *items* delivered: at once when nothing waits and the publisher can, else by the task.

        Returns:
            False when the caller must await the outlet's room before it puts more.
        """
        outlet = self.outlet
        if items and not outlet.waiting and self._is_running:
            try:
                if count := self.publisher.deliver_now(items):
                    outlet.delivered_count += count
                    return True
            except PublisherUnavailable as error:
                outlet.delivered_count += error.delivered
                items = _rest(items, error.delivered)
            except Exception as error:
                self._failure = error  # the task ends with it, as with one of its own
        return outlet.put(items)

    async def run(self) -> None:
        """Deliver batch after batch until cancelled."""
        self._is_running = True
        try:
            while True:
                batch = await self.outlet.take()
                if self._failure is not None:
                    raise self._failure
                await self._deliver(batch)
                self.outlet.acknowledge(len(batch))
                self._resume()
        except Exception:
            self.is_dead = True  # nobody empties its outlet any more
            raise
        finally:
            self._is_running = False

    async def _deliver(self, batch: Sequence[Any]) -> None:
        """Return when *batch* is delivered; what the publisher cannot deliver now is tried again."""
        delay_s = _RETRY_FIRST_S
        while batch:
            try:
                await self.publisher.deliver_runs(batch)
                return
            except PublisherUnavailable as error:
                self._pause(error.reason)
                batch = _rest(batch, error.delivered)
            if batch:
                await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))
                delay_s = min(2 * delay_s, _RETRY_MAX_S)

    def _pause(self, reason: str) -> None:
        if self.paused_reason is None:
            self._paused_since = time.monotonic()
        if self.paused_reason != reason:
            self.publisher.log.error("%s is paused: %s; it tries again by itself", self.publisher.name, reason)
        self.paused_reason = reason

    def _resume(self) -> None:
        if self.paused_reason is not None:
            self.publisher.log.warning(
                "%s delivers again after %.1f s", self.publisher.name, time.monotonic() - self._paused_since
            )
            self.paused_reason = None

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this publisher."""
        return {
            "class": type(self.publisher).__name__,
            "state": "paused" if self.paused_reason else "running",
            "paused_reason": self.paused_reason,
            **self.outlet.status(),
            **self.publisher.status(),
        }


def _rest(batch: Sequence[Any], delivered: int) -> list[Any]:
    """Return what follows the first *delivered* packets, records or messages of *batch*."""
    rest: list[Any] = []
    for item in batch:
        count = count_of(item)
        if delivered < count:
            rest.append(item[delivered:] if delivered else item)
        delivered = max(0, delivered - count)
    return rest


class RecordStage:
    """Makes the records of one format, once for all publishers that want it."""

    def __init__(
        self, record_format: RecordFormat, targets: list[Delivery], log: logging.Logger, clock_ns: Callable[[], int]
    ) -> None:
        self.targets = targets
        self.outlet: Outlet[Packet | PacketRun | bytes] = Outlet(
            "records", OverflowPolicy.BLOCK, _STAGE_PACKETS, _STAGE_BYTES, log, time.monotonic
        )
        self.selection = selection([target.publisher.streams for target in targets])
        self.refused = 0
        self._log = log
        self._clock_ns = clock_ns
        self._format = record_format
        self._maker = RecordMaker(record_format)
        self._accepted: dict[StreamId, bool] = {}
        self._told_bytes = False
        self._timer: asyncio.TimerHandle | None = None
        self._holding_since_ns = 0

    def put(self, packets: list[Packet | PacketRun | bytes]) -> bool:
        """Have records made of *packets*; return False when the caller must await room before it puts more."""
        return self.outlet.put(packets)

    async def run(self) -> None:
        """Turn packets into records until cancelled; a partial record leaves when it is due."""
        if not is_compiled():
            self._log.info(
                "records cost more than need be: rawdaq was installed without a C compiler and Python's headers; with "
                "both, install it again (pip install --force-reinstall --no-cache-dir)"
            )
        try:
            while True:
                self._set_timer()
                batch = await self.outlet.take()
                records = self._add(batch) if batch else []
                records += self._maker.flush_due(self._clock_ns())
                await self._hand_on(records)
                self.outlet.acknowledge(len(batch))
                if self._maker.is_holding and not await self._may_hold():
                    await self._hand_on(self._maker.take())
                if not self._maker.is_holding:
                    self._holding_since_ns = 0
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _set_timer(self) -> None:
        """See that `run` goes on when a record is due; one timer runs out before another is set."""
        due_ns = self._maker.due_ns
        if due_ns is not None and self._timer is None:
            delay_s = max(0, due_ns - self._clock_ns()) / NS_PER_S
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.outlet.wake()

    async def _may_hold(self) -> bool:
        """Whether full records may wait for more: the next turns of the loop bring some, and it is not for long."""
        now_ns = self._clock_ns()
        self._holding_since_ns = self._holding_since_ns or now_ns
        if now_ns - self._holding_since_ns > _HOLD_NS:
            return False
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return len(self.outlet) > 0

    def _add(self, batch: list[Packet | PacketRun | bytes]) -> list[RecordRun]:
        packets = [item for item in batch if not isinstance(item, bytes) and self._is_accepted(item.stream)]
        if len(packets) < len(batch):
            self.refused += sum(map(count_of, batch)) - sum(map(count_of, packets))
        if not self._told_bytes and any(isinstance(item, bytes) for item in batch):
            self._told_bytes = True
            self._log.error("plain bytes have no stream and no time: not written as miniSEED, counted as refused")
        # Many packets, or runs of them, come when there is more to do than time: then waiting is better than to begin.
        is_busy = len(packets) >= _BUSY_ITEMS or any(isinstance(item, PacketRun) for item in packets)
        at_once = _RECORDS_AT_ONCE if is_busy else 1
        return self._maker.add(packets, self._clock_ns(), at_once)

    def _is_accepted(self, stream: StreamId) -> bool:
        """Whether the format can name *stream*; asked, and if not logged, once per stream."""
        accepted = self._accepted.get(stream)
        if accepted is None:
            reason = why_not(self._format, stream)
            if reason is not None:
                self._log.error("%s is not written as miniSEED, counted as refused: %s", stream, reason)
            accepted = self._accepted[stream] = reason is None
        return accepted

    def status(self) -> dict[str, object]:
        """Return what `status` shows at the publishers of this format.

        ``refused`` counts packets that cannot be records and samples for which there is no encoding, ``fallbacks``
        records in another encoding than the wanted one.
        """
        counts = self._maker.counts.values()
        return {
            "refused": self.refused + sum(each.refused for each in counts),
            "fallbacks": sum(each.fallbacks for each in counts),
        }

    async def drain(self) -> None:
        """Make records of all that waits, also those that are not full; return when there is room for them."""
        await self.outlet.empty()
        await self._hand_on(self._maker.flush())

    @property
    def left(self) -> str | None:
        """What waits to become records, in words; None when nothing does."""
        packets, samples = len(self.outlet), self._maker.waiting_samples
        if not (packets or samples):
            return None
        names = ", ".join(target.publisher.name for target in self.targets)
        return f"{packets} packets and {samples} further samples that were to become records of {names}"

    async def _hand_on(self, records: list[RecordRun]) -> None:
        if records:
            for target in self.targets:
                target.put(records if target.selection is None else target.selection.of(records))
            for target in self.targets:
                await target.outlet.room()


class Fanout:
    """Everything behind ``publish``: what is put here reaches every publisher that wants it, or is counted.

    Attributes:
        put_count: how many items were put so far.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        log: logging.Logger,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.deliveries = [Delivery(publisher) for publisher in publishers]
        self._names = _unique(publisher.name for publisher in publishers)
        formats: dict[RecordFormat, list[Delivery]] = {}
        for delivery in self.deliveries:
            if delivery.publisher.record_format is not None:
                formats.setdefault(delivery.publisher.record_format, []).append(delivery)
        self.stages = [RecordStage(wanted, targets, log, clock_ns) for wanted, targets in formats.items()]
        direct = [delivery for delivery in self.deliveries if delivery.publisher.record_format is None]
        self._entries: list[RecordStage | Delivery] = [*self.stages, *direct]
        self._outlets = [entry.outlet for entry in self._entries]
        self.put_count = 0
        self._log = log

    def put(self, packets: list[Packet | PacketRun | bytes]) -> bool:
        """Hand *packets* to all who want them; return False when the caller must await `room` before it puts more."""
        self.put_count += len(packets)
        has_room = True
        for entry in self._entries:
            selected = packets if entry.selection is None else entry.selection.of(packets)
            has_room = entry.put(selected) and has_room
        return has_room

    async def room(self) -> None:
        """Return when every outlet that blocks has room."""
        for outlet in self._outlets:
            await outlet.room()

    def tasks(self) -> dict[str, Callable[[], Any]]:
        """Return the coroutines that carry the data, by name."""
        stages = {f"records {index}": stage.run for index, stage in enumerate(self.stages)}
        named = list(zip(self._names, self.deliveries, strict=True))
        carried = {f"publisher {name}": delivery.run for name, delivery in named}
        watched = {f"watch {name}": delivery.publisher.watch for name, delivery in named}
        return stages | carried | watched

    async def drain(self, timeout_s: float) -> str | None:
        """Deliver all that waits, partial records included.

        Returns:
            What is lost because it could not be delivered within *timeout_s*, in words; usually None.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(stage.drain() for stage in self.stages))
                await _empty(delivery.outlet for delivery in self.deliveries if not delivery.is_dead)
        except TimeoutError:
            pass
        lost = [
            f"{len(each.outlet)} items of {each.publisher.name} ({each.paused_reason or 'it was still busy'})"
            for each in self.deliveries
            if len(each.outlet)
        ]
        lost += [left for stage in self.stages if (left := stage.left)]
        return f"not delivered within {timeout_s:g} s of stopping and lost: {'; '.join(lost)}" if lost else None

    @property
    def full(self) -> list[str]:
        """The names of the publishers that hold everybody up."""
        behind = {id(stage.outlet): stage.targets for stage in self.stages}
        blocked = [outlet for outlet in self._outlets if outlet.is_full and outlet.policy is OverflowPolicy.BLOCK]
        named = [[each.publisher.name for each in behind.get(id(outlet), ())] or [outlet.name] for outlet in blocked]
        return sorted({name for names in named for name in names})

    def status(self) -> dict[str, dict[str, object]]:
        """Return what `status` shows of every publisher."""
        of_stage = {id(target): stage.status() for stage in self.stages for target in stage.targets}
        return {
            name: {"refused": 0} | of_stage.get(id(delivery), {}) | delivery.status()
            for name, delivery in zip(self._names, self.deliveries, strict=True)
        }


def _unique(names: Iterable[str]) -> list[str]:
    """Return *names* with a number at those that were there before."""
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


async def _empty(outlets: Iterable[Outlet[Any]]) -> None:
    for outlet in outlets:
        await outlet.empty()
