"""How a ZMQ socket finds its peer: libzmq's monitor, and one address of a host name after the other."""

import contextlib
import queue
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from rawdaq.sockets.dialling import Backoff, is_literal
from rawdaq.sockets.zeromq.connection_state import EVENTS

#: What `socket.getaddrinfo` returns for each address: family, type, protocol, canonical name, socket address.
_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
_NAMED = re.compile(r"tcp://(?P<host>[\w.-]+):(?P<port>\d{1,5})", re.ASCII)
_ROUND_S, _ROUND_MAX_S = 0.5, 5.0  # how soon all addresses of an absent peer are tried again
_GIVEN_UP_S = 5.0  # libzmq connects again at once, or never
_KEEP_S = 60.0  # how long a PUSH socket keeps what waits for an address that has stopped answering


class Lookup:
    """Asks for all addresses of a name, and again, with a growing pause, until there are any.

    A thread asks: a name server that does not answer keeps nobody waiting.

    Args:
        host: the name.
        port: the port that the addresses are written with.

    Attributes:
        is_asking: whether an answer is still to come.
    """

    def __init__(self, host: str, port: int) -> None:
        self.is_asking = False
        self._host, self._port = host, port
        self._answers: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._is_closed = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when an answer has come."""
        return self._reader.fileno()

    def ask(self) -> None:
        """Ask, unless an answer is still to come."""
        if not self.is_asking:
            self.is_asking = True
            # A daemon: a name server that does not answer may keep it for minutes, which a stop cannot wait for.
            threading.Thread(
                target=self._ask, args=(self._writer.dup(),), name=f"look up {self._host}", daemon=True
            ).start()

    def _ask(self, wake: socket.socket) -> None:
        pauses = Backoff()
        with wake:
            while not self._is_closed.is_set():
                try:
                    found = _addresses(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
                except (OSError, UnicodeError):  # the latter: a name that no host can have
                    found = []
                self._answers.put(found or None)
                with contextlib.suppress(OSError):  # nobody waits any more
                    wake.send(b"!")
                if found:
                    return
                self._is_closed.wait(pauses.next_s())

    def answers(self) -> list[list[str] | None]:
        """Return what has been found since the last call: the addresses as ZMQ writes them, None for a failure."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(64):
                pass
        taken: list[list[str] | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._answers.get_nowait())
                self.is_asking = taken[-1] is None
        return taken

    def close(self) -> None:
        """Ask no more."""
        self._is_closed.set()
        self._reader.close()
        self._writer.close()


def _addresses(found: Sequence[_Found]) -> list[str]:
    """Return each address once, in the order in which the system prefers them."""
    return list(dict.fromkeys(_zmq_address(family, address) for family, _, _, _, address in found))


def _zmq_address(family: socket.AddressFamily, address: tuple[Any, ...]) -> str:
    """Return *address* exactly as libzmq's monitor writes it.

    >>> _zmq_address(socket.AF_INET6, ("::1", 9004, 0, 0))
    'tcp://[::1]:9004'
    """
    host, port, *rest = address
    if family != socket.AF_INET6:
        return f"tcp://{host}:{port}"
    zone = f"%{socket.if_indextoname(rest[1])}" if rest[1] and "%" not in host else ""
    return f"tcp://[{host}{zone}]:{port}"


class ZmqMonitor:
    """What libzmq reports of a socket's connections; libzmq stops altogether when 2000 reports are not read.

    Args:
        opened: the socket, before it is bound or connected: what happens earlier is not reported.
        note: called for every event, with its value, which often is a descriptor.

    Attributes:
        descriptors: are readable when `read` has something to do.
    """

    def __init__(self, opened: "zmq.Socket[bytes]", note: Callable[[int, int], None]) -> None:
        self._socket = opened
        self._note = note
        self._monitor = opened.get_monitor_socket(EVENTS)
        self.descriptors: tuple[int, ...] = (self._monitor.fileno(),)

    def read(self) -> bool:
        """Take note of all that has happened.

        Returns:
            Whether the socket itself was used: its descriptor then does not report what came until now.
        """
        for message in self._messages():
            self._note(message["event"], message["value"])
        return False

    def _messages(self) -> Iterator[dict[str, Any]]:
        # Asking first is much cheaper than the exception of a receive that finds nothing.
        while int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            yield dict(recv_monitor_message(self._monitor))

    def close(self) -> None:
        """Watch no more."""
        self._socket.disable_monitor()
        self._monitor.close()


