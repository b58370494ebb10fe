"""Live streams for any number of ZMQ subscribers, each with its own bounded backlog and its own count of drops.

The connections are ours and not libzmq's, because libzmq drops without a report; see ``docs/decisions/zmq-drops.md``.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.delivery.items import count_of
from rawdaq.errors import InvalidValue
from rawdaq.messages import frames as message_frames
from rawdaq.messages.message import Message
from rawdaq.miniseed.format import RecordRun
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.message import encode, encode_run
from rawdaq.protocols.zmtp import frame_message
from rawdaq.publisher import OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.publishers.zmq_pub.connection import PubConnection, PubCounts
from rawdaq.sockets.dialling import Backoff, Dialler
from rawdaq.sockets.endpoint import check_listening, host_port
from rawdaq.sockets.listener import Listener, listen
from rawdaq.sockets.refusals import Refusals

_YIELD_MESSAGES = 1000  # after so many the loop gets a turn, to send what was written and to serve the receiver
_LINGER_S = 1.0  # how long the last messages may take on stop
_REFUSED_S = 60.0  # connections that are refused for the same reason are logged this often
_CHECK_S = 10.0


class ZMQTCPPublisher(Publisher):
    """Publishes packets and messages as ZMQ PUB over TCP; plain bytes go out unchanged as one frame.

    A subscriber that reads too slowly loses messages, the others do not: its drops are counted by stream, logged
    once per outage with their extent, and shown by `status`. Nothing else is dropped: a device that sends faster than
    messages can be made waits. While the address cannot be listened on, or with mode ``remote`` while the other side is
    away, what comes waits, and the oldest is dropped when that is too much.

    Args:
        ip: the interface to publish on, or with mode remote the machine to send to.
        port: its port; 0 lets the system choose one, which `status` shows.
        name: how log lines and `status` call it.
        logger: parent of its logger.
        mode: ``local`` publishes on a loopback address, ``outbound`` on any interface of this machine, ``remote``
            dials a subscriber that listens at the address, again and again while it is away.
        high_water_mb: megabytes that may wait for one subscriber; what comes while they do is dropped for it.
        max_subscribers: how many may be connected at once.
    """

    takes_runs = True
    takes_messages = True
    # While it is paused nobody can subscribe, and no other publisher is to wait for that.
    overflow = OverflowPolicy.DROP_OLDEST
    overflows_only_when_paused = True
    queue_mb = 8.0  # for what is just being written; it never waits for a subscriber

    def __init__(
        self,
        ip: Annotated[str, AfterValidator(check_listening)],
        port: Annotated[int, Field(ge=0, le=65535)],
        name: str = "ZMQTCPPublisher",
        logger: logging.Logger | None = None,
        mode: Literal["local", "outbound", "remote"] = "local",
        high_water_mb: Annotated[float, Field(gt=0, le=4096)] = 64.0,
        max_subscribers: Annotated[int, Field(ge=1, le=10_000)] = 256,
    ) -> None:
        super().__init__(name, logger)
        if mode not in ("local", "outbound", "remote"):
            raise InvalidValue(f"mode {mode!r} is not local, outbound or remote")
        if mode == "remote":  # it may be away for long
            self.queue_mb = Publisher.queue_mb
        self.ip, self.port, self.mode = ip, port, mode
        self.max_subscribers = max_subscribers
        self._high_water_bytes = int(high_water_mb * 1e6)
        self._listener: Listener | None = None
        self._dialler: Dialler[PubConnection] | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._connections: set[PubConnection] = set()
        self._published = 0
        self._counts = PubCounts()
        self._refusals = Refusals(self.log, what="connection", interval_s=_REFUSED_S)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* cannot be together, None when they can."""
        return _refusal(options["mode"], options["ip"])

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the address that only one publisher can listen on, None without one."""
        if options["mode"] == "remote" or not options["port"]:
            return None
        return _address(_host(options["ip"]), options["port"])

    @property
    def address(self) -> str:
        """Where subscribers connect (with mode remote: where they listen)."""
        return _address(self.ip, self.port)

    async def open(self) -> None:
        """Listen for subscribers; with mode remote, begin to dial.

        Raises:
            ComponentError: the address cannot be used now.
            InvalidValue: it is not a loopback address, with mode local.
        """
        if self.mode == "remote":
            self._dialler = Dialler(self._connection, self.ip, self.port, Backoff(), self.log)
            self._dialling = asyncio.create_task(self._dialler.run(), name=f"{self.name} dials {self.address}")
            return
        if reason := _refusal(self.mode, self.ip):
            raise InvalidValue(reason)
        self._listener = await listen(self._connection, _host(self.ip), self.port, self.address, self.log)
        self.port = self._listener.port
        self.log.info("publishing on %s", self.address)

    def _connection(self) -> PubConnection:
        return PubConnection(
            self._high_water_bytes, self.log, self._connections, self._counts, self._admit, self._refusals
        )

    def _admit(self) -> bool:
        return len(self._connections) < self.max_subscribers

    async def deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | Message | bytes]) -> None:
        """Write *batch* to every subscriber that wants it and keeps up.

        Raises:
            PublisherUnavailable: with mode remote, while there is no subscriber.
        """
        written, since = 0, _YIELD_MESSAGES
        subscribers: list[PubConnection] = []
        for item in batch:
            if since >= _YIELD_MESSAGES:  # subscriptions change only in turns of the loop
                if written:
                    await asyncio.sleep(0)
                subscribers, since = self._subscribers(written), 0
            count = count_of(item)
            if subscribers:
                self._write(item, subscribers)
            written += count
            since += count
            self._published += count
        for subscriber in self._connections:
            subscriber.flush()

    def try_deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | Message | bytes]) -> bool:
        """Write *batch* to every subscriber that wants it and keeps up, when that is little and need not be kept."""
        count = 0
        for item in batch:  # as it stands here: a function more costs a packet that comes alone microseconds
            count += 1 if isinstance(item, Packet) else count_of(item)
        if count > _YIELD_MESSAGES or self._is_away():
            return False
        if self._connections:
            for item in batch:
                self._write(item, self._connections)
            for connection in self._connections:
                connection.flush()
        self._published += count
        return True

    def _is_away(self) -> bool:
        """Whether messages must be kept for the subscriber that is dialled."""
        return self.mode == "remote" and not any(connection.topics for connection in self._connections)

    def _subscribers(self, written: int) -> list[PubConnection]:
        """Return the subscribers with a subscription.

        Raises:
            PublisherUnavailable: with mode remote, while there is none.
        """
        if self._is_away():
            if self._dialler is not None:
                self._dialler.hurry()
            raise PublisherUnavailable(f"no subscriber at {self.address}; is it running and listening?", written)
        return [connection for connection in self._connections if connection.topics]

    def _write(
        self, item: Packet | PacketRun | RecordRun | Message | bytes, subscribers: Collection[PubConnection]
    ) -> None:
        for frames in (encode(item),) if isinstance(item, Packet) else _messages(item):
            topic = frames[0] if isinstance(frames[0], bytes) else bytes(frames[0])
            pieces: list[bytes | memoryview] = []
            size_bytes = 0
            for subscriber in subscribers:
                if subscriber.wants(topic):
                    if not pieces:
                        pieces = frame_message(frames)
                        size_bytes = sum(map(len, pieces))  # all are flat bytes
                    subscriber.send(pieces, size_bytes, item)

    async def watch(self) -> None:
        """Log how many connections were refused since the last line."""
        await self._refusals.log_regularly(_CHECK_S)

    async def aclose(self) -> None:
        """Stop listening; what subscribers have not yet read gets a second, then they are cut."""
        await super().aclose()
        if self._dialler is not None:
            self._dialler.stop()
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()  # what is just being connected is closed with the others
            self._listener = None
        closing = [connection.close() for connection in list(self._connections)]
        if closing:
            _, late = await asyncio.wait(closing, timeout=_LINGER_S)
            for connection in list(self._connections):
                connection.abort()
            if late:
                await asyncio.wait(late)
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait([self._dialling])
            self._dialler = self._dialling = None
        self._refusals.log(at_once=True)

    def status(self) -> dict[str, object]:
        """Return address, counters, and one entry for each subscriber."""
        return {
            "address": self.address,
            "mode": self.mode,
            "published": self._published,
            "sent": self._counts.sent,
            "sent_bytes": self._counts.sent_bytes,
            "dropped": self._counts.dropped.total(),
            "dropped_by_stream": dict(self._counts.dropped),
            "turned_away": dict(self._refusals.by_reason),
            "subscribers": [connection.status() for connection in self._connections],
        }


def _address(ip: str, port: int) -> str:
    return f"tcp://{host_port(ip, port)}"


def _host(ip: str) -> str:
    """Return *ip* as the system knows it."""
    return {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(ip, ip)


def _refusal(mode: str, ip: str) -> str | None:
    """Return why nothing can be published so, None when it can."""
    if mode != "local" or _is_loopback(ip):
        return None
    return (
        f"mode local publishes to this machine only, but {ip} is not a loopback address; "
        "use ip: 127.0.0.1, or mode: outbound to let others in"
    )


def _is_loopback(ip: str) -> bool:
    try:
        return ip == "localhost" or ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False


def _messages(item: PacketRun | RecordRun | Message | bytes) -> Iterable[Sequence[bytes | memoryview]]:
    """Return the frames of each message that *item* is."""
    if isinstance(item, PacketRun):
        return encode_run(item)
    if isinstance(item, Message):
        return [message_frames.encode(item)]
    return [[item if isinstance(item, bytes) else item.data]]
