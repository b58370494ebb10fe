"""A ZMQ socket of any kind: watched by libzmq's monitor, encrypted where asked, with a remedy when it cannot open."""

import asyncio
import contextlib
import errno
import logging
import re
import socket
from collections.abc import Callable, Generator, Iterable, Mapping

import zmq
from zmq.auth.asyncio import AsyncioAuthenticator

from rawdaq.errors import ComponentError
from rawdaq.sockets.endpoint import check_listening
from rawdaq.sockets.remedies import cannot_open_zmq
from rawdaq.sockets.zeromq.connection_state import ConnectionState
from rawdaq.sockets.zeromq.curve import ClientKeys, CurveFiles
from rawdaq.sockets.zeromq.dialling import ZmqDialler, ZmqMonitor

_HEARTBEAT_MS = 10_000  # a peer whose machine has vanished is noticed after three of them, and connected to again
_RECONNECT_MAX_MS = 5_000
_CONNECT_MS = 10_000  # where nothing answers, not even with a refusal, the system would wait for two minutes
_CHECK_S = 1.0
_ADDRESS = re.compile(r"tcp://(?P<host>[^\s:/]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):(?P<port>\d{1,5}|\*)|ipc://\S+", re.ASCII)


def check_zmq_address(address: str) -> str:
    """Return *address* when it is one of ZMQ.

    Raises:
        ValueError: it is not, no host can have its name, or its port is too high: ZMQ would take what fits of that.
    """
    match = _ADDRESS.fullmatch(address)
    if not match or int((match["port"] or "0").replace("*", "0")) > 65535:
        raise ValueError(f"{address!r} is not a zmq address; it should look like tcp://127.0.0.1:9004")
    if match["host"]:
        check_listening(match["host"].strip("[]"))
    return address


def check_zmq_addresses(addresses: list[str]) -> list[str]:
    """Return *addresses* when all are of ZMQ, and each is there once.

    Raises:
        ValueError: that is not so.
    """
    for address in addresses:
        check_zmq_address(address)
    if len(set(addresses)) < len(addresses):
        raise ValueError("one address is there twice; remove one")
    return addresses


def exclusive_addresses(addresses: Iterable[str]) -> list[str]:
    """Return those of *addresses* that only one socket can bind, with ``0.0.0.0`` for ``*``.

    >>> exclusive_addresses(["tcp://*:9004", "tcp://127.0.0.1:*", "ipc:///run/live"])
    ['tcp://0.0.0.0:9004', 'ipc:///run/live']
    """
    fixed = [address for address in addresses if not address.endswith((":*", ":0"))]  # there the system chooses
    return [address.replace("//*:", "//0.0.0.0:") for address in fixed]


def bind_mistakes(addresses: Iterable[str], is_bound: bool) -> list[str]:
    """Return why a socket that connects cannot have some of *addresses*."""
    wrong = [] if is_bound else [address for address in addresses if "*" in address]
    return [f"{each} is where others can connect to (`bind: true`); name the machine to connect to" for each in wrong]


def set_common_options(opened: "zmq.Socket[bytes]") -> None:
    """Let a socket close at once, use IPv6 too, notice a peer that has vanished, and connect to it again soon."""
    opened.setsockopt(zmq.LINGER, 0)
    opened.setsockopt(zmq.IPV6, 1)
    opened.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    opened.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
    opened.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    opened.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_MS)


@contextlib.contextmanager
def watched(opened: "zmq.Socket[bytes]", address: str, is_bound: bool) -> Generator[ZmqMonitor]:
    """Bind *opened*, or connect it, for a program without an event loop; it must call `read` of what it gets often.

    Raises:
        ComponentError: the address cannot be used; the text names the cause and the remedy.
    """
    dialler = None if is_bound else ZmqDialler(opened, address, lambda event, value: None)
    monitor = dialler or ZmqMonitor(opened, lambda event, value: None)
    try:
        try:
            opened.bind(address) if dialler is None else dialler.connect()
        except zmq.ZMQError as error:
            raise _cannot_open(is_bound, address, error) from error
        yield monitor
    finally:
        monitor.close()


def _cannot_open(is_bound: bool, address: str, error: zmq.ZMQError) -> ComponentError:
    return cannot_open_zmq("bind" if is_bound else "connect", address, OSError(error.errno, error.strerror))


