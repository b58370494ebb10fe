"""A ZMQ socket that is read in bursts, without a task or a future for each message."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from rawdaq.errors import ComponentError
from rawdaq.sockets.connection_state import EVENTS, Presence
from rawdaq.sockets.endpoint import Endpoint

#: As many messages are taken before others on the event loop get their turn.
BURST_MESSAGES = 256

_HEARTBEAT_MS = 10_000  # a peer whose machine has vanished is noticed after three of them, and dialled again
_RECONNECT_MAX_MS = 5_000
_LOOK_S = 1.0

_REMEDIES = {
    errno.EADDRINUSE: "another program uses it; stop it or take another port",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; take one that has, or * for all",
    errno.EACCES: "ports below 1024 need privileges; take a higher one",
    errno.ENODEV: "no interface of this machine has that address; take one that has, or * for all",
    errno.ENOENT: "the folder of an ipc address must exist",
    errno.EINVAL: "it should look like tcp://127.0.0.1:9004",
}


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
    """

    socket_type: int
    is_bound: bool
    topics: Sequence[bytes] = (b"",)
    high_water_mark: int = 10_000
    max_message_bytes: int = 64 << 20
    is_by_frame: bool = False


class ZmqEndpoint(Endpoint):
    """A PULL or SUB socket that hands on whole bursts.

    Args:
        url: a ZMQ address.
        options: how to open it.
        context: gives the ZMQ context when the socket is opened.
        take: gets every burst: messages as lists of frames, or frames.
        log: where it is told who comes and goes, and what is lost at the end.

    Attributes:
        messages: how many (or how many frames) were taken.
    """

    def __init__(
        self,
        url: str,
        options: ZmqOptions,
        context: Callable[[], "zmq.Context[zmq.Socket[bytes]]"],
        take: Callable[["ZmqEndpoint", list[Any]], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(url, 0)
        self.messages = 0
        self._options = options
        self._context = context
        self._take = take
        self._log = log
        self._presence = Presence(url, options.is_bound, log)
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._next: asyncio.Handle | None = None

    @property
    def address(self) -> str:
        """The ZMQ address; once bound, with the port that the system chose."""
        return self.host

    async def open(self) -> None:
        """Bind, or begin to connect; the peers of a connecting socket may come and go.

        Raises:
            ComponentError: the address cannot be used; the text says why and what to do.
        """
        options = self._options
        opened = self._context().socket(options.socket_type)
        opened.setsockopt(zmq.LINGER, 0)
        opened.setsockopt(zmq.IPV6, 1)
        opened.setsockopt(zmq.RCVHWM, options.high_water_mark)
        opened.setsockopt(zmq.MAXMSGSIZE, options.max_message_bytes)
        opened.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        opened.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
        opened.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        if options.socket_type == zmq.SUB:
            for topic in options.topics:
                opened.setsockopt(zmq.SUBSCRIBE, topic)
        monitor = opened.get_monitor_socket(EVENTS)  # now, because what happens before somebody listens is not told
        try:
            (opened.bind if options.is_bound else opened.connect)(self.host)
        except zmq.ZMQError as error:
            _close(opened, monitor)
            verb = "bind" if options.is_bound else "connect"
            remedy = _REMEDIES.get(error.errno or 0, "see that the address exists and may be used")
            raise ComponentError(
                f"cannot {verb} ZMQ {self.address}: {zmq.strerror(error.errno or 0)}; {remedy}"
            ) from error
        if options.is_bound:
            self.host = self._presence.address = opened.getsockopt_string(zmq.LAST_ENDPOINT)
        self._socket, self._monitor = opened, monitor
        asyncio.get_running_loop().add_reader(monitor.fileno(), self._hear)
        self._hear()
        self._apply_holds()

    async def run(self) -> None:
        """Tell who comes and who is missing, and dial again where ZMQ no longer does."""
        while self._socket is not None:
            self._presence.tell()
            # What waits in the socket is read before; disconnecting drops it.
            if self._presence.is_given_up and not self._holds:
                with contextlib.suppress(zmq.ZMQError):  # there is nothing left to disconnect
                    self._socket.disconnect(self.host)
                self._socket.connect(self.host)
            await asyncio.sleep(_LOOK_S)

    def _hear(self) -> None:
        """Take note of all that the monitor tells; until then its descriptor, too, is silent."""
        assert self._monitor is not None  # noqa: S101 - it is read as long as it is open
        with contextlib.suppress(zmq.Again):
            while True:
                told = recv_monitor_message(self._monitor, zmq.NOBLOCK)
                self._presence.note(told["event"], told["value"])

    def _apply_holds(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        if self._holds:
            loop.remove_reader(self._socket.fileno())
        else:
            loop.add_reader(self._socket.fileno(), self._read)
            # The descriptor tells only that something changed; what came before now it will not tell again.
            self._read_soon()

    def _read_soon(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._read_next)

    def _read_next(self) -> None:
        self._next = None
        if not self._holds:
            self._read()

    def _read(self) -> None:
        """Take one burst; where it ends before the queue does, take the next one soon."""
        if self._receive():
            self._read_soon()

    def _receive(self) -> bool:
        """Take at most a burst; return False when nothing is left.

        When ZMQ says so, it has dealt with all that it was told through the descriptor: only then is it certain that
        the descriptor becomes readable again with the next message.
        """
        assert self._socket is not None  # noqa: S101 - it is read as long as it is open
        receive = self._socket.recv if self._options.is_by_frame else self._socket.recv_multipart
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

    def transports(self) -> list[Any]:
        """Return none: there is no transport between us and the socket."""
        return []

    async def aclose(self) -> None:
        """Take what has arrived by now (unless reading is held), and close."""
        if self._socket is None or self._monitor is None:
            return
        for each in (self._socket, self._monitor):
            asyncio.get_running_loop().remove_reader(each.fileno())
        if self._next is not None:
            self._next.cancel()
        # Who sends on and on must not keep us: at most what may have waited here.
        for _ in range(2 + self._options.high_water_mark // BURST_MESSAGES):
            if self._holds or not self._receive():
                break
        if self._holds and self._options.socket_type == zmq.PULL and self._socket.poll(0):
            self._log.error("%s closes while messages still wait there: they are lost", self.address)
        _close(self._socket, self._monitor)
        self._socket = self._monitor = None

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return super().status() | {"messages": self.messages} | self._presence.status()


def _close(opened: "zmq.Socket[bytes]", monitor: "zmq.Socket[bytes]") -> None:
    opened.disable_monitor()
    monitor.close()
    opened.close()
