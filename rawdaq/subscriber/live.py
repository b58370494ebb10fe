"""The Python way to read a live stream: an iterator, and an async iterator, of packets.

::

    with Subscriber("tcp://127.0.0.1:9004", ["XX.*.*.HH?"]) as subscriber:
        for packet in subscriber:
            print(packet.stream, packet.samples.mean())

Files are read in the same way: ``Subscriber.from_files("day/*.mseed")``.
"""

import asyncio
import logging
import math
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import zmq

from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.protocols.message import decode, is_waveform
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.stream_id import StreamId, check_patterns, prefixes

DEFAULT_ADDRESS = "tcp://127.0.0.1:9004"

_MAX_MESSAGE_BYTES = 64 << 20  # eight times the largest packet that a device can send: bounds one message
_HEARTBEAT_MS = 10_000  # a publisher whose machine has vanished is noticed after three of them, and dialled again
_RECONNECT_MAX_MS = 5_000
_MAX_CACHED = 10_000  # topics for which the patterns' answer is remembered
_YIELD_PACKETS = 100  # an async reader of a busy stream lets other tasks run after so many


class Loss(NamedTuple):
    """Messages of a stream that were published and did not arrive: the publisher or the network dropped them.

    Attributes:
        stream: whose packets are missing.
        missing: how many.
        next_packet: the packet that came after them.
        address: the publisher they are missing from.
    """

    stream: StreamId
    missing: int
    next_packet: Packet
    address: str


