"""From what a receiver publishes to its publishers: one queue and one task each, records made once per format.

::

    put ──┬── queue ── ZMQTCPPublisher.deliver(batch)
          └── queue ── RecordMaker(format) ──┬── queue ── MiniSeedPublisher.deliver(batch)
                                              └── queue ── another publisher of that format

With a journal, publishers that must deliver stand behind it, each with records of its own; see `delivery.journal`.

Every arrow is bounded. A full queue of the policy block closes the door of the one before it, back to the receiver.
Where nothing waits and little comes, it passes a queue by: records are made, and delivered, in the call of ``put``.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from rawdaq.delivery.closing import close_publishers
from rawdaq.delivery.journal.journal import Journal
from rawdaq.delivery.journal.outlet import Outlet
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.delivery.records import RecordWriter
from rawdaq.delivery.worker import Worker
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.messages.message import Message
from rawdaq.miniseed.maker import RecordFormat, RecordRun
from rawdaq.multipart import Multipart
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import OverflowPolicy, Publisher

_OPEN_PATIENCE_S = 5.0  # a disk or a network that answers later holds up its publisher only


class Fanout:
    """Everything behind ``publish``: what is put here reaches every publisher that wants it, or is counted.

    Args:
        publishers: where items go.
        log: where it is logged what cannot be delivered.
        clock_ns: nanoseconds that only run forward.
        journal: what stands before publishers that must deliver, if anything.

    Attributes:
        put_count: how many items were put so far.
        publishers: those behind it now.
        is_settled: cleared while publishers are being replaced.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        log: logging.Logger,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        journal: Journal | None = None,
    ) -> None:
        self.journal = journal
        self.workers: list[Worker] = []
        self.put_count = 0
        self.publishers = list(publishers)
        self.is_settled = asyncio.Event()
        self.is_settled.set()
        self._names = _unique(publisher.name for publisher in publishers)
        self._log, self._clock_ns = log, clock_ns
        self._writer_count = 0
        for publisher, name in zip(publishers, self._names, strict=True):
            if journal is not None and publisher.must_deliver:
                self.workers.append(journal.add(publisher, name, clock_ns).worker)
            else:
                self.workers.append(Worker(publisher))
        behind = journal.targets if journal is not None else []
        self._direct, formats = _by_format(worker for worker in self.workers if worker not in behind)
        self._made = {wanted: self._new_writer(wanted, targets) for wanted, targets in formats.items()}
        self.arrange()

    def _new_writer(self, wanted: RecordFormat, targets: list[Worker]) -> RecordWriter:
        self._writer_count += 1
        writer = RecordWriter(wanted, targets, self._log, self._clock_ns)
        writer.name = f"records {self._writer_count}"
        return writer

    def arrange(self) -> None:
        """Put the entries in order: packets leave before records are made, or anything is written."""
        self.writers = [*self._made.values()]
        self._entries: list[RecordWriter | Worker | Journal] = [*self._direct, *self.writers]
        if self.journal is not None:
            self._entries.append(self.journal)
            self.writers += self.journal.writers
        self._queues = [entry.queue for entry in self._entries]

    def swap(self, leaving: Collection[str], coming: Sequence[Publisher]) -> "Swapped":
        """Give what is put from now on to *coming*, and no more to the publishers called *leaving*.

        At once, so that no item is between them. What goes to a format of records that any of them has is made by a
        new writer, which must not run before the old one has handed on what it has: see `delivery.exchange`.

        Args:
            leaving: names of publishers.
            coming: new ones; where one must deliver and there is a journal, its outlet has to be admitted to that.
        """
        gone = {name: worker for name, worker in zip(self._names, self.workers, strict=True) if name in leaving}
        outlets = self.journal.dismiss(leaving) if self.journal is not None else []
        behind = [] if self.journal is None else self.journal.targets
        kept = {name: worker for name, worker in zip(self._names, self.workers, strict=True) if name not in gone}
        arriving = {each.name: each for each in coming if self.journal is not None and each.must_deliver}
        waiting = [Outlet(each, name, self._log, self._clock_ns) for name, each in arriving.items()]
        made = {outlet.name: outlet.worker for outlet in waiting}
        fresh = {each.name: made.get(each.name) or Worker(each) for each in coming}
        old = {wanted for wanted in self._made if any(worker in gone.values() for worker in self._made[wanted].targets)}
        old |= {each.record_format for each in coming if each.record_format in self._made and each.name not in made}
        self._names, self.workers = [*kept, *fresh], [*kept.values(), *fresh.values()]
        self.publishers = [worker.publisher for worker in self.workers]
        shared = [worker for worker in self.workers if worker not in behind and worker not in made.values()]
        self._direct, formats = _by_format(shared)
        retired = [self._made.pop(wanted) for wanted in old]
        started = {wanted: self._new_writer(wanted, formats[wanted]) for wanted in formats if wanted not in self._made}
        for writer in retired:
            if writer.format in started:
                started[writer.format].go_on_counting(writer)
        self._made |= started
        self.arrange()
        return Swapped(gone, fresh, retired, list(started.values()), outlets, waiting)

    async def aclose(self, within_s: float) -> list[str | None]:
        """Close all publishers within *within_s*, then the journal; return what went wrong, which is logged."""
        failures = await close_publishers(self.publishers, within_s, self._log)
        if self.journal is not None:
            await self.journal.aclose()
        return failures

    def put(self, packets: list[Packet | PacketRun | bytes]) -> bool:
        """Hand *packets* to all publishers that want them; return whether there is room for more, see `room`."""
        self.put_count += len(packets)
        has_room = True
        for entry in self._entries:
            selected = packets if entry.selection is None else entry.selection.of(packets)
            has_room = entry.put(selected) and has_room
        return has_room

    def put_messages(self, messages: list[Message]) -> bool:
        """Hand *messages* to all publishers that want them; the others count what they pass over.

        Returns:
            False when the caller must await `room` before it puts more.
        """
        self.put_count += len(messages)
        has_room = True
        for worker in self.workers:
            wanted = worker.messages.of(messages)
            if wanted and worker in self._direct:
                has_room = worker.put(wanted) and has_room
        if self.journal is not None and (kept := self.journal.wanted(messages)):
            has_room = self.journal.put(kept) and has_room
        return has_room

    def put_multiparts(self, messages: list[Multipart]) -> bool:
        """Hand frames of a detector to the publishers that take them whole, and to the others each part as plain bytes.

        Returns:
            False when the caller must await `room` before it puts more.
        """
        self.put_count += len(messages)
        has_room = True
        for entry in self._entries:
            if isinstance(entry, Worker) and entry.publisher.takes_multiparts:
                has_room = entry.put(messages) and has_room
            else:
                parts = [bytes(part) for message in messages for part in message.parts]
                has_room = entry.put(list[Packet | PacketRun | bytes](parts)) and has_room
        return has_room

    async def put_records(self, records: list[RecordRun]) -> None:
        """Hand records as they are to the publishers that take such; return when their queues that block have room."""
        self.put_count += len(records)
        takers = [worker for worker in self.workers if worker.publisher.takes_records]
        for worker in takers:
            worker.put(records if worker.selection is None else worker.selection.of(records))
        for worker in takers:
            await worker.queue.room()

    async def room(self) -> None:
        """Return when every queue that blocks has room."""
        for queue in self._queues:
            await queue.room()

    def set_overflow(self, policy: OverflowPolicy | None) -> None:
        """Let every queue of a publisher follow *policy*; None: each the one that its publisher has."""
        for worker in self.workers:
            worker.set_overflow(policy)

    async def open(self, *, is_strict: bool) -> None:
        """Open all publishers side by side; one that cannot be opened now is paused, and its task tries again.

        Args:
            is_strict: raise instead when one cannot be opened.

        Raises:
            ComponentError: the journal cannot be opened; a publisher can never be, or *is_strict* and it cannot be now.
        """
        if self.journal is not None:
            await self.journal.open()
        await self.open_workers(dict(zip(self._names, self.workers, strict=True)), is_strict=is_strict)

    async def open_workers(self, workers: Mapping[str, Worker], *, is_strict: bool) -> None:
        """Open the publishers of *workers*, as `open` does.

        Raises:
            ComponentError: as `open`.
        """
        opening = {worker.begin_open(is_strict=is_strict): worker for worker in workers.values()}
        if not opening:
            return
        names = dict(zip(opening, workers, strict=True))
        try:
            timeout_s = None if is_strict else _OPEN_PATIENCE_S
            done, late = await asyncio.wait(opening, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                _raise_failure(names[task], task)
        except BaseException:
            await self.stop_opening()
            raise
        for task in late:
            opening[task].open_later()

    async def stop_opening(self) -> None:
        """Open nothing any more: the start has failed."""
        for worker in self.workers:
            await worker.stop_opening()

    def retry(self) -> list[str]:
        """Try paused publishers at once; return their names."""
        paused = [worker for worker in self.workers if worker.is_paused]
        for worker in paused:
            worker.retry()
        return [worker.publisher.name for worker in paused]

    async def empty(self) -> None:
        """Return when nothing waits in any queue."""
        if self.journal is not None:
            await self.journal.queue.empty()
        for writer in self.writers:
            await writer.queue.empty()
        for worker in self.workers:
            await worker.queue.empty()

    def tasks(self) -> dict[str, Callable[[], Any]]:
        """Return the coroutines that carry the data, by name."""
        writers = {writer.name: writer.run for writer in self.writers}
        named = dict(zip(self._names, self.workers, strict=True))
        return writers | tasks_of(named) | ({} if self.journal is None else self.journal.tasks())

    async def drain(self, timeout_s: float, spent_s: float = 0.0) -> str | None:
        """Deliver all that waits, partial records included; what is paused is tried at once, and again and again.

        Reading has ended, so the little that is on its way is taken also where there is no room.

        Args:
            timeout_s: how long a stop may take for that.
            spent_s: how much of it is over.

        Returns:
            What is lost because it could not be delivered within *timeout_s*, in words; usually None.
        """
        why = "not delivered"
        for worker in self.workers:
            worker.begin_end()
        try:
            async with asyncio.timeout(timeout_s - spent_s):
                await self.is_settled.wait()
                if self.journal is not None:
                    await self.journal.drain()
                await asyncio.gather(*(writer.drain() for writer in self.writers if not writer.is_dead))
                await _empty(worker.queue for worker in self.workers if not worker.is_dead)
        except TimeoutError:
            why = f"not delivered within {timeout_s:g} s of stopping"
        for worker in self.workers:
            worker.queue.end_outage("ends")
        behind = set[int]()
        if self.journal is not None:
            await self.journal.settle()
            behind = {id(each) for each in (*self.journal.targets, *self.journal.writers)}
        lost = [
            f"{each.publisher.name} ({each.paused_reason or 'it was still busy'}): {each.undelivered}"
            for each in self.workers
            if len(each.queue) and id(each) not in behind
        ]
        stages = [each for each in (*self.writers, self.journal) if each is not None and id(each) not in behind]
        lost += [left for stage in stages if (left := stage.left)]
        return f"{why} and lost: {'; '.join(lost)}" if lost else None

    @property
    def full(self) -> list[str]:
        """The names of the publishers that hold everybody up."""
        behind = {id(writer.queue): writer.targets for writer in self.writers}
        blocked = [queue for queue in self._queues if queue.is_full and queue.policy is OverflowPolicy.BLOCK]
        named = [[each.publisher.name for each in behind.get(id(queue), ())] or [queue.name] for queue in blocked]
        return sorted({name for names in named for name in names})

    def status(self) -> dict[str, dict[str, object]]:
        """Return what `status` shows of every publisher; what its records refused is added to what it refused."""
        of_stage = {id(target): writer.status() for writer in self.writers for target in writer.targets}
        shown: dict[str, dict[str, object]] = {}
        for name, worker in zip(self._names, self.workers, strict=True):
            made, own = of_stage.get(id(worker), {"refused": 0}), worker.status()
            shown[name] = {**made, **own, "refused": made["refused"] + cast("int", own.get("refused", 0))}
        return shown


class Swapped(NamedTuple):
    """What `Fanout.swap` has put out of place and into it.

    Attributes:
        gone: the workers that get nothing any more, by name.
        fresh: the new ones, which are not open and do not run.
        retired: writers of records that get nothing any more.
        started: those that replace them, which do not run.
        left: outlets that are behind the journal no more.
        waiting: outlets that are to be admitted to it.
    """

    gone: Mapping[str, Worker]
    fresh: Mapping[str, Worker]
    retired: Sequence[RecordWriter]
    started: Sequence[RecordWriter]
    left: Sequence[Outlet]
    waiting: Sequence[Outlet]


def tasks_of(workers: Mapping[str, Worker]) -> dict[str, Callable[[], Any]]:
    """Return the coroutines of *workers*, by name."""
    carried = {f"publisher {name}": worker.run for name, worker in workers.items()}
    return carried | {f"watch {name}": worker.watch for name, worker in workers.items()}


def _by_format(workers: Iterable[Worker]) -> tuple[list[Worker], dict[RecordFormat, list[Worker]]]:
    """Return those of *workers* that take packets, and those that take records by the format of these."""
    direct: list[Worker] = []
    formats: dict[RecordFormat, list[Worker]] = {}
    for worker in workers:
        wanted = worker.publisher.record_format
        (direct if wanted is None else formats.setdefault(wanted, [])).append(worker)
    return direct, formats


def _raise_failure(name: str, opening: "asyncio.Task[None]") -> None:
    """Raise why the publisher *name* could not be opened, if it could not."""
    try:
        opening.result()
    except RawdaqError as error:
        raise ComponentError(f"publisher {name}: {error}") from error


def _unique(names: Iterable[str]) -> list[str]:
    """Return *names* with a number at those that were there before."""
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


async def _empty(queues: Iterable[DeliveryQueue[Any]]) -> None:
    for queue in queues:
        await queue.empty()
