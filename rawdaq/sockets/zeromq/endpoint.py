"""A ZMQ socket that is read in bursts, without a task or a future for each message."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.zeromq.curve import CurveFiles
from rawdaq.sockets.zeromq.socket import ZmqSocket

#: As many messages are taken before others on the event loop get their turn.
BURST_MESSAGES = 256
#: And of whole messages no more than this: a frame of a camera is sent on before the next is read.
_BURST_BYTES = 1 << 20
_WAITING_BYTES = 4 << 20  # of them that may wait in a socket, where nothing but their number can be limited
_WAITING_LEAST = 2

#: Larger parts of whole messages stay in ZMQ's memory; smaller ones are copied, as they would keep its buffer there.
_LARGE_BYTES = 1 << 16


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
        is_whole: messages are taken as their parts, not copied where they are large, and their size.
        curve: the key files, where the connection is encrypted.
        needs_peer: False where it is normal that no peer is there, which is then no problem of the component.
    """

    socket_type: int
    is_bound: bool
    topics: Sequence[bytes] = (b"",)
    high_water_mark: int = 10_000
    max_message_bytes: int = 64 << 20
    is_by_frame: bool = False
    is_whole: bool = False
    curve: CurveFiles | None = None
    needs_peer: bool = True


#: The parts of a message, and their size.
WholeMessage = tuple[list[bytes | memoryview], int]


def _receive_whole(opened: "zmq.Socket[bytes]", flags: int) -> WholeMessage:
    """Return the next message.

    Raises:
        zmq.Again: there is none.
    """
    parts: list[bytes | memoryview] = []
    size_bytes, is_more = 0, True
    while is_more:
        part = opened.recv(flags, copy=False)
        size = len(part)
        parts.append(part.buffer if size > _LARGE_BYTES else part.bytes)
        size_bytes += size
        is_more = part.more
    return parts, size_bytes


class ZmqEndpoint(Endpoint):
    """A PULL or SUB socket that hands on whole bursts.

    Args:
        address: a ZMQ address.
        options: how to open it.
        context: gives the ZMQ context when the socket is opened.
        take: gets every burst: messages as lists of frames, or frames, or `WholeMessage`s.
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
        self._zmq = ZmqSocket(
            address, options.is_bound, log, options.curve, options.needs_peer, used=self._read_what_came
        )
        self._socket: zmq.Socket[bytes] | None = None
        self._next: asyncio.Handle | None = None
        self._mark = options.high_water_mark

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
        limits[zmq.SNDHWM] = 0  # of a SUB socket libzmq drops subscriptions beyond it, in silence
        self._socket = await self._zmq.open(self._context(), options.socket_type, limits)
        if options.socket_type == zmq.SUB:
            for topic in options.topics:
                self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._apply_holds()

    async def run(self) -> None:
        """Watch the connection."""
        await self._zmq.run()

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

    def _read_what_came(self) -> None:
        if self._socket is not None:
            self._read_soon(self._socket)

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
        if self._options.is_whole:
            return self._receive_messages(opened)
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

    def _receive_messages(self, opened: "zmq.Socket[bytes]") -> bool:
        """Take at most a burst of whole messages; return False when nothing is left."""
        burst: list[WholeMessage] = []
        left_bytes = _BURST_BYTES
        with contextlib.suppress(zmq.Again):
            while left_bytes > 0 and len(burst) < BURST_MESSAGES:
                burst.append(message := _receive_whole(opened, zmq.NOBLOCK))
                left_bytes -= message[1]
        if burst:
            self.messages += len(burst)
            self._limit_waiting(opened, burst[-1][1])
            self._take(self, burst)
        return left_bytes <= 0 or len(burst) == BURST_MESSAGES

    def _limit_waiting(self, opened: "zmq.Socket[bytes]", size_bytes: int) -> None:
        """Let fewer messages wait in the socket when they are large."""
        mark = max(_WAITING_LEAST, _WAITING_BYTES // max(1, size_bytes))
        if mark < self._mark:
            self._mark = mark
            opened.setsockopt(zmq.RCVHWM, mark)

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

    @property
    def cuts(self) -> int:
        """How often we cut the connection, for a frame that is too large or breaks ZMQ's rules."""
        return self._zmq.state.cuts

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        peers = self._zmq.state.status() if self._options.needs_peer else {"peers": self._zmq.state.peers}
        return super().status() | {"messages": self.messages} | peers
