"""The base of every publisher: packets come in, bytes go out.

A publisher implements one of three methods. `Publisher.deliver` gets a batch and is what to write; `Publisher.apublish`
gets one packet at a time, as ssdaq's publishers do; `Publisher.deliver_records` gets miniSEED records, for those that
set `Publisher.record_format`.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from enum import StrEnum

from rawdaq.errors import RawdaqError
from rawdaq.miniseed.format import Record, RecordFormat, RecordRun
from rawdaq.packet import Packet, PacketRun


class OverflowPolicy(StrEnum):
    """What an outlet does when its publisher is slower than the receiver."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"


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
        """Return the reason alone."""
        return self.reason


class Publisher:
    """Delivers packets, records or plain bytes to the outside.

    Building one stores its settings; `open` acquires what it needs, `aclose` gives it back. One task at a time calls
    `deliver`, which returns only when the whole batch has been delivered.

    Args:
        name: how log lines and `status` call it.
        logger: parent of its logger; by default ``rawdaq.publishers``.

    Attributes:
        record_format: when set, the publisher gets miniSEED records of this format through `deliver_records`.
        overflow: what its outlet does when it is full; the station file may say otherwise.
        overflows_only_when_paused: for a publisher that never waits for the outside unless it says so by
            `PublisherUnavailable`: until then its outlet blocks, so that a burst does not overflow it.
        gather_bytes: for a publisher to which few large batches cost less than many small ones: what it would like to
            get at once when batches follow each other sooner than `gather_s`.
        gather_s: how long items wait for that at most, counted from the batch before; 0: they do not wait.
        queue_packets: how many items may wait in its outlet.
        queue_mb: how many megabytes may wait in its outlet.
        close_timeout_s: how long `aclose` may take; the framework sets it first, and gives up what takes longer.
        streams: shell-style patterns of the streams that it gets; none means all. Plain bytes come in any case.
    """

    record_format: RecordFormat | None = None
    overflow: OverflowPolicy = OverflowPolicy.BLOCK
    overflows_only_when_paused: bool = False
    gather_bytes: int = 0
    gather_s: float = 0.0
    queue_packets: int = 100_000
    queue_mb: float = 64.0
    close_timeout_s: float = 10.0
    streams: Sequence[str] = ()

    def __init__(self, name: str, logger: logging.Logger | None = None) -> None:
        cls = type(self)
        if (cls.deliver, cls.apublish, cls.deliver_records, cls.deliver_runs) == _BASE_METHODS:
            raise TypeError(
                f"{cls.__name__} delivers nothing: write deliver(batch), apublish(packet) or deliver_records"
            )
        self.name = name
        self.log = (logger or logging.getLogger("rawdaq.publishers")).getChild(name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: set[asyncio.Task[None]] = set()

    def set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the loop that `publish` schedules on; the framework calls it before `open`."""
        self._loop = loop

    async def open(self) -> None:
        """Acquire sockets and files.

        Raises:
            ComponentError: it is impossible; the text names the cause and the remedy.
        """

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        """Deliver *batch* in order; return when all of it is delivered.

        Raises:
            PublisherUnavailable: not now; the framework tries the rest again.
        """
        for item in batch:
            await self.apublish(item)

    async def deliver_records(self, records: Sequence[Record]) -> None:
        """Deliver *records* in order; called instead of `deliver` when `record_format` is set.

        Raises:
            PublisherUnavailable: not now; the framework tries the rest again.
        """
        raise TypeError(f"{type(self).__name__} sets record_format and must write deliver_records")

    async def deliver_runs(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> None:
        """Deliver *batch*, in which many packets or records may stand as one run; this is what the framework calls.

        A publisher that can do more with a run than with its parts overrides it; the others get the parts.

        Raises:
            PublisherUnavailable: not now; ``delivered`` counts packets, records and messages, not runs.
        """
        if self.record_format is not None:
            await self.deliver_records([record for run in batch if isinstance(run, RecordRun) for record in run])
        else:
            await self.deliver([item for each in batch for item in _parts(each)])

    def deliver_now(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> bool:
        """Deliver *batch* without waiting, in a callback of the loop, if that is possible; by default it is not.

        The framework tries it when nothing waits in the outlet: handing a batch to a task costs a turn of the loop.

        Returns:
            Whether all of it is delivered; when not, nothing is, and `deliver_runs` must do it. A class that overrides
            how publishers deliver, and not this, is not asked for it.

        Raises:
            PublisherUnavailable: not now; the framework tries the rest again.
        """
        return False

    async def apublish(self, packet: Packet | bytes) -> None:
        """Deliver one packet."""
        await self.deliver([packet])

    def publish(self, packet: Packet | bytes) -> None:
        """Deliver one packet from synchronous code on the loop; it is done before `aclose` returns."""
        task = (self._loop or asyncio.get_running_loop()).create_task(self.apublish(packet))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

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

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this publisher besides its outlet's counters; JSON-able."""
        return {}


def _parts(item: Packet | PacketRun | RecordRun | bytes) -> Iterable[Packet | bytes]:
    return item if isinstance(item, PacketRun) else (item,)  # type: ignore[return-value]  # records are not for these


_BASE_METHODS = (Publisher.deliver, Publisher.apublish, Publisher.deliver_records, Publisher.deliver_runs)
