"""A TCP connection that we open, and open again for ever, with a pause that grows while that fails."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from rawdaq.errors import RawdaqError
from rawdaq.outage import Outage
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.remedies import why_not_connected

CONNECT_TIMEOUT_S = 10.0
GOOD_S = 60.0  # a connection that lasted so long was good, whatever it brought

_NEXT_ADDRESS_S = 2.5  # how long an address of a name may be silent before the next one is tried
_REMIND_S = 600.0  # an outage that goes on for days is logged again this often

#: A silent peer is probed after 15 s and given up after three more probes, 30 s in all.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Backoff:
    """The pauses between attempts: *first_s*, doubled at each failure up to *max_s*, each up to 20 % more or less.

    The variation keeps a thousand receivers of one gateway from coming back at the same moment.

    >>> backoff = Backoff(0.5, 30.0)
    >>> 0.4 <= backoff.next_s() <= 0.6, 0.8 <= backoff.next_s() <= 1.2
    (True, True)

    Attributes:
        failures: how many attempts in a row failed.
    """

    def __init__(self, first_s: float = 0.5, max_s: float = 30.0) -> None:
        self.first_s = first_s
        self.max_s = max_s
        self.failures = 0

    def next_s(self) -> float:
        """Count a failure, and return the pause after it."""
        longest_s = min(self.max_s, self.first_s * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return min(self.max_s, longest_s * random.uniform(0.8, 1.2))

    def reset(self) -> None:
        """Begin again with the first pause: an attempt succeeded."""
        self.failures = 0


class Connection(asyncio.BaseProtocol):
    """What a `Dialler` needs to know of a connection; its subclass resolves `closed` when it has ended.

    Attributes:
        closed: done when it has ended.
        failure: why it ended, once it did; None: the peer closed it.
        is_useful: whether the peer did what it is there for; the next pause then is a short one.
        redial_at_once: whether the next attempt will be made differently and need not wait.
    """

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure: Exception | None = None
        self.is_useful = False
        self.redial_at_once = False

    def abort(self) -> None:
        """End the connection at once."""
        raise NotImplementedError


C = TypeVar("C", bound=Connection)


class Dialler(Generic[C]):
    """Opens a TCP connection, waits for its end, and opens it again, until `stop`.

    The log has a line for each new reason why there is no connection, the same reason again once in ten minutes, and
    a line when the connection is there again. A peer that takes connections and ends them in the same way each time
    is logged no more until a connection lasts a minute.

    Args:
        factory: makes the protocol of each attempt.
        host: the peer's host.
        port: the peer's port.
        backoff: the pauses between attempts.
        log: where the lines go.
        good_s: a connection that lasted so long was good.

    Attributes:
        protocol: the connection, None while there is none.
        connections: how many there were.
        last_failure: why the last connection ended.
        backoff: the pauses, and how many attempts in a row failed.
        good_s: as the argument.
        is_redial: whether the attempt being made follows directly from `Connection.redial_at_once`.
        is_repeating: whether the last attempt was a connection that ended as the attempt before it.
        attempt_s: how long an attempt to connect may take.
    """

    attempt_s = CONNECT_TIMEOUT_S

    def __init__(
        self,
        factory: Callable[[], C],
        host: str,
        port: int,
        backoff: Backoff,
        log: logging.Logger,
        good_s: float = GOOD_S,
    ) -> None:
        self.host = host
        self.port = port
        self.protocol: C | None = None
        self.connections = 0
        self.last_failure: str | None = None
        self.is_redial = False
        self.is_repeating = False
        self.backoff = backoff
        self._factory = factory
        self._log = log
        self.good_s = good_s
        self._outage = Outage(log, _REMIND_S)
        self._hurried = asyncio.Event()
        self._is_stopped = False

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the peer."""
        return host_port(self.host, self.port)

    def connected(self) -> None:
        """Called when `protocol` is a new connection."""

    async def connect(self, factory: Callable[[], C]) -> tuple[asyncio.BaseTransport, C]:
        """Return a new connection; a subclass may open one that is not of TCP, or ask the peer something before.

        Raises:
            OSError: there is none.
            RawdaqError: the peer does not answer as it should.
        """
        return await connect_to_any(factory, self.host, self.port)

    def hurry(self) -> None:
        """End the pause before the next attempt."""
        self._hurried.set()

    def stop(self) -> None:
        """Make no further attempt; the connection, if there is one, stays."""
        self._is_stopped = True
        self._hurried.set()

    async def run(self) -> None:
        """Dial, wait until the connection has ended, pause, and dial again."""
        loop = asyncio.get_running_loop()
        while not self._is_stopped:
            began_s = loop.time()
            protocol: C | None = None
            try:
                protocol = self.protocol = await self._dial()
                failure = await self._wait_for_end(protocol)
            except (OSError, UnicodeError, RawdaqError) as error:  # the second: an invalid host name
                failure = error
            finally:
                if protocol is not None:
                    protocol.abort()
                self.protocol = None
            has_lasted = protocol is not None and loop.time() - began_s >= self.good_s
            await self._pause(protocol, failure, has_lasted)

    async def _dial(self) -> C:
        async with asyncio.timeout(self.attempt_s):
            transport, protocol = await self.connect(self._factory)
        keep_alive(transport.get_extra_info("socket"))
        return protocol

    async def _wait_for_end(self, protocol: C) -> Exception | None:
        """Log that there is a connection, and return why it ended; where it may end like the last, log it later."""
        self.connections += 1
        self.connected()
        is_back = self._outage.is_on and self.connections > 1
        again = f" again after {self._outage.elapsed_s:.1f} s" if is_back else ""
        line = ("connected to %s%s", self.address, again)
        self._log.log(logging.DEBUG if self.is_repeating else logging.INFO, *line)
        lasting = asyncio.get_running_loop().call_later(self.good_s, self._log.info, *line)
        if not self.is_repeating:
            lasting.cancel()
        try:
            await asyncio.wait([protocol.closed])
        finally:
            lasting.cancel()
        return protocol.failure

    async def _pause(self, protocol: C | None, failure: Exception | None, has_lasted: bool) -> None:
        """Wait as long as the last attempt deserves."""
        if protocol is not None and (protocol.is_useful or has_lasted):
            self.backoff.reset()
            self._outage.clear()
        self.is_redial = protocol is not None and protocol.redial_at_once
        if self._is_stopped or self.is_redial:
            return
        pause_s = self.backoff.next_s()
        is_news = self._log_failure(why_not_connected(failure, self.attempt_s), pause_s, has_lasted)
        self.is_repeating = protocol is not None and not is_news
        self._hurried.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hurried.wait()

    def _log_failure(self, reason: str, pause_s: float, has_lasted: bool) -> bool:
        """Log why there is no connection (any more), and return whether that is news."""
        is_news = has_lasted or reason != self.last_failure or self._outage.is_due
        self.last_failure = reason
        self._outage.begin()
        line = ("%s: %s; trying again in %.1f s", self.address, reason, pause_s)
        if is_news:
            self._outage.log(*line)
        else:
            self._log.debug(*line)
        return is_news


