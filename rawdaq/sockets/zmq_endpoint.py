"""A ZMQ socket that is read in bursts, without a task or a future for each message."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from rawdaq.sockets.curve import CurveFiles
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.zmq_socket import ZmqSocket

#: As many messages are taken before others on the event loop get their turn.
BURST_MESSAGES = 256


@dataclass(frozen=True, slots=True)
class ZmqOptions:
    """How to open a socket.

    Attributes:
        socket_type: ``zmq.PULL`` or ``zmq.SUB``.
        is_bound: whether the peers connect to us.
        topics: what to subscribe to.
        high_water_mark: messages of one peer that may wait here.
        max_message_bytes: a peer that sends more in one frame is disconnected.
        is_by_frame: frames are taken one by one, whatever message they belong to.
        curve: the key files, where the connection is encrypted.
    """

    socket_type: int
    is_bound: bool
    topics: Sequence[bytes] = (b"",)
    high_water_mark: int = 10_000
    max_message_bytes: int = 64 << 20
    is_by_frame: bool = False
    curve: CurveFiles | None = None


class ZmqEndpoint(Endpoint):
    """A PULL or SUB socket that hands on whole bursts.

    Args:
        address: a ZMQ address.
        options: how to open it.
        context: gives the ZMQ context when the socket is opened.
        take: gets every burst: messages as lists of frames, or frames.
        log: where connections are logged, and what is lost at the end.

    Attributes:
        messages: how many (or how many frames) were taken.
    """

    def __init__(
        self,
        address: str,
        options: ZmqOptions,
        context: Callable[[], "zmq.Context[zmq.Socket[bytes]]"],
        take: Callable[["ZmqEndpoint", list[Any]], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(address, 0)
        self.messages = 0
        self._options = options
        self._context = context
        self._take = take
        self._log = log
        self._zmq = ZmqSocket(address, options.is_bound, log, options.curve)
        self._socket: zmq.Socket[bytes] | None = None
        self._next: asyncio.Handle | None = None

    @property
    def address(self) -> str:
        """The ZMQ address; once bound, with the port that the system chose."""
        return self._zmq.address

    async def open(self) -> None:
        """Bind, or begin to connect; the peers of a connecting socket may come and go.

        Raises:
            ComponentError: the address cannot be used; the text names the cause and the remedy.
        """
        options = self._options
        limits = {zmq.RCVHWM: options.high_water_mark, zmq.MAXMSGSIZE: options.max_message_bytes}
        self._socket = await self._zmq.open(self._context(), options.socket_type, limits)
        if options.socket_type == zmq.SUB:
            for topic in options.topics:
                self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._apply_holds()

    async def run(self) -> None:
        """Watch the connection; what waits in the socket is read before it is connected again."""
        await self._zmq.run(may_reconnect=lambda: not self._holds)

    def _apply_holds(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        if self._holds:
            loop.remove_reader(self._socket.fileno())
        else:
            loop.add_reader(self._socket.fileno(), self._read, self._socket)
            # The descriptor reports changes only; what came before now it will not report again.
            self._read_soon(self._socket)

    def _read_soon(self, opened: "zmq.Socket[bytes]") -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._read_next, opened)

    def _read_next(self, opened: "zmq.Socket[bytes]") -> None:
        self._next = None
        if not self._holds:
            self._read(opened)

    def _read(self, opened: "zmq.Socket[bytes]") -> None:
        """Take one burst; where it ends before the queue does, take the next one soon."""
        if self._receive(opened):
            self._read_soon(opened)

    def _receive(self, opened: "zmq.Socket[bytes]") -> bool:
        """Take at most a burst; return False when nothing is left.

        ZMQ has then processed all changes that the descriptor reported: only after that is it certain that it becomes
        readable again with the next message.
        """
        receive = opened.recv if self._options.is_by_frame else opened.recv_multipart
        burst: list[Any] = []
        is_more = False
        with contextlib.suppress(zmq.Again):
            for _ in range(BURST_MESSAGES):
                burst.append(receive(zmq.NOBLOCK))
            is_more = True
        if burst:
            self.messages += len(burst)
            self._take(self, burst)
        return is_more

    async def aclose(self) -> None:
        """Take what has arrived by now (unless reading is held), and close."""
        opened, self._socket = self._socket, None
        if opened is None:
            return
        asyncio.get_running_loop().remove_reader(opened.fileno())
        if self._next is not None:
            self._next.cancel()
        # A peer that sends on and on must not keep us: at most what may have waited here.
        for _ in range(2 + self._options.high_water_mark // BURST_MESSAGES):
            if self._holds or not self._receive(opened):
                break
        if self._holds and self._options.socket_type == zmq.PULL and opened.poll(0):
            self._log.error("%s closes while messages still wait there: they are lost", self.address)
        await self._zmq.aclose()

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return super().status() | {"messages": self.messages} | self._zmq.state.status()
