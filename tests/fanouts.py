"""Publishers that keep what they get, and a fanout that runs."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from rawdaq.delivery.fanout import Fanout
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.stream_id import StreamId

LOG = logging.getLogger("rawdaq.test")
HHN = StreamId("XX", "DEMO", "00", "HHN")


class Keeper(Publisher):
    """Keeps what it gets; `failures` are raised one by one before it does."""

    def __init__(self, name: str = "keeper", failures: Sequence[Exception] = ()) -> None:
        super().__init__(name)
        self.kept: list[Any] = []
        self.failures = list(failures)
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, batch: Sequence[Any]) -> None:
        await self.gate.wait()
        if self.failures:
            error = self.failures.pop(0)
            if isinstance(error, PublisherUnavailable):
                self.kept += batch[: error.delivered]
            raise error
        self.kept += batch


class RecordKeeper(Keeper):
    record_format = RecordFormat(flush_after_s=3600.0)


class AtOnce(Keeper):
    """Keeps what it gets at once while its gate is open."""

    async def deliver(self, batch: Sequence[Any]) -> None:
        await super().deliver(batch)
        self.kept.append("by the task")

    def try_deliver(self, batch: Sequence[Any]) -> bool:
        if not self.gate.is_set():
            return False
        if self.failures:
            raise self.failures[0]
        self.kept += batch
        return True


class RecordsAtOnce(RecordKeeper):
    """Keeps records at once."""

    def try_deliver(self, batch: Sequence[Any]) -> bool:
        self.kept += batch
        return True


@contextlib.asynccontextmanager
async def running(fanout: Fanout) -> AsyncGenerator[list[asyncio.Task[Any]]]:
    for worker in fanout.workers:
        worker._opened.set()  # by the test
    tasks = [asyncio.ensure_future(run()) for run in fanout.tasks().values()]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