class Subscriber:
    """Reads the packets of one or more publishers.

    Building one stores its settings; it connects when it is entered or first iterated. Publishers may come and go, the
    connection comes back by itself. The iteration ends on `close`, which any thread may call, or when nothing has come
    for `timeout_s`. One reader at a time.

    Args:
        addresses: one or more addresses of publishers, like ``tcp://127.0.0.1:9004``.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``, like ``XX.*.*.HH?``; none means all streams.
        timeout_s: an iteration ends when no packet came for so long; None waits until `close`.
        high_water_mark: messages that may wait here before the publisher keeps (and later drops) them.
        on_loss: called for every jump in a stream's numbering, before the packet that came after it.
        logger: where messages that are not ours are told.

    Attributes:
        received: packets so far, by stream.
        lost: messages that a jump in the numbering shows to be missing, by stream.
        malformed: messages that were skipped because they are not ours.
        size_bytes: bytes of all messages that were taken.
        has_ended: whether nothing can come any more; a live stream has no end.

    Raises:
        InvalidValue: no address, one that ZMQ does not understand (on opening), or a pattern that can name no stream.
    """

    def __init__(
        self,
        addresses: str | Iterable[str] = DEFAULT_ADDRESS,
        streams: str | Iterable[str] = (),
        *,
        timeout_s: float | None = None,
        high_water_mark: int = 10_000,
        on_loss: Callable[[Loss], None] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.addresses = (addresses,) if isinstance(addresses, str) else tuple(dict.fromkeys(addresses))
        self.streams = (streams,) if isinstance(streams, str) else tuple(streams)
        if not self.addresses:
            raise InvalidValue(f"a subscriber needs an address like {DEFAULT_ADDRESS}")
        if self.is_live:  # files may name streams as no stream is called here, and have them renamed
            check_patterns(self.streams)
        self.timeout_s = timeout_s
        self.received: Counter[StreamId] = Counter()
        self.lost: Counter[StreamId] = Counter()
        self.malformed = 0
        self.size_bytes = 0
        self.has_ended = False
        self._high_water_mark = high_water_mark
        self._on_loss = on_loss
        self._log = logger or logging.getLogger("rawdaq.subscriber")
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        # One socket each, because the numbering of a stream holds for one publisher.
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._turn: list[str] = list(self.addresses)
        self._expected: dict[tuple[str, StreamId], int] = {}
        self._wanted: dict[bytes, bool] = {}
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._poll: select.poll | None = None
        self._lock = threading.RLock()  # a signal handler may call close() on the reader's own thread
        self._is_reading = False
        self._is_closed = False
        self._until_yield = _YIELD_PACKETS

    @staticmethod
    def from_files(
        files: str | Path | Iterable[str | Path],
        streams: str | Iterable[str] = (),
        *,
        rename: Mapping[str, str] | None = None,
        packet_s: float = 0.0,
        is_strict: bool = False,
        logger: logging.Logger | None = None,
    ) -> "Subscriber":
        """Return a subscriber that reads waveform files, of any kind that ObsPy knows, in order of time.

        Args:
            files: files, folders (with all that is below them) and patterns such as ``day/**/*.mseed``.
            streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
            rename: new names by pattern of the file's name, such as ``{"IU.COLA.*.*": "XX.TEST.*.*"}``.
            packet_s: the length of a packet; 0 leaves records and traces as the files have them.
            is_strict: raise at the first file, or piece of one, that is not what it says, instead of skipping it.
            logger: where what is skipped is told.

        Raises:
            InvalidValue: no file is named, a new name cannot be one, or a pattern can name no stream.
        """
        from rawdaq.subscriber.files import FileSubscriber

        return FileSubscriber(files, streams, rename=rename, packet_s=packet_s, is_strict=is_strict, logger=logger)

    @property
    def is_live(self) -> bool:
        """Whether packets come as they are made, so that their latency means something."""
        return True

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that came though no pattern names them; only what begins as a pattern does is ever sent."""
        return sorted(topic.decode() for topic, is_wanted in tuple(self._wanted.items()) if not is_wanted)

    def open(self) -> None:
        """Connect; a second time does nothing.

        Raises:
            InvalidValue: ZMQ does not understand an address.
        """
        if self._context is not None or self._is_closed:
            return
        self._context = zmq.Context()
        self._wake = socket.socketpair()
        try:
            for address in self.addresses:
                self._sockets[address] = self._connected(self._context, address)
        except InvalidValue:
            self._release()
            raise

    def _connected(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str) -> "zmq.Socket[bytes]":
        # ZMQ takes what fits of a port that is too high, and then dials another one.
        port = address.rpartition(":")[2]
        if address.startswith("tcp:") and not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise InvalidValue(f"address {address!r} is not like {DEFAULT_ADDRESS}: its port is no number in 1-65535")
        subscription = self._prepared(context, address)
        try:
            subscription.connect(address)
        except zmq.ZMQError as error:
            subscription.close()
            raise InvalidValue(f"address {address!r} is not like {DEFAULT_ADDRESS}: {error.strerror}") from error
        return subscription

    def _prepared(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str) -> "zmq.Socket[bytes]":
        """Return a socket that is about to connect to *address*."""
        subscription = context.socket(zmq.SUB)
        subscription.setsockopt(zmq.LINGER, 0)
        subscription.setsockopt(zmq.IPV6, 1)
        subscription.setsockopt(zmq.RCVHWM, self._high_water_mark)
        subscription.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        subscription.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        subscription.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
        subscription.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        for prefix in prefixes(self.streams):
            subscription.setsockopt(zmq.SUBSCRIBE, prefix)
        return subscription

    def close(self) -> None:
        """End the iteration, from whatever thread, and disconnect; a second time does nothing."""
        with self._lock:
            self._is_closed = True
            if self._wake is not None:
                self._wake[1].send(b"!")  # a reader disconnects when it sees this
            if not self._is_reading:
                self._release()

    async def aclose(self) -> None:
        """Do the same as `close`, which never waits."""
        self.close()

    def _release(self) -> None:
        for subscription in self._sockets.values():
            subscription.close()
        self._sockets.clear()
        self._poll = None
        if self._context is not None:
            self._context.term()
            self._context = None
        if self._wake is not None:
            for end in self._wake:
                end.close()
            self._wake = None

    def _begin(self) -> None:
        """Take the sockets, which only one thread at a time may touch."""
        with self._lock:
            if self._is_reading:
                raise RuntimeError("a Subscriber has one reader at a time; give each reader its own Subscriber")
            self._is_reading = True

    def _end(self) -> None:
        """Let go of the sockets, for good when `close` was called meanwhile."""
        with self._lock:
            self._is_reading = False
            if self._is_closed:
                self._release()

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """Return the next packet, or None when none came within *timeout_s* or the subscriber was closed."""
        self._begin()
        try:
            self.open()
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            while not self._is_closed:
                if (packet := self._take()) is not None:
                    return packet
                if not self._wait(_left_s(end_s)):
                    return None
            return None
        finally:
            self._end()

    async def areceive(self, timeout_s: float | None = None) -> Packet | None:
        """Do the same as `receive` while the event loop runs on."""
        self._begin()
        try:
            self.open()
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            self._until_yield -= 1
            if self._until_yield == 0:
                self._until_yield = _YIELD_PACKETS
                await asyncio.sleep(0)  # before a packet is taken: cancelling here loses none
            while not self._is_closed:
                if (packet := self._take()) is not None:
                    return packet
                if not await self._await_readable(_left_s(end_s)):
                    return None
            return None
        finally:
            self._end()

    def _descriptors(self) -> list[int]:
        """Return what becomes readable when something may have come, or on `close`."""
        wake = [] if self._wake is None else [self._wake[0].fileno()]
        return [*(each.fileno() for each in self._sockets.values()), *wake]

    # A ZMQ socket's descriptor is readable from the moment that something happens until we have taken all there is;
    # `_take` did that before we wait, so nothing comes unnoticed.

    def _wait(self, timeout_s: float | None) -> bool:
        """Return whether something may have come within *timeout_s*."""
        if self._poll is None:
            self._poll = select.poll()  # unlike select() it knows descriptors above 1023
            for descriptor in self._descriptors():
                self._poll.register(descriptor, select.POLLIN)
        return bool(self._poll.poll(None if timeout_s is None else math.ceil(timeout_s * 1000)))

    async def _await_readable(self, timeout_s: float | None) -> bool:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        descriptors = self._descriptors()
        for descriptor in descriptors:
            loop.add_reader(descriptor, ready.set)
        try:
            async with asyncio.timeout(timeout_s):
                return await ready.wait()
        except TimeoutError:
            return False
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    def _take(self) -> Packet | None:
        """Return the next packet that has come and is wanted, None when all is taken."""
        for address in tuple(self._turn):
            while (frames := self._frames(self._sockets[address])) is not None:
                packet = self._packet(frames, address)
                if packet is not None:
                    self._turn.remove(address)
                    self._turn.append(address)  # a busy publisher does not silence the others
                    return packet
        return None

    def _frames(self, subscription: "zmq.Socket[bytes]") -> list[bytes] | None:
        # Asking first is much cheaper than the exception of a receive that finds nothing.
        if not int(subscription.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            return None
        return subscription.recv_multipart(zmq.NOBLOCK)

    def _packet(self, frames: list[bytes], address: str) -> Packet | None:
        """Return the packet in *frames* and count it, None when it is not for us."""
        self.size_bytes += sum(map(len, frames))
        if not is_waveform(frames[0]):
            return None
        try:
            packet = decode(frames)
        except MessageMalformed as error:
            self._skip(error, address)
            return None
        if not self._wants(frames[0], packet.stream):
            return None
        self.received[packet.stream] += 1
        self._count_loss(packet, address)
        return packet

    def _skip(self, error: MessageMalformed, address: str) -> None:
        self.malformed += 1
        if self.malformed in (1, 10, 100, 1000) or self.malformed % 10_000 == 0:  # a broken publisher repeats itself
            self._log.warning("skipped message %d that is not ours, from %s: %s", self.malformed, address, error)

    def _wants(self, topic: bytes, stream: StreamId) -> bool:
        wanted = self._wanted.get(topic)
        if wanted is None:
            wanted = stream.matches(self.streams)
            if len(self._wanted) < _MAX_CACHED:
                self._wanted[topic] = wanted
        return wanted

    def _count_loss(self, packet: Packet, address: str) -> None:
        key = (address, packet.stream)
        missing = packet.sequence - self._expected.get(key, packet.sequence)
        self._expected[key] = packet.sequence + 1
        if missing > 0:  # below zero: the publisher was started again
            self.lost[packet.stream] += missing
            if self._on_loss is not None:
                self._on_loss(Loss(packet.stream, missing, packet, address))

    def __iter__(self) -> Iterator[Packet]:
        """Iterate over the packets that come."""
        return self

    def __next__(self) -> Packet:
        """Return the next packet."""
        packet = self.receive(self.timeout_s)
        if packet is None:
            raise StopIteration
        return packet

    def __aiter__(self) -> AsyncIterator[Packet]:
        """Iterate over the packets that come while the event loop runs on."""
        return self

    async def __anext__(self) -> Packet:
        """Return the next packet."""
        packet = await self.areceive(self.timeout_s)
        if packet is None:
            raise StopAsyncIteration
        return packet

    def __enter__(self) -> Self:
        """Connect."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    async def __aenter__(self) -> Self:
        """Connect."""
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()


def _left_s(end_s: float | None) -> float | None:
    return None if end_s is None else max(0.0, end_s - time.monotonic())
