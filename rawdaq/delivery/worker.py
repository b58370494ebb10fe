"""From a queue to its publisher: at once where that can be, else by a task, and again when it failed."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from rawdaq.archive.extent import Extent
from rawdaq.delivery.items import count_of, owned, single, size_bytes
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.selection import MessageSelection, selection
from rawdaq.errors import ComponentError
from rawdaq.publisher import HeldItems, OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.sockets.dialling import Backoff
from rawdaq.times import duration_text

_END_RETRY_S = 0.5  # once the end has begun
_HUNG_S = 30.0  # no publisher should need so long for a batch


def queue_of(publisher: Publisher) -> DeliveryQueue[Any]:
    """Return the queue that *publisher* asks for."""
    return DeliveryQueue(
        publisher.name,
        _policy(publisher, is_paused=False),
        publisher.queue_packets,
        int(publisher.queue_mb * 1e6),
        publisher.log,
        time.monotonic,
    )


def _policy(publisher: Publisher, *, is_paused: bool) -> OverflowPolicy:
    """Return what the queue of *publisher* does when it is full."""
    return OverflowPolicy.BLOCK if publisher.overflows_only_when_paused and not is_paused else publisher.overflow


async def _nothing() -> None:
    """Prepare nothing."""


class Worker:
    """One publisher, its queue, and the task that carries batches from one to the other.

    Args:
        publisher: the publisher.
        queue: what waits for it; by default the queue that it asks for.
        prepare: called once it is open, before it gets anything; raises as its `open` does.
    """

    def __init__(
        self,
        publisher: Publisher,
        queue: DeliveryQueue[Any] | None = None,
        prepare: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.publisher = publisher
        self.queue = queue_of(publisher) if queue is None else queue
        self.selection = selection([publisher.streams])
        self.messages = MessageSelection(publisher)
        self.paused_reason: str | None = None
        self.is_dead = False
        self._opened = asyncio.Event()
        self._prepare = prepare
        self._has_opened = False  # it may still have to be prepared
        self._opening: asyncio.Task[None] | None = None  # the first attempt
        self._is_running = False
        self._can_try = type(publisher).try_deliver is not Publisher.try_deliver
        self._has_parts = self.selection is not None and publisher.record_format is None  # of what was read at once
        self._failure: Exception | None = None
        self._is_ending = False
        self._forced: OverflowPolicy | None = None
        self._again = asyncio.Event()
        self._paused_since = 0.0
        self._busy_since: float | None = None
        self._batch: Sequence[Any] = ()  # what is being delivered, or is to be tried again

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

    def begin_open(self, *, is_strict: bool) -> asyncio.Task[None]:
        """Return the task of the first attempt to open the publisher; unless *is_strict*, `run` makes the others."""
        opening = self._open() if is_strict else self._open_or_pause()
        self._opening = asyncio.get_running_loop().create_task(opening, name=f"opening {self.publisher.name}")
        return self._opening

    def open_later(self) -> None:
        """Take note that the first attempt to open takes too long to wait for; the publisher is paused until then."""
        self._pause("it is still being opened: does its disk or network answer?")

    async def stop_opening(self) -> None:
        """End the first attempt, where `run` has not begun to wait for it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])

    async def _open(self) -> None:
        if not self._has_opened:
            await self.publisher.open()
            self._has_opened = True
        await self._prepare()
        self._opened.set()

    async def _open_or_pause(self) -> None:
        """Open the publisher; pause it where something outside is missing.

        Raises:
            Exception: any other, such as `InvalidValue`: to try again would not help.
        """
        try:
            await self._open()
        except (ComponentError, PublisherUnavailable) as error:
            self._pause(str(error))
        except OSError as error:
            self._pause(error.strerror or str(error))
        else:
            self._resume("is open")

    async def _until_open(self) -> None:
        """Return when the publisher is open; what comes until then waits in the queue."""
        backoff = Backoff()
        while not self._opened.is_set():
            opening, self._opening = self._opening or self._open_or_pause(), None
            await opening
            if not self._opened.is_set():
                await self._wait(backoff.next_s())

    async def watch(self) -> None:
        """Run what the publisher runs beside its deliveries, once it is open."""
        await self._opened.wait()
        await self.publisher.watch()

    async def run(self) -> None:
        """Open the publisher if it is not open yet, then deliver batch after batch, until cancelled."""
        try:
            await self._until_open()
            self._is_running = True
            while True:
                batch = await self.queue.take(self.publisher.gather_bytes, self.publisher.gather_s)
                if self._failure is not None:
                    raise self._failure
                await self._deliver(batch)
                self.queue.acknowledge(len(batch))
                self._resume("delivers again")
        except Exception as error:
            self.is_dead = True  # its queue is not emptied any more
            self.paused_reason = str(error) if isinstance(error, ComponentError) else repr(error)
            raise
        finally:
            self._is_running = False

    def set_overflow(self, policy: OverflowPolicy | None) -> None:
        """Let the queue follow *policy* while the publisher is not paused; None: the one that the publisher has."""
        self._forced = policy
        self._apply_policy()

    def _apply_policy(self) -> None:
        is_paused = self.paused_reason is not None
        forced = None if is_paused else self._forced
        self.queue.set_policy(forced or _policy(self.publisher, is_paused=is_paused))

    def begin_end(self) -> None:
        """Take the last that comes, also without room for it; try what is paused at once, and from now on often."""
        self._is_ending = True
        self.retry()
        self.queue.begin_end()

    def retry(self) -> None:
        """Try at once what is paused, without the rest of its pause."""
        self._again.set()
        self.publisher.retry()

    @property
    def is_paused(self) -> bool:
        """Whether the publisher cannot deliver now, all or a part."""
        return self.paused_reason is not None or self.publisher.held is not None

    async def _deliver(self, batch: Sequence[Any]) -> None:
        """Return when *batch* is delivered; what the publisher cannot deliver now is tried again."""
        backoff = Backoff()
        while batch:
            self._batch = batch
            self._busy_since = time.monotonic()
            late = asyncio.get_running_loop().call_later(_HUNG_S, self._log_hung)
            try:
                await self.publisher.deliver(batch if self.publisher.takes_runs else single(batch))
                self._batch = ()
                return
            except PublisherUnavailable as error:
                self._pause(error.reason)
                batch = self._batch = _rest(batch, error.delivered)
            finally:
                if self._hung():
                    self.publisher.log.warning("%s: the delivery has ended", self.publisher.name)
                self._busy_since = None
                late.cancel()
            if batch:
                await self._wait(backoff.next_s())

    def _log_hung(self) -> None:
        self.publisher.log.error("%s is hung: %s", self.publisher.name, self._hung())

    def _hung(self) -> str | None:
        """Return what is wrong with a delivery that takes too long; None when there is none."""
        busy_s = 0.0 if self._busy_since is None else time.monotonic() - self._busy_since
        if busy_s < _HUNG_S:
            return None
        return f"a delivery takes {duration_text(busy_s)} by now: does what it delivers to answer?"

    async def _wait(self, delay_s: float) -> None:
        """Return after *delay_s*; sooner by `retry`, and once the end has begun."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(delay_s, _END_RETRY_S) if self._is_ending else delay_s):
                await self._again.wait()
        self._again.clear()
        if self._is_ending:
            self.publisher.retry()  # as it will when it is closed

    def _pause(self, reason: str) -> None:
        if self.paused_reason is None:
            self._paused_since = time.monotonic()
        if self.paused_reason != reason:
            self.publisher.log.error("%s is paused: %s; it tries again by itself", self.publisher.name, reason)
        self.paused_reason = reason
        self._apply_policy()

    def _resume(self, how: str) -> None:
        if self.paused_reason is not None:
            paused_s = time.monotonic() - self._paused_since
            self.publisher.log.warning("%s %s after %.1f s", self.publisher.name, how, paused_s)
            self.paused_reason = None
            self._apply_policy()

    @property
    def undelivered(self) -> Extent:
        """What of all that was put is neither delivered nor dropped."""
        if not self._batch:
            return Extent(self.queue.items(with_taken=True))
        return Extent([*self.publisher.undelivered(self._batch), *self.queue.items(with_taken=False)])

    def _state(self, held: HeldItems | None) -> tuple[str, str | None]:
        """Return whether it delivers, and if not, why."""
        if self.paused_reason is not None:
            return ("failed" if self.is_dead else "paused"), self.paused_reason
        if held is not None:
            return "paused", held.reason
        hung = self._hung()
        return ("hung", hung) if hung else ("running", None)

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this publisher.

        What it dropped itself is added to what its queue dropped. What it holds is waiting, not delivered.
        """
        own, held = self.publisher.status(), self.publisher.held
        state, reason = self._state(held)
        dropped = self.queue.dropped + Counter(cast("Mapping[str, int]", own.get("dropped_by_stream", {})))
        return {
            "class": type(self.publisher).__name__,
            "state": state,
            "paused_reason": reason,
            "paused_s": None if self.paused_reason is None else round(time.monotonic() - self._paused_since, 1),
            "problem": self.publisher.problem,
            **self._queue_status(held),
            "waiting_s": None if state == "running" else round(self._waiting_s(held), 3),
            "dropping": self.queue.is_dropping,
            "passed_over": self.messages.passed_over,
            **own,
            "dropped": self.queue.dropped.total() + cast("int", own.get("dropped", 0)),
            "dropped_by_stream": dict(dropped),
        }

    def _queue_status(self, held: HeldItems | None) -> dict[str, object]:
        """Return the counters of the queue, with what the publisher holds as waiting."""
        items = held.items if held else ()
        count = sum(map(count_of, items))
        return self.queue.status() | {
            "waiting": self.queue.waiting + count,
            "waiting_bytes": self.queue.waiting_bytes + sum(map(size_bytes, items)),
            "delivered": max(0, self.queue.delivered_count - count),
        }

    def _waiting_s(self, held: HeldItems | None) -> float:
        return max(self.queue.waiting_s, Extent(held.items).seconds if held else 0.0)


def _rest(batch: Sequence[Any], delivered: int) -> list[Any]:
    """Return what follows the first *delivered* packets, records or messages of *batch*."""
    rest: list[Any] = []
    for item in batch:
        count = count_of(item)
        if delivered < count:
            rest.append(item[delivered:] if delivered else item)
        delivered = max(0, delivered - count)
    return rest