P = TypeVar("P", bound=asyncio.BaseProtocol)


async def connect_to_any(
    factory: Callable[[], P], host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Transport, P]:
    """Return a connection to the first address of *host* that takes one; the caller limits the time.

    An address that does not answer is given up after some seconds, so that there is time for the others.

    Raises:
        OSError: there is none; of several addresses the error is that of the last.
    """
    loop = asyncio.get_running_loop()
    if is_literal(host):  # does not wait for the threads that look names up
        return await loop.create_connection(factory, host, port, ssl=tls)
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for index, (family, kind, protocol, _, address) in enumerate(found):
        is_last = index == len(found) - 1
        try:
            async with asyncio.timeout(None if is_last else _NEXT_ADDRESS_S):
                sock = await _connected_socket(socket.socket(family, kind, protocol), address)
        except OSError:
            if is_last:
                raise
        else:
            return await loop.create_connection(factory, sock=sock, ssl=tls, server_hostname=host if tls else None)
    raise OSError(errno.EADDRNOTAVAIL, "the host name has no address")


def is_literal(host: str) -> bool:
    """Return whether *host* is an address, and no name.

    >>> is_literal("fe80::1%eth0"), is_literal("localhost")
    (True, False)
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _connected_socket(sock: socket.socket, address: tuple[Any, ...]) -> socket.socket:
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def keep_alive(sock: socket.socket) -> None:
    """Let the system notice a peer that vanished without a word."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        if hasattr(socket, option):  # macOS lacks the first
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
