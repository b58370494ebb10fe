"""What the subscribers share: a socket that is read without waiting, and a bounded queue of unpacked objects."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import zmq

from rawdaq.errors import InvalidValue
from rawdaq.outage import Outage
from rawdaq.sockets.zeromq.context import large_context
from rawdaq.sockets.zeromq.socket import set_common_options, watched

#: What one message is: its bytes, or those of its parts where it has several.
Received = bytes | list[bytes]
Unpack = Callable[[Any], Any]

#: Objects that may wait for the program; then the oldest goes.
MAX_MESSAGES: Final = 100_000

_MAX_MESSAGE_BYTES: Final = 64 << 20
_HIGH_WATER_MARK: Final = 10_000
#: A failure that goes on is logged again this often.
REMIND_S: Final = 600.0
_ALL_INTERFACES: Final = "0.0.0.0"


class Subscription:
    """A SUB socket that takes every message: bound where the address is ``0.0.0.0``, else connected.

    Args:
        ip: the address, or the name of a host.
        port: the port.
        context: whose socket it is; None: one of its own.

    Attributes:
        descriptors: become readable when something happens; all must be taken then.

    Raises:
        InvalidValue: that cannot be an address.
        ComponentError: the port cannot be bound.
    """

    def __init__(self, ip: str, port: int, context: "zmq.Context[Any] | None") -> None:
        if not 0 < int(port) <= 65535:
            raise InvalidValue(f"port {port} is not in 1-65535")
        host = f"[{ip}]" if ":" in ip else ip
        with ExitStack() as stack:
            own = stack.enter_context(large_context()) if context is None else zmq.Context(context)
            self._socket: zmq.Socket[bytes] = stack.enter_context(own.socket(zmq.SUB))
            set_common_options(self._socket)
            self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
            self._socket.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
            self._monitor = stack.enter_context(
                watched(self._socket, f"tcp://{host}:{int(port)}", ip == _ALL_INTERFACES)
            )
            self._stack = stack.pop_all()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when something happens."""
        return (self._socket.fileno(), *self._monitor.descriptors)

    def messages(self, most: int) -> Iterator[Received]:
        """Yield the messages that are there, at most so many."""
        for _ in range(most):
            # Asking first is much cheaper than the exception of a receive that finds nothing.
            while not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                if not self._monitor.read():
                    return
            parts = self._socket.recv_multipart(zmq.NOBLOCK)
            yield parts if len(parts) > 1 else parts[0]

    def close(self) -> None:
        """Disconnect."""
        self._stack.close()


class Inbox:
    """Unpacked objects that wait for the program.

    Args:
        unpack: makes an object of a message; None: the message is the object.
        max_messages: how many may wait.
        log: where messages that cannot be unpacked, and dropped objects, are logged, at a bounded rate.

    Attributes:
        received: messages that came.
        malformed: messages for which `unpack` has raised an exception, or returned None.
        dropped: objects that went because too many waited.
    """

    def __init__(self, unpack: Unpack | None, max_messages: int, log: logging.Logger) -> None:
        if max_messages < 1:
            raise InvalidValue(f"max_messages {max_messages} is not above zero")
        self.received = self.malformed = self.dropped = 0
        self._unpack = unpack
        self._objects: deque[Any] = deque(maxlen=max_messages)
        self._log = log
        self._bad, self._full = Outage(log, REMIND_S), Outage(log, REMIND_S)
        self._has_ended = self._end_is_taken = False

    def unpacked(self, message: Received) -> tuple[Any, ...]:
        """Return the object of a message, alone; nothing where it cannot be unpacked."""
        self.received += 1
        if self._unpack is None:
            return (message,)
        try:
            found = self._unpack(message)
        except Exception as error:
            return self._refused(message, repr(error))
        # None means the end; ssdaq's own unpackers return it for what they cannot read.
        return self._refused(message, "unpack returns None") if found is None else (found,)

    def _refused(self, message: Received, reason: str) -> tuple[()]:
        self.malformed += 1
        self._bad.counts["malformed"] += 1
        if self._bad.is_due:
            count = self._bad.counts.total()
            self._bad.log("%d messages are skipped (%s); the last one begins with %r", count, reason, _start(message))
        return ()

    def put(self, found: Any) -> None:
        """Let an object wait; the oldest goes where too many do."""
        if len(self._objects) == self._objects.maxlen:
            self.dropped += 1
            self._full.counts["dropped"] += 1
            if self._full.is_due:
                self._full.log("%d objects wait, and the oldest are dropped: get_data must be called faster", len(self))
        self._objects.append(found)

    def __len__(self) -> int:
        """Return how many objects wait."""
        return len(self._objects)

    def end(self, *, hard: bool) -> None:
        """Let nothing come after what waits; *hard*: discard that too."""
        self._has_ended = True
        if hard:
            self._objects.clear()

    @property
    def is_over(self) -> bool:
        """Whether the end was taken: nothing comes any more."""
        return self._end_is_taken

    def take(self) -> tuple[Any, ...]:
        """Return the next object, alone; once None, after the last; nothing where none waits."""
        if self._objects:
            return (self._objects.popleft(),)
        if self._has_ended and not self._end_is_taken:
            self._end_is_taken = True
            return (None,)
        return ()


class HasInbox:
    """What a subscriber says of its inbox."""

    _inbox: Inbox

    @property
    def received(self) -> int:
        """Messages that came."""
        return self._inbox.received

    @property
    def malformed(self) -> int:
        """Messages for which `unpack` has raised an exception."""
        return self._inbox.malformed

    @property
    def dropped(self) -> int:
        """Objects that went because too many waited."""
        return self._inbox.dropped

    def empty(self) -> bool:
        """Return whether no object waits."""
        return not self._inbox


def _start(message: Received) -> bytes:
    return (message if isinstance(message, bytes) else message[0])[:32]
