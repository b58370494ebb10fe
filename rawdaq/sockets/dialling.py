"""The socket of a receiver that dials out, watches its connection, and never gives up."""

import asyncio
import errno
import fcntl
import logging
import random
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rawdaq.errors import RawdaqError
from rawdaq.sockets.buffers import ReadBlocks
from rawdaq.sockets.endpoint import Endpoint

_CONNECT_TIMEOUT_S = 10.0
_REMIND_S = 600.0  # an outage that goes on for days is told again this often

#: A silent peer is probed after 15 s and given up after three more probes, 30 s in all.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))

_REMEDIES: Final = {
    errno.ECONNREFUSED: "nothing listens there: is the device on, and are host and port right?",
    errno.EHOSTUNREACH: "no route to it: is the network up?",
    errno.ENETUNREACH: "no route to it: is the network up?",
    errno.ECONNRESET: "the device reset the connection",
    errno.ETIMEDOUT: "the device no longer answers",
}


class PeerSilent(RawdaqError):
    """The peer sent nothing for too long."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        """Return the log line's words."""
        return f"sent nothing for {self.timeout_s:g} s"


@dataclass(frozen=True, slots=True)
class Reconnect:
    """When to dial again: *first_s*, doubled at each failure up to *max_s*, each time up to 20 % more or less.

    A connection that was useful, or that lasted *good_s*, starts again at *first_s*.
    """

    first_s: float = 0.5
    max_s: float = 30.0
    good_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Return the pause after *failures* failures in a row (the first is 1)."""
        longest_s = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return min(self.max_s, longest_s * random.uniform(0.8, 1.2))


class DialledProtocol(asyncio.BufferedProtocol):
    """One connection that we dialled. Subclasses write `received`, and `connected` and `ended` when they care.

    Attributes:
        transport: the connection.
        failure: why it ended, once it did.
        is_useful: set it when the peer did what it is there for; dialling again then starts with a short pause.
        redial_at_once: set it when the next attempt will be made differently and need not wait.
        timeout_s: silence after which the peer counts as dead; 0 means never.
    """

    transport: asyncio.Transport

    def __init__(self, timeout_s: float = 0.0) -> None:
        self.failure: Exception | None = None
        self.is_useful = False
        self.redial_at_once = False
        self.timeout_s = timeout_s
        self.last_received_s = 0.0
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._blocks = ReadBlocks()

    def connected(self) -> None:
        """The connection is open: say what the protocol says first."""

    def received(self, chunk: memoryview) -> None:
        """Take *chunk*, which nothing overwrites; call `fail` when it is not what the protocol allows."""

    def ended(self) -> None:
        """The peer closed its side; call `fail` when that was in the middle of something."""

    def fail(self, error: Exception) -> None:
        """Give the connection up because of *error*; the first error stays."""
        self.failure = self.failure or error
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self.transport = transport  # type: ignore[assignment]  # asyncio's own signature is wider than what it gives
        self.last_received_s = self._loop.time()
        self.connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio."""
        return self._blocks.free()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio."""
        chunk = self._blocks.take(nbytes)
        if self.failure is None:
            self.received(chunk)
        self.last_received_s = self._loop.time()

    def eof_received(self) -> None:
        """Called by asyncio."""
        if self.failure is None:
            self.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self.failure is None and exc is not None:
            self.ended()  # a reset is an end too: some close so when they refuse what we said
        self.failure = self.failure or exc
        self.closed.set_result(None)


class _LastReads(asyncio.BufferedProtocol):
    """Takes the place of *protocol*, gives it the bytes that have arrived by now and no more, and ends the connection.

    Attributes:
        left_bytes: how many of them are not read yet.
    """

    def __init__(self, protocol: DialledProtocol) -> None:
        self._protocol = protocol
        self.left_bytes = _waiting_bytes(protocol.transport.get_extra_info("socket"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio."""
        return self._protocol.get_buffer(sizehint)[: self.left_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio."""
        self.left_bytes -= nbytes
        self._protocol.buffer_updated(nbytes)
        if not self.left_bytes:
            self._protocol.transport.abort()

    def eof_received(self) -> None:
        """Called by asyncio."""
        self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._protocol.connection_lost(exc)


class DialEndpoint(Endpoint):
    """A TCP connection that we open, watch, and open again for ever.

    Every change of the reason why there is none is logged once with the peer's address, then once in ten minutes, and
    so is that it is there again. A peer that takes connections and ends them in the same way each time is told no more
    until one lasts.

    Attributes:
        protocol: the connection, None while there is none.
        connections: how many there were.
        failures: how many attempts in a row failed.
        last_failure: why the last connection ended.
        is_redial: whether the attempt being made follows directly from `DialledProtocol.redial_at_once`.
        is_repeating: whether the last attempt was a connection that ended as the attempt before it, so that nobody
            wants to read of the next one until it lasts.
    """

    def __init__(
        self,
        factory: Callable[[], DialledProtocol],
        host: str,
        port: int,
        reconnect: Reconnect,
        log: logging.Logger,
    ) -> None:
        super().__init__(host, port)
        self.protocol: DialledProtocol | None = None
        self.connections = 0
        self.failures = 0
        self.last_failure: str | None = None
        self.is_redial = False
        self.is_repeating = False
        self._factory = factory
        self._reconnect = reconnect
        self._log = log
        self._told_s = 0.0
        self._away_s: float | None = None  # when the last useful connection ended
        self._is_closed = False

    async def open(self) -> None:
        """Nothing: an absent device is no reason not to start."""

    async def run(self) -> None:
        """Dial, watch the connection until it ends, wait, and dial again."""
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            began_s = loop.time()
            protocol: DialledProtocol | None = None
            lasting: asyncio.TimerHandle | None = None
            try:
                protocol = await self._dial()
                lasting = self._tell_connected()
                await self._watch(protocol)
                failure = protocol.failure
            except (OSError, UnicodeError) as error:  # the latter: a host name that no name can be
                failure = error
            finally:
                if protocol is not None:
                    protocol.transport.abort()
                if lasting is not None:
                    lasting.cancel()
                self.protocol = None
            has_lasted = protocol is not None and loop.time() - began_s >= self._reconnect.good_s
            if protocol and (protocol.is_useful or has_lasted):
                self.failures, self._away_s = 0, None
            self.is_redial = bool(protocol and protocol.redial_at_once)
            if self._is_closed or self.is_redial:
                continue
            self.failures += 1
            delay_s = self._reconnect.delay_s(self.failures)
            is_news = self._tell(failure, delay_s, loop.time(), has_lasted)
            self.is_repeating = protocol is not None and not is_news
            await asyncio.sleep(delay_s)

    async def _dial(self) -> DialledProtocol:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(self._factory, self.host, self.port)
        _keep_alive(transport.get_extra_info("socket"))
        self.protocol = protocol
        self.connections += 1
        self._apply_holds()
        return protocol

    def _tell_connected(self) -> asyncio.TimerHandle | None:
        """Tell that there is a connection; return what tells it once it has lasted, where it may end like the last."""
        loop = asyncio.get_running_loop()
        again = ""
        if self._away_s is not None and self.connections > 1:
            again = f" again after {loop.time() - self._away_s:.1f} s"
        self._log.log(logging.DEBUG if self.is_repeating else logging.INFO, "connected to %s%s", self.address, again)
        if not self.is_repeating:
            return None
        return loop.call_later(self._reconnect.good_s, self._log.info, "connected to %s%s", self.address, again)

    async def _watch(self, protocol: DialledProtocol) -> None:
        """Return when the connection has ended; end it when the peer is silent for too long."""
        loop = asyncio.get_running_loop()
        while not protocol.closed.done():
            silent_s = 0.0 if self._holds else loop.time() - protocol.last_received_s  # held: it is we who do not read
            if protocol.timeout_s and silent_s >= protocol.timeout_s:
                protocol.fail(PeerSilent(protocol.timeout_s))
            wait_s = protocol.timeout_s - silent_s if protocol.timeout_s else None
            await asyncio.wait([protocol.closed], timeout=wait_s)

    def _tell(self, failure: Exception | None, delay_s: float, now_s: float, has_lasted: bool) -> bool:
        """Tell why there is no connection (any more), and return whether that is news."""
        if self._away_s is None:
            self._away_s = now_s
        reason = _reason(failure)
        is_news = has_lasted or reason != self.last_failure or now_s - self._told_s >= _REMIND_S
        if is_news:
            self._told_s = now_s
        self.last_failure = reason
        level = logging.WARNING if is_news else logging.DEBUG
        self._log.log(level, "%s: %s; trying again in %.1f s", self.address, reason, delay_s)
        return is_news

    def release(self, reason: str) -> None:
        """Read again; the silence while we did not read was ours."""
        super().release(reason)
        if self.protocol is not None:
            self.protocol.last_received_s = asyncio.get_running_loop().time()

    def transports(self) -> list[Any]:
        """Return the connection, when there is one."""
        return [] if self.protocol is None else [self.protocol.transport]

    async def read_out(self, timeout_s: float) -> str | None:
        """Dial no more; read what has arrived by now, which the device will not send again; close the connection."""
        self._is_closed = True
        protocol = self.protocol
        if protocol is None or protocol.transport.is_closing():
            return None
        last = _LastReads(protocol)
        if last.left_bytes:
            protocol.transport.set_protocol(last)
            await asyncio.wait([protocol.closed], timeout=timeout_s)
        protocol.transport.abort()
        if protocol.failure is not None:  # nobody could have read what follows
            self._log.warning("%s: %s", self.address, _reason(protocol.failure))
        elif last.left_bytes:
            reason = ", ".join(sorted(self._holds)) or "there was more than could be read"
            return (
                f"{last.left_bytes} bytes that {self.address} had sent are lost: "
                f"not read within {timeout_s:g} s of stopping ({reason})"
            )
        return None

    async def aclose(self) -> None:
        """Close the connection and dial no more."""
        self._is_closed = True
        for transport in self.transports():
            transport.abort()

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return super().status() | {
            "connected": self.protocol is not None,
            "connections": self.connections,
            "last_failure": None if self.protocol is not None else self.last_failure,
        }


def _reason(failure: Exception | None) -> str:
    """Return the cause and, where there is one, the remedy in the words of an operator."""
    if failure is None:
        return "the device closed the connection"
    if isinstance(failure, TimeoutError) and failure.errno is None:
        return f"no answer within {_CONNECT_TIMEOUT_S:g} s: is the device on and reachable?"
    if isinstance(failure, UnicodeError):
        return f"the host name is none ({failure.__cause__ or failure})"
    if isinstance(failure, socket.gaierror):
        return f"the host name cannot be resolved ({failure.strerror})"
    if isinstance(failure, OSError):
        return _REMEDIES.get(failure.errno or 0, failure.strerror or str(failure))
    return str(failure)


def _waiting_bytes(sock: socket.socket) -> int:
    """Return how much the system has received at *sock* that is not read yet."""
    (size_bytes,) = struct.unpack("@i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    return int(size_bytes)


def _keep_alive(sock: socket.socket) -> None:
    """Let the system notice a peer that vanished without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        if hasattr(socket, option):  # macOS lacks the first
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
