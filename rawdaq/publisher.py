"""The base of every publisher: packets come in, bytes go out.

A publisher implements `Publisher.deliver`, which gets a batch, or `Publisher.apublish`, which gets one packet at a
time, as ssdaq's publishers do. One that sets `Publisher.record_format` gets miniSEED records instead of packets. One
that can deliver without waiting implements `Publisher.try_deliver` too.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from rawdaq.errors import RawdaqError
from rawdaq.messages.message import Kind, Message
from rawdaq.miniseed.format import RecordFormat
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId


class OverflowPolicy(StrEnum):
    """What a queue does when its publisher is slower than the receiver."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"


class LastEnd(StrEnum):
    """How the last run of a component ended."""

    STOPPED = "stopped"
    KILLED = "killed"
    FAILED = "failed"


class PublisherUnavailable(RawdaqError):
    """The publisher cannot deliver now; the framework waits, then hands it the rest of the batch again.

    Args:
        reason: cause and remedy in one line, logged once per outage and shown by `status`.
        delivered: how many items at the start of the batch are delivered; they are not given again.
    """

    def __init__(self, reason: str, delivered: int = 0) -> None:
        super().__init__(reason, delivered)
        self.reason = reason
        self.delivered = delivered

    def __str__(self) -> str:
        return self.reason


class HeldItems(NamedTuple):
    """What a publisher has taken and could not deliver yet.

    Attributes:
        reason: why, with the remedy, in one line.
        items: packets or records.
    """

    reason: str
    items: Sequence[Any]


#: What a publisher keeps together with how far it has come in a journal: keys and values of its own.
CursorMarks = Mapping[bytes, bytes]
NO_CURSOR_MARKS: CursorMarks = MappingProxyType({})


#: What a journal has for a publisher.
KnownItem = Packet | PacketRun | Message | bytes


class Known(Protocol):
    """What a publisher had delivered before a crash and beyond its cursor."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to be recognised."""
        ...

    def rest(self, item: KnownItem, is_new: bool) -> list[tuple[int, KnownItem]]:
        """Return what of *item* has to be delivered, each part with the index of its first sample.

        Args:
            item: what comes next in the journal.
            is_new: whether it came after the crash.
        """
        ...


