"""The addresses of a host name, asked for in a thread: a name server that does not answer keeps nobody waiting."""

import contextlib
import queue
import socket
import threading
from collections.abc import Sequence
from typing import Any

from rawdaq.sockets.dialling import Backoff

#: What `socket.getaddrinfo` returns for each address: family, type, protocol, canonical name, socket address.
_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


class Lookup:
    """Asks for all addresses of a name, and again, with a growing pause, until there are any.

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
