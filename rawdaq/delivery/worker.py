"""From an queue to its publisher: at once where that can be, else by a task, and again when it failed."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rawdaq.delivery.items import count_of, owned, single
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.selection import selection
from rawdaq.errors import ComponentError
from rawdaq.publisher import OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.sockets.dialling import Backoff

_END_RETRY_S = 0.5  # once the end has begun


def queue_of(publisher: Publisher) -> DeliveryQueue[Any]:
    """Return the queue that *publisher* asks for."""
    return DeliveryQueue(
        publisher.name,
        _policy(publisher),
        publisher.queue_packets,
        int(publisher.queue_mb * 1e6),
        publisher.log,
        time.monotonic,
    )


def _policy(publisher: Publisher) -> OverflowPolicy:
    """Return what the queue of *publisher* does when it is full, unless that is paused."""
    return OverflowPolicy.BLOCK if publisher.overflows_only_when_paused else publisher.overflow


class Worker:
    """One publisher, its queue, and the task that carries batches from one to the other."""

    def __init__(self, publisher: Publisher, queue: DeliveryQueue[Any] | None = None) -> None:
        self.publisher = publisher
        self.queue = queue_of(publisher) if queue is None else queue
        self.selection = selection([publisher.streams])
        self.paused_reason: str | None = None
        self.is_dead = False
        self._is_running = False
        self._can_try = type(publisher).try_deliver is not Publisher.try_deliver
        self._has_parts = self.selection is not None and publisher.record_format is None  # of what was read at once
        self._failure: Exception | None = None
        self._is_ending = False
        self._again = asyncio.Event()
        self._paused_since = 0.0

    def put(self, items: list[Any]) -> bool:
        """Have *items* delivered: at once when nothing waits and the publisher can, else by the task.

        Returns:
            False when the caller must await the queue's room before it puts more.
        """
        queue = self.queue
        if self._can_try and items and not queue.waiting and self._is_running and self._failure is None:
            try:
                if self.publisher.try_deliver(items if self.publisher.takes_runs else single(items)):
                    queue.passed_by(items)
                    return True
            except PublisherUnavailable as error:
                queue.delivered_count += error.delivered
                items = _rest(items, error.delivered)
            except Exception as error:
                self._failure = error  # the task ends with it, as with one of its own
        if self._has_parts and queue.waiting:  # so that views keep one read at most
            items = owned(items)
        return queue.put(items)

    async def run(self) -> None:
        """Deliver batch after batch until cancelled."""
        self._is_running = True
        try:
            while True:
                batch = await self.queue.take(self.publisher.gather_bytes, self.publisher.gather_s)
                if self._failure is not None:
                    raise self._failure
                await self._deliver(batch)
                self.queue.acknowledge(len(batch))
                self._resume()
        except Exception as error:
            self.is_dead = True  # its queue is not emptied any more
            self.paused_reason = str(error) if isinstance(error, ComponentError) else repr(error)
            raise
        finally:
            self._is_running = False

    def begin_end(self) -> None:
        """Take the last that comes, also without room for it; try what is paused at once, and from now on often."""
        self._is_ending = True
        self.retry()
        self.queue.begin_end()

    def retry(self) -> None:
        """Try at once what is paused, without the rest of its pause."""
        self._again.set()

    async def _deliver(self, batch: Sequence[Any]) -> None:
        """Return when *batch* is delivered; what the publisher cannot deliver now is tried again."""
        backoff = Backoff()
        while batch:
            self.queue.set_policy(_policy(self.publisher))
            try:
                await self.publisher.deliver(batch if self.publisher.takes_runs else single(batch))
                return
            except PublisherUnavailable as error:
                self._pause(error.reason)
                batch = _rest(batch, error.delivered)
            if batch:
                await self._wait(backoff.next_s())

    async def _wait(self, delay_s: float) -> None:
        """Return after *delay_s*; sooner by `retry`, and once the end has begun."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(delay_s, _END_RETRY_S) if self._is_ending else delay_s):
                await self._again.wait()
        self._again.clear()

    def _pause(self, reason: str) -> None:
        self.queue.set_policy(self.publisher.overflow)
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
        """Return what `status` shows of this publisher; what it dropped itself is added to what its queue dropped."""
        own = self.publisher.status()
        dropped = self.queue.dropped + Counter(cast("Mapping[str, int]", own.get("dropped_by_stream", {})))
        return {
            "class": type(self.publisher).__name__,
            "state": "paused" if self.paused_reason else "running",
            "paused_reason": self.paused_reason,
            **self.queue.status(),
            **own,
            "dropped": self.queue.dropped.total() + cast("int", own.get("dropped", 0)),
            "dropped_by_stream": dict(dropped),
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
