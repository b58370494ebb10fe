"""From what a receiver publishes to its publishers: one outlet and one task each, records made once per format.

::

    put ──┬── outlet ── ZMQTCPPublisher.deliver(batch)
          └── outlet ── RecordMaker(format) ──┬── outlet ── MiniSeedPublisher.deliver(batch)
                                              └── outlet ── another publisher of that format

Every arrow is bounded. A full outlet of the policy block closes the door of the one before it, back to the receiver.
Where nothing waits and little comes, it passes an outlet by: records are made, and delivered, in the call of ``put``.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from rawdaq.delivery.queue import Outlet
from rawdaq.delivery.records import RecordStage
from rawdaq.delivery.worker import Delivery
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import OverflowPolicy, Publisher


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
        self._entries: list[RecordStage | Delivery] = [*direct, *self.stages]  # packets leave before records are made
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

    async def drain(self, timeout_s: float, spent_s: float = 0.0) -> str | None:
        """Deliver all that waits, partial records included; what is paused is tried at once, and again and again.

        Reading has ended, so the little that is on its way is taken also where there is no room.

        Args:
            timeout_s: how long a stop may take for that.
            spent_s: how much of it is over.

        Returns:
            What is lost because it could not be delivered within *timeout_s*, in words; usually None.
        """
        for delivery in self.deliveries:
            delivery.begin_end()
        try:
            async with asyncio.timeout(timeout_s - spent_s):
                await asyncio.gather(*(stage.drain() for stage in self.stages if not stage.is_dead))
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
        """Return what `status` shows of every publisher; what its records refused is added to what it refused."""
        of_stage = {id(target): stage.status() for stage in self.stages for target in stage.targets}
        shown: dict[str, dict[str, object]] = {}
        for name, delivery in zip(self._names, self.deliveries, strict=True):
            made, own = of_stage.get(id(delivery), {"refused": 0}), delivery.status()
            shown[name] = {**made, **own, "refused": made["refused"] + cast("int", own.get("refused", 0))}
        return shown


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
