"""Publishers are replaced while a component runs: none that stays misses a packet, or gets one out of order.

In one moment the new ones take the place of the old ones: what is put from then on waits for them. Then the old ones
deliver what they have and are closed, and the new ones are opened, so that both can have the same port or archive.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rawdaq.delivery.closing import close_publishers
from rawdaq.delivery.fanout import Fanout, Swapped, tasks_of
from rawdaq.delivery.journal import journal
from rawdaq.errors import ComponentError
from rawdaq.process.tasks import Tasks
from rawdaq.publisher import Publisher


class Exchange:
    """One replacement of publishers.

    Args:
        fanout: has the publishers, and runs.
        tasks: runs the coroutines of the fanout.
        log: where it is logged what was lost.
        within_s: how long the old ones may take to deliver what they have, and as long again to close.
    """

    def __init__(self, fanout: Fanout, tasks: Tasks, log: logging.Logger, within_s: float) -> None:
        self._fanout, self._tasks, self._log, self._within_s = fanout, tasks, log, within_s

    async def run(self, leaving: Collection[str], coming: Sequence[Publisher]) -> list[str]:
        """Replace the publishers called *leaving* by *coming*; return what went wrong with them, in words.

        A new publisher that can never be opened is taken out again.

        Raises:
            ComponentError: the journal cannot have one of *coming*; nothing is changed.
        """
        if self._fanout.journal is not None:
            self._fanout.journal.check(coming)
        loop = asyncio.get_running_loop()
        for publisher in coming:
            publisher.set_loop(loop)
        self._fanout.is_settled.clear()
        try:
            swapped = self._fanout.swap(leaving, coming)
            return [*await self._let_go(swapped), *await self._let_in(swapped)]
        finally:
            self._fanout.is_settled.set()

    async def _let_go(self, swapped: Swapped) -> list[str]:
        """Let the old publishers deliver and close; return what went wrong."""
        for worker in swapped.gone.values():
            worker.begin_end()
        lost: list[str] = []
        try:
            # Only a publisher that stays can hold this up, by being full: then the receiver waits for it, too.
            await asyncio.gather(*(writer.drain() for writer in swapped.retired if not writer.is_dead))
            self._spawn({writer.name: writer.run for writer in swapped.started})
            await self._deliver_last(swapped)
        finally:
            lost = self._lost(swapped)
        for outlet in swapped.left:
            await outlet.settle()
        names = {*tasks_of(swapped.gone), *journal.tasks_of(swapped.left)}
        names |= {writer.name for writer in swapped.retired}
        names |= {outlet.writer.name for outlet in swapped.left if outlet.writer is not None}
        await self._tasks.cancel(names.__contains__, "the publisher is replaced")
        publishers = [worker.publisher for worker in swapped.gone.values()]
        failures = await close_publishers(publishers, self._within_s, self._log)
        return [*lost, *filter(None, failures)]

    async def _deliver_last(self, swapped: Swapped) -> None:
        writers = [outlet.writer for outlet in swapped.left if outlet.writer is not None]
        try:
            async with asyncio.timeout(self._within_s):
                await asyncio.gather(*(writer.drain() for writer in writers if not writer.is_dead))
                for worker in swapped.gone.values():
                    if not worker.is_dead:
                        await worker.queue.empty()
        except TimeoutError:
            return  # what is left is lost, or in the journal

    def _lost(self, swapped: Swapped) -> list[str]:
        """Log and return what the old publishers could not deliver; what is in the journal is not lost."""
        behind = [outlet.worker for outlet in swapped.left]
        left = [
            f"{name} ({worker.paused_reason or 'it was still busy'}): {worker.undelivered}"
            for name, worker in swapped.gone.items()
            if len(worker.queue) and worker not in behind
        ]
        left += [text for writer in swapped.retired if (text := writer.left)]
        for worker in swapped.gone.values():
            worker.queue.end_outage("ends")
        if not left:
            return []
        lost = f"not delivered and lost: {'; '.join(left)}"
        self._log.error("%s", lost)
        return [lost]

    async def _let_in(self, swapped: Swapped) -> list[str]:
        """Open the new publishers and let them run; return what went wrong."""
        behind = self._fanout.journal
        failures: list[str] = []
        for outlet in swapped.waiting:
            if behind is not None:
                behind.admit(outlet)
                if outlet.writer is not None:
                    self._spawn({outlet.writer.name: outlet.writer.run})
        self._fanout.arrange()
        for name, worker in swapped.fresh.items():
            try:
                await self._fanout.open_workers({name: worker}, is_strict=False)
            except Exception as error:  # whatever a class of another package raises, the others run on
                failures.append(f"{error if isinstance(error, ComponentError) else repr(error)}; it is left out")
                self._log.error("%s", failures[-1])
                await self._take_out(name)
                continue
            self._spawn(tasks_of({name: worker}))
            self._spawn(journal.tasks_of(outlet for outlet in swapped.waiting if outlet.name == name))
        return failures

    async def _take_out(self, name: str) -> None:
        """Take a publisher out again that can never be opened; it has delivered nothing."""
        swapped = self._fanout.swap([name], [])
        await asyncio.gather(*(writer.drain() for writer in swapped.retired))
        names = {writer.name for writer in swapped.retired}
        names |= {outlet.writer.name for outlet in swapped.left if outlet.writer is not None}
        await self._tasks.cancel(names.__contains__, "the publisher cannot be opened")
        self._spawn({writer.name: writer.run for writer in swapped.started})
        await close_publishers([worker.publisher for worker in swapped.gone.values()], self._within_s, self._log)

    def _spawn(self, coroutines: Mapping[str, Callable[[], Any]]) -> None:
        for name, run in coroutines.items():
            self._tasks.spawn(run(), name)
