"""`AsyncSubscriber`: reads the messages of a publisher in an event loop."""

import asyncio
import logging
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Final

import zmq

from rawdaq.outage import Outage
from rawdaq.subscribers.inbox import MAX_MESSAGES, REMIND_S, HasInbox, Inbox, Subscription, Unpack

_CHECK_S: Final = 1.0  # the connection is looked after this often
_TURN: Final = 100  # messages that are unpacked before other tasks run


def loop_of_this_thread() -> asyncio.AbstractEventLoop:
    """Return the running loop, or else the one that is set, or a new one that is set then."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is how ssdaq's programs get theirs
        try:
            return asyncio.get_event_loop()
        except RuntimeError:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            return loop


class AsyncSubscriber(HasInbox):
    """Reads all messages of a publisher in an event loop, as ssdaq's does; it receives from its construction on.

    ::

        subscriber = AsyncSubscriber(ip="127.0.0.1", port=9004)
        while (data := await subscriber.get_data()) is not None:
            ...

    A message of one part is bytes, one of several parts a list of bytes. One for which `unpack` raises an exception is
    counted, logged at a bounded rate, and skipped.

    Args:
        ip: address of the publisher; ``0.0.0.0`` waits for publishers that connect.
        port: its port.
        unpack: makes an object of a message; by default the message is the object.
        logger: where it logs.
        zmqcontext: whose socket is used; by default one of its own.
        loop: the event loop; by default the running one.
        passoff_callback: gets each object instead of the queue; an exception in it is logged and ends nothing.
        name: how log lines call it.
        max_messages: how many objects may wait; then the oldest goes.

    Attributes:
        received: messages that came.
        malformed: messages for which `unpack` has raised an exception.
        dropped: objects that went because too many waited.
        log: where it logs.

    Raises:
        InvalidValue: ip and port are no address.
        ComponentError: the port cannot be bound.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        unpack: Unpack | None = None,
        logger: logging.Logger | None = None,
        zmqcontext: "zmq.Context[Any] | None" = None,
        loop: asyncio.AbstractEventLoop | None = None,
        passoff_callback: Callable[[Any], object] | None = None,
        name: str | None = None,
        *,
        max_messages: int = MAX_MESSAGES,
    ) -> None:
        self.log = (logger or logging.getLogger("rawdaq.subscribers")).getChild(name or type(self).__name__)
        self._loop = loop or loop_of_this_thread()
        self._inbox = Inbox(unpack, max_messages, self.log)
        self._passoff_callback = passoff_callback
        self._failing = Outage(self.log, REMIND_S)
        self._waiting: list[asyncio.Future[None]] = []
        self._subscription: Subscription | None = Subscription(ip, port, zmqcontext)
        for descriptor in self._subscription.descriptors:
            self._loop.add_reader(descriptor, self._read)
        self._next: asyncio.Handle = self._loop.call_soon(self._read)

    def _read(self) -> None:
        """Take what has come, and come back: at once where more is there."""
        self._next.cancel()
        is_busy = self._take(_TURN) == _TURN
        if self._subscription is not None:  # the callback has not closed it
            self._next = self._loop.call_soon(self._read) if is_busy else self._loop.call_later(_CHECK_S, self._read)

    def _take(self, most: int) -> int:
        """Unpack what has come; return how many messages."""
        count = 0
        messages = self._subscription.messages(most) if self._subscription is not None else iter(())
        for count, message in enumerate(messages, 1):  # noqa: B007 - it is returned
            for found in self._inbox.unpacked(message):
                self._pass_on(found)
            if self._subscription is None:  # the callback has closed it
                break
        return count

    def _pass_on(self, found: Any) -> None:
        if self._passoff_callback is None:
            self._inbox.put(found)
            self._notify()
            return
        try:
            self._passoff_callback(found)
        except Exception:
            if self._failing.is_due:
                self._failing.log("passoff_callback has failed; the next object comes\n%s", traceback.format_exc())

    def _notify(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def get_data(self) -> Any:
        """Return the next object, or None, once, after the last.

        Raises:
            asyncio.QueueEmpty: the end was taken before: nothing comes any more.
        """
        while not (taken := self._inbox.take()):
            if self._inbox.is_over:
                raise asyncio.QueueEmpty
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            await waiter
        return taken[0]

    async def close(self, hard: bool = True) -> None:
        """Read no more; `get_data` returns None after the last object. A second time does nothing.

        Args:
            hard: discard what waits.
        """
        if self._subscription is not None:
            if not hard:  # what has come by now
                self._take(MAX_MESSAGES)
            self._close()
        self._inbox.end(hard=hard)
        self._notify()

    def _close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            for descriptor in subscription.descriptors:
                self._loop.remove_reader(descriptor)
            self._next.cancel()
            subscription.close()