class ZmqSocket:
    """A socket and its monitor.

    Args:
        address: a ZMQ address.
        is_bound: whether the peers connect to us.
        log: where connections are logged, and why there is none.
        curve: the key files, where the connection is encrypted.
        needs_peer: False where it is normal that no peer is there.
        used: called after the socket was used here: its descriptor then does not report what came until now.

    Attributes:
        state: whether there are peers.
    """

    def __init__(
        self,
        address: str,
        is_bound: bool,
        log: logging.Logger,
        curve: CurveFiles | None = None,
        needs_peer: bool = True,
        used: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_bound = is_bound
        self.state = ConnectionState(address, is_bound, log, has_key=curve is not None, needs_peer=needs_peer)
        self._address = address
        self._log = log
        self._curve = curve
        self._used = used
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: ZmqMonitor | None = None
        self._authenticator: AsyncioAuthenticator | None = None
        self._own_context: zmq.Context[zmq.Socket[bytes]] | None = None

    @property
    def address(self) -> str:
        """The ZMQ address; once bound, with the port that the system chose."""
        return self.state.address

    async def open(
        self,
        context: "zmq.Context[zmq.Socket[bytes]] | None",
        socket_type: int,
        options: Mapping[zmq.SocketOption, int],
    ) -> "zmq.Socket[bytes]":
        """Return the socket, bound or about to connect; the peers of a connecting socket may come and go.

        Args:
            context: where the socket is made; None: in a context of its own, as one that checks the keys of clients
                is in any case, because a context can have one authenticator.
            socket_type: such as ``zmq.PULL``.
            options: values of further socket options.

        Raises:
            ComponentError: the address or a key file cannot be used; the text names the cause and the remedy.
        """
        clients = None
        if self._curve is not None and self._curve.clients is not None:
            clients = ClientKeys(self._curve.clients, self._log)
        if context is None or clients is not None:
            context = self._own_context = zmq.Context()
        if clients is not None:
            self._authenticator = clients.start(context)
        self._socket = context.socket(socket_type)
        try:
            set_common_options(self._socket)
            if self.is_bound and self._address.startswith(tuple(f"tcp://{name}:" for _, name in socket.if_nameindex())):
                self._socket.setsockopt(zmq.IPV6, 0)  # ZMQ would take an IPv6 address of the interface, and no other
            for option, value in options.items():
                self._socket.setsockopt(option, value)
            if self._curve is not None:
                self._curve.apply(self._socket)
            self._monitor = self._begin(self._socket)
        except (ComponentError, zmq.ZMQError) as error:
            await self.aclose()
            if isinstance(error, ComponentError):
                raise
            raise _cannot_open(self.is_bound, self._address, error) from error
        if self.is_bound:
            port = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
            self.state.address = re.sub(r":[*0]$", f":{port}", self._address)
        for descriptor in self._monitor.descriptors:
            asyncio.get_running_loop().add_reader(descriptor, self._read_monitor)
        self._read_monitor()
        return self._socket

    def _begin(self, opened: "zmq.Socket[bytes]") -> ZmqMonitor:
        """Bind *opened*, or begin to connect it, and return its monitor."""
        if not self.is_bound:
            self._monitor = dialler = ZmqDialler(
                opened,
                self._address,
                self.state.note,
                self.state.note_unresolved,
                self.state.note_given_up,
                self._note_dropped,
            )
            dialler.connect()
            return dialler
        self._monitor = monitor = ZmqMonitor(opened, self.state.note)
        if _is_taken(self._address):  # ZMQ would take the path of an ipc address from its owner
            raise zmq.ZMQError(errno.EADDRINUSE)
        opened.bind(self._address)
        return monitor

    def _note_dropped(self, left: str) -> None:
        """Log what is lost with an address of a PUSH socket that does not come back."""
        assert self._socket is not None  # noqa: S101 - it is left only while the socket is open
        self._log.error(
            "%s does not come back: what waited there for %s, at most %d messages, is lost; trying its other addresses",
            left,
            self._address,
            self._socket.getsockopt(zmq.SNDHWM),
        )

    def _read_monitor(self) -> None:
        """Take note of all events that wait; until then the monitor's descriptor, too, does not report new ones."""
        assert self._monitor is not None  # noqa: S101 - it is read as long as it is open
        if self._monitor.read():
            self._used()

    async def run(self) -> None:
        """Log connections and why there is none, and connect again where ZMQ no longer does."""
        while self._socket is not None:
            self.check()
            await asyncio.sleep(_CHECK_S)

    def check(self) -> None:
        """Do what is due by now; call it once a second."""
        self._read_monitor()
        self.state.check()

    async def aclose(self, linger_s: float = 0.0) -> None:
        """Close; may be called twice.

        Args:
            linger_s: how long messages that are not sent yet may take.
        """
        self._close(round(linger_s * 1000))
        if self._own_context is not None:
            await asyncio.to_thread(self._own_context.term)  # waits for them
            self._own_context = None

    def _close(self, linger_ms: int) -> None:
        if self._authenticator is not None:
            self._authenticator.stop()
        if self._socket is not None:
            if self._monitor is not None:
                for descriptor in self._monitor.descriptors:
                    asyncio.get_running_loop().remove_reader(descriptor)
                self._monitor.close()
            self._socket.close(linger_ms)
        self._socket = self._monitor = self._authenticator = None


def _is_taken(address: str) -> bool:
    """Return whether a program listens at an ipc address."""
    if not address.startswith("ipc://"):
        return False
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(address.removeprefix("ipc://").replace("@", "\0", 1))
        return True
    return False
