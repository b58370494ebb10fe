"""`BasicSubscriber`: a thread that reads the messages of a publisher."""

import logging
import queue
import select
import socket
import threading
import time
from typing import Any, Final

import zmq

from rawdaq.subscribers.inbox import MAX_MESSAGES, HasInbox, Inbox, Subscription, Unpack

_CHECK_MS: Final = 1000  # the connection is looked after this often
_TURN: Final = 1000  # messages that are unpacked before anything else is looked at


class BasicSubscriber(HasInbox, threading.Thread):
    """Reads all messages of a publisher in a thread, as ssdaq's does.

    ::

        subscriber = BasicSubscriber(ip="127.0.0.1", port=9004)
        subscriber.start()
        while (data := subscriber.get_data()) is not None:
            ...

    A message of one part is bytes, one of several parts a list of bytes. One for which `unpack` raises an exception is
    counted, logged at a bounded rate, and skipped. `close` may be called by any thread, also twice and before `start`.

    Args:
        ip: address of the publisher; ``0.0.0.0`` waits for publishers that connect.
        port: its port.
        unpack: makes an object of a message; by default the message is the object.
        logger: where it logs.
        zmqcontext: whose socket is used; by default one of its own.
        max_messages: how many objects may wait; then the oldest goes.

    Attributes:
        received: messages that came.
        malformed: messages for which `unpack` has raised an exception.
        dropped: objects that went because too many waited.
        log: where it logs.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        unpack: Unpack | None = None,
        logger: logging.Logger | None = None,
        zmqcontext: "zmq.Context[Any] | None" = None,
        *,
        max_messages: int = MAX_MESSAGES,
    ) -> None:
        super().__init__(name=f"{type(self).__name__} {ip}:{port}", daemon=True)
        self.log = logger or logging.getLogger("rawdaq.subscribers")
        self._address = (ip, port)
        self._context = zmqcontext
        self._inbox = Inbox(unpack, max_messages, self.log)
        self._changed = threading.Condition()
        self._is_closed = self._is_hard = False
        self._subscription: Subscription | None = None
        self._wakes: tuple[socket.socket, ...] = ()  # of these the first is readable when the second is closed

    def start(self) -> None:
        """Connect, or bind, and begin to read.

        Raises:
            InvalidValue: ip and port are no address.
            ComponentError: the port cannot be bound.
        """
        with self._changed:
            if not self._is_closed and self._subscription is None:
                self._subscription = Subscription(*self._address, self._context)
                self._wakes = socket.socketpair()
        super().start()

    def run(self) -> None:
        """Read until `close` is called."""
        subscription = self._subscription
        if subscription is None:
            return
        try:
            self._read(subscription)
        finally:
            subscription.close()
            with self._changed:
                self._inbox.end(hard=self._is_hard)
                self._changed.notify_all()
            self._wakes[0].close()

    def _read(self, subscription: Subscription) -> None:
        poll = select.poll()  # unlike select() it knows descriptors above 1023
        for descriptor in (*subscription.descriptors, self._wakes[0].fileno()):
            poll.register(descriptor, select.POLLIN)
        while not self._is_closed:
            if not self._take(subscription, _TURN):
                poll.poll(_CHECK_MS)
        if not self._is_hard:  # what had come by then
            self._take(subscription, MAX_MESSAGES)

    def _take(self, subscription: Subscription, most: int) -> int:
        """Unpack what has come; return how many messages."""
        count = 0
        for count, message in enumerate(subscription.messages(most), 1):  # noqa: B007 - it is returned
            for found in self._inbox.unpacked(message):
                with self._changed:
                    if not self._is_hard:
                        self._inbox.put(found)
                        self._changed.notify()
            if self._is_hard:
                break
        return count

    def get_data(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next object, or None, once, after the last.

        Args:
            block: wait for it.
            timeout: how many seconds at most; None: until it comes.

        Raises:
            queue.Empty: nothing came in time, or nothing comes any more.
        """
        end_s = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not (taken := self._inbox.take()):
                left_s = None if end_s is None else end_s - time.monotonic()
                if not block or self._inbox.is_over or (left_s is not None and left_s <= 0):
                    raise queue.Empty
                self._changed.wait(left_s)
        return taken[0]

    def close(self, hard: bool = True) -> None:
        """Read no more; `get_data` returns None after the last object.

        Args:
            hard: discard what waits.
        """
        with self._changed:
            self._is_hard |= hard
            is_first, self._is_closed = not self._is_closed, True
            if hard or self._subscription is None:
                self._inbox.end(hard=hard)
            self._changed.notify_all()
        if is_first and self._wakes:
            self._wakes[1].close()
