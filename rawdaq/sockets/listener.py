"""TCP sockets that listen, and that let connections wait while this process has no descriptor left for them."""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from rawdaq import open_files
from rawdaq.outage import Outage
from rawdaq.sockets.remedies import cannot_listen

_BACKLOG = 100  # connections that wait in the system
_RETRY_S = 1.0
_REMIND_S = 600.0
_TLS_HANDSHAKE_S = 10.0
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listener:
    """Accepts connections on sockets; as much of an `asyncio.Server` as its users need.

    asyncio's own logs a traceback a hundred times a second while there is no descriptor, and takes the last ones, which
    commands need.

    Args:
        sockets: that listen, and do not block.
        address: how log lines name them.
        log: where it is logged that connections have to wait.

    Attributes:
        address: as the argument.
    """

    def __init__(self, sockets: list[socket.socket], address: str, log: logging.Logger) -> None:
        self._sockets = sockets
        self.address = address
        self._factory: Callable[[], asyncio.BaseProtocol] = asyncio.Protocol
        self._tls: ssl.SSLContext | None = None
        self._making: set[asyncio.Task[Any]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._waiting = Outage(log, _REMIND_S)
        self._log = log

    @property
    def port(self) -> int:
        """The port; where the system chose it, the one that it chose."""
        port: int = self._sockets[0].getsockname()[1]
        return port

    def start(self, factory: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None) -> None:
        """Accept connections, with *tls* encrypted ones; *factory* makes the protocol of each."""
        self._factory, self._tls = factory, tls
        self._accept_again()

    def _accept_again(self) -> None:
        self._retry = None
        for each in self._sockets:
            asyncio.get_running_loop().add_reader(each, self._accept, each)

    def _accept(self, listening: socket.socket) -> None:
        """Accept one connection; with more than one the loop calls again."""
        try:
            if not open_files.is_connection_left(listening.fileno()):
                return self._pause("hardly any open files are left for others")
            connection, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        except OSError as error:  # no descriptor; or a fault of the network, which concerns one connection
            return self._pause(os.strerror(error.errno or 0))
        if self._waiting.is_on:
            self._log.warning("%s accepts connections again", self.address)
            self._waiting.clear()
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._connect(connection), name=f"connection to {self.address}")
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        return None

    async def _connect(self, connection: socket.socket) -> None:
        try:
            handshake_s = None if self._tls is None else _TLS_HANDSHAKE_S
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory, connection, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except OSError as error:  # it has gone again
            connection.close()
            self._log.debug("%s: a connection was not made: %s", self.address, error)
        except Exception:
            connection.close()
            self._log.exception("%s: a connection was not made", self.address)

    def _pause(self, reason: str) -> None:
        self._stop_accepting()
        self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._accept_again)
        if not self._waiting.is_on or self._waiting.is_due:
            self._waiting.log("%s: connections have to wait: %s; %s", self.address, reason, open_files.REMEDY)

    def _stop_accepting(self) -> None:
        for each in self._sockets:
            if each.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(each)

    def close(self) -> None:
        """Stop listening; connections stay. May be called twice."""
        self._stop_accepting()
        if self._retry is not None:
            self._retry.cancel()
        for each in self._sockets:
            each.close()

    async def wait_closed(self) -> None:
        """Return when no connection is just being made."""
        if self._making:
            await asyncio.wait(self._making)


async def bind(host: str, port: int, address: str, log: logging.Logger) -> Listener:
    """Return a listener with all addresses that *host* has here; connections wait until `Listener.start`.

    Args:
        host: the address to listen on.
        port: the port; 0 lets the system choose.
        address: how log lines and errors name host and port.
        log: the logger of the listener.

    Raises:
        ComponentError: the address cannot be used; the text names the cause and the remedy.
    """
    sockets: list[socket.socket] = []
    try:
        failure: OSError | None = None
        for family, where in await _addresses(host, port):
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_listening(family, (where[0], chosen, *where[2:])))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                failure = error  # of the IPv6 address of localhost, where there is no IPv6
        if not sockets:
            raise failure or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as error:
        for each in sockets:
            each.close()
        raise cannot_listen(address, error) from error
    listener = Listener(sockets, address, log)
    if not port:
        listener.address = f"{address.removesuffix('0')}{listener.port}"
    return listener


async def _addresses(host: str, port: int) -> dict[tuple[int, tuple[Any, ...]], None]:
    """Return families and addresses of *host*, each once; a number is not looked up, which would take a thread."""
    flags = socket.AI_PASSIVE | socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return dict.fromkeys((family, where) for family, _, _, _, where in found)


def _listening(family: int, where: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(where)
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


async def listen(
    factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, address: str, log: logging.Logger
) -> Listener:
    """Return a listener that accepts connections; see `bind`."""
    listener = await bind(host, port, address, log)
    listener.start(factory)
    return listener