class Publisher:
    """Delivers packets, records or plain bytes to the outside.

    Building one stores its settings; `open` acquires what it needs, `aclose` gives it back. One task at a time calls
    `deliver`, which returns only when the whole batch has been delivered.

    Args:
        name: how log lines and `status` call it.
        logger: parent of its logger; by default ``rawdaq.publishers``.

    Attributes:
        record_format: when set, the publisher gets miniSEED records of this format instead of packets.
        takes_runs: whether a batch may hold `PacketRun`s and `RecordRun`s, which stand for many packets or records;
            other publishers get `Packet`s and `Record`s.
        takes_records: whether, where `record_format` is set, a batch may also hold records of any format as a file or
            a server had them: texts and states of health, which no packet can carry. Other publishers do not get them.
        takes_messages: whether a batch may hold `rawdaq.messages.Message`s: readouts, events, logs and the like, which
            are no waveforms. Publishers without it, and those with `record_format`, do not get them; `status` counts
            them as passed over.
        takes_multiparts: whether a batch may hold `rawdaq.multipart.Multipart`s, frames of a detector; other publishers
            get their parts as plain bytes.
        must_deliver: whether it is one that nothing may be lost of: a journal, where there is one, keeps what it has
            not delivered, see `recover` and `settled`.
        overflow: what its queue, or with a journal that one, does when it is full; the station file may say otherwise.
        overflows_only_when_paused: for a publisher that never waits for the outside unless it says so by
            `PublisherUnavailable`: until then its queue blocks, so that a burst does not overflow it.
        gather_bytes: for a publisher to which few large batches cost less than many small ones: items wait until there
            are so many bytes of them.
        gather_s: how long items wait for that at most: until the next multiple of this time, at which all publishers
            with it get their batches together. 0: they do not wait.
        queue_packets: how many items may wait in its queue.
        queue_mb: how many megabytes may wait in its queue.
        close_timeout_s: how long `aclose` may take; the framework sets it first, and gives up what takes longer.
        streams: shell-style patterns of the streams that it gets; none means all. Plain bytes come in any case.
        kinds: of messages that it gets where it takes any; none means all.
        last_end: how the last run of the component ended, as the framework knows before `open`; None: what comes does
            not go on where that ended.
    """

    record_format: RecordFormat | None = None
    takes_runs: bool = False
    takes_records: bool = False
    takes_messages: bool = False
    takes_multiparts: bool = False
    must_deliver: bool = False
    overflow: OverflowPolicy = OverflowPolicy.BLOCK
    overflows_only_when_paused: bool = False
    gather_bytes: int = 0
    gather_s: float = 0.0
    queue_packets: int = 100_000
    queue_mb: float = 64.0
    close_timeout_s: float = 10.0
    streams: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    last_end: LastEnd | None = LastEnd.STOPPED

    def __init__(self, name: str, logger: logging.Logger | None = None) -> None:
        if type(self).deliver is Publisher.deliver and type(self).apublish is Publisher.apublish:
            raise TypeError(f"{type(self).__name__} delivers nothing: write deliver(batch) or apublish(packet)")
        self.name = name
        self.log = (logger or logging.getLogger("rawdaq.publishers")).getChild(name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: set[asyncio.Task[None]] = set()

    # What a station file asks of the class before anything is built; a subclass overrides what applies to it. *options*
    # are the arguments of the constructor, complete with defaults.

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options*, each of which is valid, contradict each other; None when they do not."""
        return None

    @classmethod
    def check_streams(cls, streams: Sequence[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why a publisher with *options* cannot carry *streams* (empty: they are not known); None if it can."""
        return None

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | Sequence[str] | None:
        """Return what only one publisher can have, in words, such as addresses; None when there is no such thing."""
        return None

    @classmethod
    def exclusive_by_stream(cls, options: Mapping[str, Any]) -> str | None:
        """Return what only one publisher of each stream can have, in words, such as an archive; None: no such thing."""
        return None

    def set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the loop that `publish` schedules on; the framework calls it before `open`."""
        self._loop = loop

    async def open(self) -> None:
        """Acquire sockets and files; it is called again after a failure.

        Raises:
            ComponentError: something outside is missing; the text names the cause and the remedy. The publisher is
                paused, and opened later. An `OSError` means the same.
            InvalidValue: it will never be possible; the component does not start.
        """

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "deliver" in own or "apublish" in own:
            if "try_deliver" not in own:
                cls.try_deliver = Publisher.try_deliver  # type: ignore[method-assign]  # as if it stood in the class
            if "takes_runs" not in own:
                cls.takes_runs = False
            if "takes_records" not in own:
                cls.takes_records = False
            if "takes_messages" not in own:
                cls.takes_messages = False
            if "takes_multiparts" not in own:
                cls.takes_multiparts = False

    async def deliver(self, batch: Sequence[Any]) -> None:
        """Deliver *batch* in order; return when all of it is delivered.

        Args:
            batch: packets, or records where `record_format` is set, and plain bytes; where `takes_runs` is set, runs
                of them too, and where `takes_messages` is set, messages.

        Raises:
            PublisherUnavailable: not now; the framework tries the rest again.
        """
        for item in batch:
            await self.apublish(item)

    def try_deliver(self, batch: Sequence[Any]) -> bool:
        """Deliver *batch* without waiting, in a callback of the loop, if that is possible; by default it is not.

        The framework tries it when nothing waits in the queue: handing a batch to a task costs a turn of the loop.

        Returns:
            Whether all of it is delivered; when not, nothing is, and `deliver` must do it.

        Raises:
            PublisherUnavailable: not now; the framework tries the rest again.
        """
        return False

    def undelivered(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return what of *batch*, for which `deliver` has raised `PublisherUnavailable`, is not delivered.

        By default all of it; a publisher that delivers to several places may have delivered a part.
        """
        return batch

    async def apublish(self, packet: Packet | bytes) -> None:
        """Deliver one packet."""
        await self.deliver([packet])

    def publish(self, packet: Packet | bytes) -> None:
        """Deliver one packet from synchronous code on the loop; it is done before `aclose` returns."""
        task = (self._loop or asyncio.get_running_loop()).create_task(self.apublish(packet))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def recover(self, marks: CursorMarks, remember: Callable[[CursorMarks], None]) -> Known | None:
        """Return what it had delivered beyond its cursor in the journal; called after `open` where there is one.

        Args:
            marks: its own, as they were kept with the cursor.
            remember: adds to these; returns when a power cut cannot undo it. It blocks, so it is called by a thread of
                a disk; it raises `PublisherUnavailable` when the journal cannot be written now.

        Returns:
            What is recognised when it is to be delivered again; None, by default, when nothing is.
        """
        return None

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        """Return its marks as of this call, when all that is delivered by now survives a power cut; by default at once.

        What `remember` has kept before this call is forgotten when they do not have it.

        Args:
            at_once: without a wait for what comes next.

        Raises:
            PublisherUnavailable: some of it does not.
        """
        return NO_CURSOR_MARKS

    async def watch(self) -> None:
        """Run beside the deliveries; raise when the component must end because of something outside.

        Raises:
            ComponentError: what that is; by default never.
        """
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Finish what `publish` began and give everything back; may be called twice."""
        if self._pending:
            await asyncio.wait(self._pending)

    def retry(self) -> None:
        """Try at once to deliver what is `held`; by default nothing is."""

    @property
    def held(self) -> HeldItems | None:
        """What was taken and waits here, because one of several places to deliver it to refuses it; None: nothing.

        `status` counts it as waiting, not as delivered, and shows the publisher as paused.
        """
        return None

    @property
    def problem(self) -> str | None:
        """What else a person must look at, in one line, such as a disk that makes no file safe; None: nothing."""
        return None

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this publisher besides its queue's counters; JSON-able."""
        return {}