class ZmqDialler(ZmqMonitor):
    """Connects a socket to its peer.

    libzmq itself takes the first address of a name and no other, and asks for it in the thread that all sockets of a
    context share. So a name is looked up here, and the socket is connected to one of its addresses after the other:
    at every failed attempt the next one. When all have failed the name is looked up again.

    Args:
        opened: the socket.
        address: where the peer is.
        note: called for every event of the address that the socket is connected to.
        unresolved: called when the name has no address.
        given_up: called before the socket is connected again, because libzmq does so no more: one side broke the rules,
            the peer is of another kind, or it refused our key.
        dropped: called when a PUSH socket leaves an address that it was connected to, with that address: what libzmq
            still held for it, at most the high-water mark, is lost.
        clock: seconds that only run forward.
    """

    def __init__(
        self,
        opened: "zmq.Socket[bytes]",
        address: str,
        note: Callable[[int, int], None],
        unresolved: Callable[[], None] = lambda: None,
        given_up: Callable[[], None] = lambda: None,
        dropped: Callable[[str], None] = lambda address: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(opened, note)
        self._unresolved, self._given_up, self._dropped, self._clock = unresolved, given_up, dropped, clock
        self._type = opened.getsockopt(zmq.TYPE)
        self._address = address
        self._current: str | None = None
        self._untried: deque[str] = deque()
        self._is_greeted = self._has_failed = False
        self._last_event, self._last_event_s = 0, 0.0
        self._ended_s: float | None = None  # when the last connection to the current address did
        self._round_s, self._next_round_s = _ROUND_S, 0.0
        named = _NAMED.fullmatch(address)
        self._lookup: Lookup | None = None
        if named is not None and not is_literal(named["host"]):
            self._lookup = Lookup(named["host"], int(named["port"]))
            self.descriptors += (self._lookup.fileno(),)

    def connect(self) -> None:
        """Begin to connect.

        Raises:
            zmq.ZMQError: libzmq does not understand the address.
        """
        if self._lookup is None:
            self._connect(self._address)
        else:
            self._lookup.ask()

    def read(self) -> bool:
        """Take note of all that has happened, and go on to another address where that is due; call it once a second.

        Returns:
            Whether the socket itself was used: its descriptor then does not report what came until now.
        """
        for message in self._messages():
            # Connections to an address that was left end some time later.
            if self._lookup is None or message["endpoint"].decode() == self._current:
                self._judge(message["event"])
                self._note(message["event"], message["value"])
        if self._last_event == zmq.EVENT_DISCONNECTED and self._clock() - self._last_event_s >= _GIVEN_UP_S:
            self._reconnect()
            return True
        return self._lookup is not None and self._go_on(self._lookup)

    def _reconnect(self) -> None:
        """Connect again where libzmq no longer does, as soon as nothing is left to be read."""
        assert self._current is not None  # noqa: S101 - it had a connection
        self._given_up()
        if not self._has_waiting():
            self._ended_s = None  # libzmq keeps nothing there
            self._move(self._untried.popleft() if self._untried else self._current)

    def _judge(self, event: int) -> None:
        """Note whether an attempt has failed."""
        self._last_event, self._last_event_s = event, self._clock()
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._is_greeted, self._has_failed, self._round_s = True, False, _ROUND_S
            self._untried.clear()  # until this connection ends the name may get others
        elif event == zmq.EVENT_CONNECTED:
            self._has_failed = False
        elif event == zmq.EVENT_CLOSED or (event == zmq.EVENT_DISCONNECTED and not self._is_greeted):
            self._has_failed = True
        elif event == zmq.EVENT_DISCONNECTED:
            self._is_greeted, self._ended_s = False, self._clock()  # libzmq connects there once more

    def _go_on(self, lookup: Lookup) -> bool:
        for found in lookup.answers():
            if found is None:
                self._unresolved()
            else:
                self._untried = deque(address for address in found if address != self._current)
        if self._current is None:
            return bool(self._untried) and self._connect(self._untried.popleft())
        if not self._has_failed or lookup.is_asking:
            return False
        if not self._untried:
            self._look_up_again(lookup)
            return False
        if self._can_leave():
            self._move(self._untried.popleft())
        return True

    def _look_up_again(self, lookup: Lookup) -> None:
        now_s = self._clock()
        self._has_failed = False  # the same address may still answer the next attempt
        if now_s >= self._next_round_s:
            self._next_round_s = now_s + self._round_s
            self._round_s = min(2 * self._round_s, _ROUND_MAX_S)
            self._has_failed = True
            lookup.ask()

    def _has_waiting(self) -> bool:
        """Return whether messages are still to be read, which disconnecting would drop."""
        return self._type in (zmq.SUB, zmq.PULL) and bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def _can_leave(self) -> bool:
        """Return whether the address that does not answer is to be left now."""
        if self._has_waiting():
            return False
        return self._type != zmq.PUSH or self._ended_s is None or self._clock() - self._ended_s >= _KEEP_S

    def _move(self, address: str) -> None:
        assert self._current is not None  # noqa: S101 - it is left only where there is one
        if self._type == zmq.PUSH and self._ended_s is not None:
            self._dropped(self._current)
        with contextlib.suppress(zmq.ZMQError):  # there is nothing left to disconnect
            self._socket.disconnect(self._current)
        self._connect(address)

    def _connect(self, address: str) -> bool:
        if self._lookup is not None:  # libzmq would map an IPv4 address to IPv6, and report it as that
            self._socket.setsockopt(zmq.IPV6, int("[" in address))
        self._current, self._is_greeted, self._has_failed, self._ended_s = address, False, False, None
        self._last_event = 0
        self._socket.connect(address)
        return True

    def close(self) -> None:
        """Watch no more; the socket stays as it is."""
        super().close()
        if self._lookup is not None:
            self._lookup.close()
