"""One subscriber of a live stream: its subscriptions, what waits for it, and what it has lost."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from rawdaq.delivery.items import Waiting, stream_of
from rawdaq.errors import RemoteProtocolError
from rawdaq.open_files import REMEDY, first_for_commands
from rawdaq.outage import Outage
from rawdaq.protocols.zmtp import Cancelled, Event, Ready, SocketType, Subscribed, ZmtpPeer
from rawdaq.sockets.dialling import Connection
from rawdaq.sockets.refusals import Refusals

Pieces = list[bytes | memoryview]

_WRITE_BYTES = 1 << 18  # messages are joined to writes of about this size: one system call for hundreds of packets
_HANDSHAKE_S = 30.0  # ZMQ sockets greet at once; another program does not
_MAX_TOPICS = 10_000  # subscriptions of one subscriber: more than a network has streams
_MAX_CACHED = 10_000  # topics for which a subscriber's answer is remembered
_MAX_CACHED_BYTES = 256  # of one of them: more than a stream's name has; plain bytes are their own topic


@dataclass(slots=True)
class PubCounts:
    """What all subscribers of a publisher got, together with those that are gone.

    Attributes:
        sent: messages.
        sent_bytes: their size.
        dropped: messages that a subscriber was too slow for, by stream.
    """

    sent: int = 0
    sent_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])


class PubConnection(Connection, asyncio.Protocol):
    """One subscriber: its subscriptions, and what waits for it in the transport's buffer.

    The transport reports when the buffer passes the high-water mark and when it is down to half of it; between the two
    this subscriber is full. A message is dropped whole, so the stream of frames stays intact.

    Args:
        high_water_bytes: how much may wait.
        log: where connections and outages are logged.
        register: the publisher's connections, of which this is one from its beginning to its end.
        counts: the publisher's, to which this adds its own.
        admit: whether there may be one more.
        refusals: counts and logs connections that are refused: a ZMQ socket tries ten times a second.

    Attributes:
        address: of the subscriber.
        topics: what it subscribed to, with how often.
        is_full: whether messages are dropped at present.
        closed: done when the connection has ended.
    """

    def __init__(
        self,
        high_water_bytes: int,
        log: logging.Logger,
        register: set["PubConnection"],
        counts: PubCounts,
        admit: Callable[[], bool],
        refusals: Refusals,
    ) -> None:
        super().__init__()
        self.address = "?"
        self.topics: Counter[bytes] = Counter()
        self.is_full = False
        self._peer = ZmtpPeer(SocketType.PUB)
        self._high_water_bytes = high_water_bytes
        self._log, self._register, self._counts, self._admit = log, register, counts, admit
        self._refusals = refusals
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(_HANDSHAKE_S, self._refuse, f"no handshake within {_HANDSHAKE_S:.0f} s")
        self._transport: asyncio.Transport
        self._answers: dict[bytes, bool] = {}
        self._pending: Pieces = []
        self._pending_bytes = 0
        self._sent = 0
        self._dropped = 0
        self._outage = Outage(log)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # asyncio's signature is wider than what TCP gives
        self.address = "{}:{}".format(*transport.get_extra_info("peername")[:2])
        if not self._admit():
            return self._refuse("there are as many subscribers as max_subscribers allows")
        if transport.get_extra_info("socket").fileno() >= first_for_commands():
            return self._refuse(f"hardly any open files are left for others: {REMEDY}")  # of one that is dialled
        self._register.add(self)
        self._transport.set_write_buffer_limits(self._high_water_bytes, self._high_water_bytes // 2)
        # A subscriber whose machine has vanished is noticed although nothing of its streams is sent.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport.write(self._peer.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            for event in self._peer.receive_data(data):
                self._handle(event)
                if len(self.topics) > _MAX_TOPICS:
                    return self._refuse(f"more than {_MAX_TOPICS} subscriptions")
        except RemoteProtocolError as error:
            return self._refuse("it is no subscriber", str(error))
        self._transport.write(self._peer.data_to_send())

    def _handle(self, event: Event) -> None:
        match event:
            case Ready():
                self._deadline.cancel()
                self._log.info("subscriber %s connected", self.address)
            case Subscribed(topic):
                self.is_useful = True
                self.topics[topic] += 1
            case Cancelled(topic):
                self.topics -= Counter({topic: 1})  # never below zero
            case _:  # a message, of no use to a PUB socket
                return
        self._answers.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._deadline.cancel()
        self._register.discard(self)
        self._outage.end(f"subscriber {self.address} is gone: dropped %s", "messages")
        if self._peer.is_ready:
            self._log.info("subscriber %s disconnected%s", self.address, f": {exc}" if exc else "")
        self.topics.clear()
        self.closed.set_result(None)

    def _refuse(self, reason: str, detail: str = "") -> None:
        self._refusals.count(reason, self.address.rpartition(":")[0], detail)  # each attempt has a port of its own
        self._transport.abort()

    def pause_writing(self) -> None:
        """Called by asyncio: what waits has passed the high-water mark."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Called by asyncio: it is down to half of it."""
        self.is_full = False
        self._outage.end(f"subscriber {self.address} keeps up again: dropped %s", "messages")

    def wants(self, topic: bytes) -> bool:
        """Whether a subscription is a prefix of *topic*."""
        if b"" in self.topics:  # most want all, and a long first frame is slow to look up
            return True
        if len(topic) > _MAX_CACHED_BYTES:
            return any(map(topic.startswith, self.topics))
        answer = self._answers.get(topic)
        if answer is None:
            answer = any(map(topic.startswith, self.topics))
            if len(self._answers) < _MAX_CACHED:
                self._answers[topic] = answer
        return answer

    def send(self, pieces: Pieces, size_bytes: int, item: Waiting) -> None:
        """Take the message of *item*, which is on its way after `flush` at the latest; drop it when this is full."""
        if self.is_full:
            self._drop(stream_of(item))
            return
        counts = self._counts
        counts.sent += 1
        counts.sent_bytes += size_bytes
        self._sent += 1
        self._pending += pieces
        self._pending_bytes += size_bytes
        if self._pending_bytes >= _WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what was sent to the system."""
        if self._pending and not self._transport.is_closing():
            # Joined, and not by `writelines`: in asyncio of Python 3.12.0 to 3.12.8, 3.13.0 and 3.13.1 that does not
            # report when the high-water mark is passed, and what waits for a slow subscriber would grow without end.
            self._transport.write(b"".join(self._pending))
        self._pending = []
        self._pending_bytes = 0

    def _drop(self, stream: str) -> None:
        """Count a message that this subscriber does not get; the first one of an outage is logged."""
        self._counts.dropped[stream] += 1
        self._dropped += 1
        if not self._outage.is_on:
            waiting_mb = self._transport.get_write_buffer_size() / 1e6
            self._outage.log(
                "subscriber %s does not keep up: %.1f MB wait for it; dropping its messages", self.address, waiting_mb
            )
        self._outage.counts[stream] += 1

    def close(self) -> "asyncio.Future[None]":
        """Close once everything written is on its way; the result is done when that is so."""
        self._transport.close()
        return self.closed

    def abort(self) -> None:
        """Cut the connection."""
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes:
            self._log.warning("subscriber %s did not read the last %d bytes", self.address, unsent_bytes)
        self._transport.abort()

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this subscriber."""
        return {
            "address": self.address,
            "topics": sorted(topic.decode("ascii", "replace") for topic in self.topics)[:20],
            "waiting_bytes": self._transport.get_write_buffer_size(),
            "sent": self._sent,
            "dropped": self._dropped,
        }
