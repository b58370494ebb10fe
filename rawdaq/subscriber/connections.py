"""Reading live publishers by ZMQ, whatever is made of their messages."""

import asyncio
import logging
import math
import select
import socket
import time
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import zmq

from rawdaq.errors import InvalidValue
from rawdaq.outage import Outage
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.context import large_context
from rawdaq.sockets.zeromq.dialling import ZmqDialler
from rawdaq.sockets.zeromq.socket import set_common_options
from rawdaq.subscriber.reader import Item, ItemReader

DEFAULT_ADDRESS = "tcp://127.0.0.1:9004"

_MAX_MESSAGE_BYTES = 64 << 20  # eight times the largest packet that a device can send: bounds one message
_REMIND_S = 600.0  # a failure that goes on is logged again this often
_CHECK_S = 1.0  # a reader that waits looks after its connections this often
_YIELD_ITEMS = 100  # an async reader of a busy publisher lets other tasks run after so many


class LiveReader(ItemReader[Item]):
    """Reads one or more publishers, which may come and go: the connection comes back by itself.

    Args:
        addresses: one or more addresses of publishers, like ``tcp://127.0.0.1:9004``.
        timeout_s: as that of `ItemReader`.
        high_water_mark: messages that may wait here before the publisher keeps (and later drops) them.
        logger: where malformed messages are logged.

    Attributes:
        addresses: as the argument.
        refusals: the malformed messages.
        cuts: how often we cut the connection to a publisher, for a message that is too large or breaks ZMQ's rules.

    Raises:
        InvalidValue: no address, or one that ZMQ does not understand (on opening).
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        timeout_s: float | None,
        high_water_mark: int,
        logger: logging.Logger | None,
    ) -> None:
        super().__init__(timeout_s, logger)
        self._prepare(addresses, high_water_mark)

    def _prepare(self, addresses: str | Iterable[str], high_water_mark: int) -> None:
        self.addresses = (addresses,) if isinstance(addresses, str) else tuple(dict.fromkeys(addresses))
        if not self.addresses:
            raise InvalidValue(f"a subscriber needs an address like {DEFAULT_ADDRESS}")
        self.refusals = Refusals(self._log, what="message")
        self.cuts: Counter[str] = Counter()
        self._cut_lines: dict[str, Outage] = defaultdict(lambda: Outage(self._log, _REMIND_S))
        self._high_water_mark = high_water_mark
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._publishers: list[_Publisher] = []  # the next one to be read is the first
        self._wakes: tuple[socket.socket, ...] = ()
        self._poll: select.poll | None = None
        self._until_yield = _YIELD_ITEMS

    @abstractmethod
    def _topics(self) -> Sequence[bytes]:
        """Return what to subscribe to."""

    @abstractmethod
    def _read(self, address: str, frames: list[bytes]) -> Item | None:
        """Return what is made of a message from *address*; None when that is nothing."""

    @property
    def malformed(self) -> int:
        """How many messages were skipped because they are not ours."""
        return self.refusals.by_reason.total()

    def unanswered(self) -> dict[str, bool]:
        """Return the addresses of publishers that have not answered so far, and whether each takes connections.

        One that takes connections and does not answer refuses us, or is no publisher.
        """
        for publisher in self._publishers:
            publisher.read_events()
        return {each.address: each.takes_connections for each in self._publishers if not each.has_answered}

    def open(self) -> None:
        """Connect; a second time does nothing.

        Raises:
            InvalidValue: ZMQ does not understand an address.
        """
        if self._context is not None or self._is_closed:
            return
        self._context = large_context()
        self._wakes = socket.socketpair()
        try:
            for address in self.addresses:
                subscription = self._context.socket(zmq.SUB)
                self._publishers.append(_Publisher(subscription, address, self._note_cut))
                subscription.setsockopt(zmq.RCVHWM, self._high_water_mark)
                subscription.setsockopt(zmq.SNDHWM, 0)  # libzmq drops subscriptions beyond it, in silence
                self._publishers[-1].connect(self._topics())
        except InvalidValue:
            self._release()
            raise

    def _note_cut(self, address: str) -> None:
        self.cuts[address] += 1
        if self._cut_lines[address].is_due:
            self._cut_lines[address].log(
                "%s: we cut the connection, for a message above %d MB or one that breaks ZMQ's rules; connecting again",
                address,
                _MAX_MESSAGE_BYTES >> 20,
            )

    def _wake(self) -> None:
        if self._wakes:
            self._wakes[1].send(b"!")  # a reader disconnects when it sees this

    def _release(self) -> None:
        for publisher in self._publishers:
            publisher.close()
        self._publishers.clear()
        self._poll = None
        if self._context is not None:
            self._context.term()
            self._context = None
        for end in self._wakes:
            end.close()
        self._wakes = ()
        self.refusals.log(at_once=True)

    def receive(self, timeout_s: float | None = None) -> Item | None:
        """Return the next one, or None when none came within *timeout_s* or the subscriber was closed."""
        self._begin()
        try:
            self.open()
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            while not self._is_closed:
                if (item := self._take()) is not None:
                    return item
                if not self._wait(_left_s(end_s)):
                    return None
            return None
        finally:
            self._end()

    async def areceive(self, timeout_s: float | None = None) -> Item | None:
        """Do the same as `receive` while the event loop runs on."""
        self._begin()
        try:
            self.open()
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            self._until_yield -= 1
            if self._until_yield == 0:
                self._until_yield = _YIELD_ITEMS
                await asyncio.sleep(0)  # before one is taken: cancelling here loses none
            while not self._is_closed:
                if (item := self._take()) is not None:
                    return item
                if not await self._await_readable(_left_s(end_s)):
                    return None
            return None
        finally:
            self._end()

    # A ZMQ socket's descriptor is readable from the moment that something happens until we have taken all there is;
    # `_take` did that before we wait, so nothing comes unnoticed.

    def _descriptors(self) -> list[int]:
        """Return what becomes readable when something may have come, or on `close`."""
        ours = [descriptor for publisher in self._publishers for descriptor in publisher.descriptors]
        return ours + [end.fileno() for end in self._wakes[:1]]

    def _wait(self, timeout_s: float | None) -> bool:
        """Return False when nothing can have come within *timeout_s*."""
        if self._poll is None:
            self._poll = select.poll()  # unlike select() it knows descriptors above 1023
            for descriptor in self._descriptors():
                self._poll.register(descriptor, select.POLLIN)
        slice_s = _slice_s(timeout_s)
        return bool(self._poll.poll(math.ceil(slice_s * 1000))) or slice_s != timeout_s

    async def _await_readable(self, timeout_s: float | None) -> bool:
        loop, ready, slice_s = asyncio.get_running_loop(), asyncio.Event(), _slice_s(timeout_s)
        descriptors = self._descriptors()
        for descriptor in descriptors:
            loop.add_reader(descriptor, ready.set)
        try:
            async with asyncio.timeout(slice_s):
                return await ready.wait()
        except TimeoutError:
            return slice_s != timeout_s
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    def _take(self) -> Item | None:
        """Return the next one that has come and is selected, None when all is taken."""
        for index, publisher in enumerate(self._publishers):
            while (frames := publisher.next_frames()) is not None:
                self.size_bytes += sum(map(len, frames))
                item = self._read(publisher.address, frames)
                if item is not None:
                    if len(self._publishers) > 1:  # a busy publisher does not silence the others
                        self._publishers.append(self._publishers.pop(index))
                    return item
        return None


class _Publisher:
    """The connection to one publisher.

    Attributes:
        address: where it is.
        takes_connections: whether anything does there.
        has_answered: whether that is a publisher, and serves us.
        descriptors: become readable when something happens.
    """

    def __init__(self, subscription: "zmq.Socket[bytes]", address: str, note_cut: Callable[[str], None]) -> None:
        self.address = address
        self.takes_connections = False
        self.has_answered = False
        self._socket = subscription
        set_common_options(subscription)
        subscription.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        self._note_cut = note_cut
        self._is_served = False
        self._dialler = ZmqDialler(subscription, address, self._note, given_up=self._note_given_up)
        self.descriptors = (subscription.fileno(), *self._dialler.descriptors)

    def connect(self, topics: Sequence[bytes]) -> None:
        """Subscribe to *topics*, and connect.

        Raises:
            InvalidValue: ZMQ does not understand the address.
        """
        # ZMQ takes what fits of a port that is too high, and then connects to another one.
        port = self.address.rpartition(":")[2]
        if self.address.startswith("tcp:") and not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise self._invalid("its port is not a number in 1-65535")
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        try:
            self._dialler.connect()
        except zmq.ZMQError as error:
            raise self._invalid(error.strerror) from error

    def _invalid(self, reason: str) -> InvalidValue:
        return InvalidValue(f"address {self.address!r} is not like {DEFAULT_ADDRESS}: {reason}")

    def next_frames(self) -> list[bytes] | None:
        """Return the next message, None when all are taken."""
        while (frames := self._frames()) is None:
            if not self._dialler.read():
                return None
        return frames

    def _frames(self) -> list[bytes] | None:
        # Asking first is much cheaper than the exception of a receive that finds nothing.
        if not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            return None
        return self._socket.recv_multipart(zmq.NOBLOCK)

    def read_events(self) -> None:
        """Take note of what has happened to the connection."""
        self._dialler.read()

    def _note(self, event: int, value: int) -> None:
        self.takes_connections |= event == zmq.EVENT_CONNECTED
        self.has_answered |= event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        self._is_served |= event == zmq.EVENT_HANDSHAKE_SUCCEEDED

    def _note_given_up(self) -> None:
        if self._is_served:
            self._note_cut(self.address)
        self._is_served = False

    def close(self) -> None:
        """Disconnect."""
        self._dialler.close()
        self._socket.close()


def _left_s(end_s: float | None) -> float | None:
    return None if end_s is None else max(0.0, end_s - time.monotonic())


def _slice_s(timeout_s: float | None) -> float:
    return _CHECK_S if timeout_s is None else min(timeout_s, _CHECK_S)
