"""One output: its consumers, what waits for them, and what happens when that is too much.

A PUSH output has one backlog, from which its consumers are served in turn. A PUB output has one for each consumer, and
they share its room evenly, so that a slow one costs the others nothing.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rawdaq.multipart import Part
from rawdaq.outage import Outage
from rawdaq.protocols.zmtp import SocketType
from rawdaq.publisher import OverflowPolicy
from rawdaq.publishers.repeater.backlog import Backlog, Counts, Outcome, Outgoing
from rawdaq.publishers.repeater.consumer import Consumer
from rawdaq.publishers.repeater.places import ConsumerDialler, Place
from rawdaq.sockets.listener import Listener, listen
from rawdaq.sockets.refusals import Refusals

_MAX_CONSUMERS = 256
_REFUSED_S = 60.0  # connections that are refused for the same reason are logged this often
_CHECK_S = 10.0
_NAMED = 20  # consumers that `status` lists


class Limits(NamedTuple):
    """What may wait at an output.

    Attributes:
        frames: how many frames.
        size_bytes: their size.
        policy: what happens when one of the two is reached.
    """

    frames: int
    size_bytes: int
    policy: OverflowPolicy


class Output:
    """Sends frames to the consumers of one address.

    Args:
        place: the address.
        socket_type: PUSH or PUB.
        limits: what may wait.
        log: where it is logged who comes and goes, and what is lost.
        pieces_of: makes what goes to a socket for a frame when its turn comes; None: the frame is not sent after all.

    Attributes:
        counts: its counters.
        waiting: frames that wait, those on their way to the system included.
        waiting_bytes: their size.
    """

    def __init__(
        self,
        place: Place,
        socket_type: SocketType,
        limits: Limits,
        log: logging.Logger,
        pieces_of: Callable[[Outgoing], Sequence[Part] | None],
    ) -> None:
        self.counts = Counts()
        self.waiting = 0
        self.waiting_bytes = 0
        self._place = place
        self._socket_type = socket_type
        self._is_shared = socket_type is SocketType.PUSH
        self._limits = limits
        self._log = log
        self._pieces_of = pieces_of
        self._backlog = Backlog()  # of a PUSH output
        self._consumers: deque[Consumer] = deque()
        self._connections: set[Consumer] = set()  # also those whose handshake is not over
        self._listener: Listener | None = None
        self._dialler: ConsumerDialler | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._outages: dict[Backlog, Outage] = {}
        self._is_closing = False
        self._refusals = Refusals(log, what="connection", interval_s=_REFUSED_S)

    @property
    def consumers(self) -> int:
        """How many consumers are connected."""
        return len(self._consumers)

    @property
    def address(self) -> str:
        """Where consumers connect; of an output that connects, where its consumer listens."""
        return self._place.address

    @property
    def is_full(self) -> bool:
        """Whether a limit is reached."""
        return self.waiting >= self._limits.frames or self.waiting_bytes >= self._limits.size_bytes

    # ------------------------------------------------------------------ life

    async def open(self) -> None:
        """Listen for consumers, or begin to connect to one.

        Raises:
            ComponentError: the address cannot be used; the text says why and what to do.
        """
        self._is_closing = False
        if self._place.connects:
            self._dialler = ConsumerDialler(self._connection, self._place, self._log)
            self._dialling = asyncio.create_task(self._dialler.run(), name=f"connecting to {self.address}")
            return
        self._listener = await listen(
            self._connection, self._place.host, self._place.port or 0, self.address, self._log
        )
        self._place = self._place._replace(port=self._listener.port)
        self._log.info("sending to consumers that connect to %s", self.address)

    def _connection(self) -> Consumer:
        consumer = Consumer(self._socket_type, self)
        self._connections.add(consumer)
        return consumer

    async def watch(self) -> None:
        """Log now and then how many connections were refused."""
        while True:
            await asyncio.sleep(_CHECK_S)
            self._refusals.log()

    async def drain(self, timeout_s: float) -> None:
        """Return when nothing waits any more that a consumer could take, after *timeout_s* at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.waiting and self._consumers:
                    self._changed.clear()
                    await self._changed.wait()

    async def aclose(self) -> None:
        """Close all connections; what still waits is discarded, and counted."""
        self._is_closing = True
        if self._dialler is not None:
            self._dialler.stop()
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()  # what is just being connected is closed with the others
            self._listener = None
        for consumer in self._connections & set(self._consumers):
            consumer.close()
        for consumer in self._connections - set(self._consumers):
            consumer.abort("the output is closed")
        if self._connections:
            await asyncio.wait([consumer.closed for consumer in self._connections])
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait([self._dialling])
            self._dialler = self._dialling = None
        for item in self._backlog.clear():
            self._settle(item, Outcome.DISCARDED)
        self._refusals.log(at_once=True)

    # ------------------------------------------------------------------ what comes in

    def put(self, item: Outgoing) -> None:
        """Let a selected frame wait for its consumers; `pump` sends it."""
        self.counts.selected += 1
        if self._is_shared:
            backlogs = [self._backlog]
        else:
            backlogs = [consumer.backlog for consumer in self._consumers if consumer.wants(item.topic)]
            if not backlogs:
                self.counts.unheard += 1
                return
        item.copies = len(backlogs)
        self.waiting += 1
        self.waiting_bytes += item.size_bytes
        for backlog in backlogs:
            self._add(backlog, item, len(backlogs))

    def _add(self, backlog: Backlog, item: Outgoing, shares: int) -> None:
        limits = self._limits
        max_frames, max_bytes = limits.frames // shares or 1, limits.size_bytes // shares
        if limits.policy is not OverflowPolicy.BLOCK:
            while len(backlog) and (len(backlog) >= max_frames or backlog.size_bytes + item.size_bytes > max_bytes):
                self._log_begin(backlog)
                if limits.policy is OverflowPolicy.DROP_NEWEST:
                    return self._drop(backlog, item)
                self._drop(backlog, backlog.take())
        backlog.add(item)

    def _drop(self, backlog: Backlog, item: Outgoing) -> None:
        """Count a frame that the consumers of *backlog* do not get."""
        self._outages[backlog].counts[str(self._limits.policy)] += 1
        if (consumer := self._consumer_of(backlog)) is not None:
            consumer.dropped += 1
        self._settle(item, Outcome.LOST)

    def _log_begin(self, backlog: Backlog) -> None:
        """Log that frames are dropped, with the first one of an outage."""
        if backlog not in self._outages:
            self._outages[backlog] = Outage(self._log)
            self._outages[backlog].log(
                "%s: %d frames wait, %.1f MB; dropping frames by %s",
                self._cause(self._consumer_of(backlog)),
                len(backlog),
                backlog.size_bytes / 1e6,
                self._limits.policy,
            )

    def _consumer_of(self, backlog: Backlog) -> Consumer | None:
        return next((each for each in self._consumers if each.backlog is backlog), None)

    def _cause(self, consumer: Consumer | None) -> str:
        if consumer is not None:
            return f"consumer {consumer.address} does not keep up"
        return "consumers do not keep up" if self._consumers else f"no consumer is connected to {self.address}"

    def _settle(self, item: Outgoing, outcome: Outcome) -> None:
        """Note what becomes of *item* for one of its consumers; count it when that was the last one."""
        item.copies -= 1
        if outcome is Outcome.SENT:
            item.is_sent = True
        elif outcome is Outcome.LOST:
            item.is_lost = True
        if not item.copies:
            self.waiting -= 1
            self.waiting_bytes -= item.size_bytes
            self.counts.add(item, outcome)
            self._changed.set()

    # ------------------------------------------------------------------ what goes out

    def pump(self) -> None:
        """Send what the system takes of all that waits."""
        if self._is_shared:
            while len(self._backlog) and self._serve_in_turn():
                pass
        else:
            for consumer in list(self._consumers):
                self._serve(consumer)

    def _serve_in_turn(self) -> bool:
        """Give consumers that have room one frame after the other; return whether any of them may have room again."""
        backlog, consumers = self._backlog, self._consumers
        served: list[Consumer] = []
        turns = len(consumers)
        while len(backlog) and turns:
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.has_room:
                turns = len(consumers)
                self._hand_over(consumer, backlog.take())
                if consumer not in served:
                    served.append(consumer)
            else:
                turns -= 1
        for consumer in served:
            consumer.flush()
        self._end_outage(backlog, "consumers keep up again")
        return any(consumer.has_room for consumer in served)

    def _serve(self, consumer: Consumer) -> None:
        backlog = consumer.backlog
        while len(backlog) and consumer.has_room:
            while len(backlog) and consumer.has_room:
                self._hand_over(consumer, backlog.take())
            consumer.flush()
        self._end_outage(backlog, f"consumer {consumer.address} keeps up again")

    def _hand_over(self, consumer: Consumer, item: Outgoing) -> None:
        if item.pieces is None:
            item.pieces = list(self._pieces_of(item) or ())
        if item.pieces:
            consumer.add(item, item.pieces)
            return
        self._settle(item, Outcome.ENDED)

    def _end_outage(self, backlog: Backlog, how: str) -> None:
        if (
            self._outages
            and 2 * len(backlog) <= self._limits.frames
            and 2 * backlog.size_bytes <= self._limits.size_bytes
        ):
            if outage := self._outages.pop(backlog, None):
                outage.end(f"{how}: dropped %s", "frames")

    async def room(self) -> None:
        """Return when no limit is reached."""
        while self.is_full:
            self._changed.clear()
            await self._changed.wait()

    # ------------------------------------------------------------------ what consumers report

    def refusal(self) -> str | None:
        """Return why there can be no further consumer."""
        return f"there are {_MAX_CONSUMERS} connections already" if len(self._connections) > _MAX_CONSUMERS else None

    def joined(self, consumer: Consumer) -> None:
        """Serve *consumer* from now on."""
        if not self._place.connects:
            self._log.info("consumer %s is connected to %s", consumer.address, self.address)
        self._consumers.append(consumer)
        self.pump()

    def left(self, consumer: Consumer, reason: str) -> None:
        """Forget *consumer*; what a PUSH output has not sent to it whole is for another one."""
        self._connections.discard(consumer)
        unsent = consumer.unsent()
        if consumer not in self._consumers:
            if not self._is_closing:
                self._refusals.count(reason, consumer.address.rpartition(":")[0])
            return
        self._consumers.remove(consumer)
        self._changed.set()
        if self._is_shared and not self._is_closing:
            self._log.info("consumer %s has left %s: %s", consumer.address, self.address, reason)
            self._backlog.put_back(unsent)
            return self.pump()
        lost = [*unsent, *consumer.backlog.clear()]
        for item in lost:
            self._settle(item, Outcome.DISCARDED if self._is_closing else Outcome.LOST)
        if not self._is_closing:
            extent = f"; {len(lost)} frames that waited for it are lost" if lost else ""
            self._log.info("consumer %s has left %s: %s%s", consumer.address, self.address, reason, extent)
            self._end_outage(consumer.backlog, f"consumer {consumer.address} is gone")

    def wants_more(self, consumer: Consumer) -> None:
        """Send more: the system takes it again."""
        if self._is_shared:
            self.pump()
        else:
            self._serve(consumer)

    def delivered(self, item: Outgoing) -> None:
        """Count a frame that the system has taken whole."""
        self._settle(item, Outcome.SENT)

    def status(self) -> dict[str, object]:
        """Return the counters, and one entry for each consumer."""
        counts = self.counts
        return {
            "address": self.address,
            "zmq_mode": str(self._socket_type),
            **{name: getattr(counts, name) for name in counts.__slots__},
            "waiting": self.waiting,
            "waiting_mb": round(self.waiting_bytes / 1e6, 3),
            "consumers": len(self._consumers),
            "peers": [consumer.status() for consumer in list(self._consumers)[:_NAMED]],
        }
