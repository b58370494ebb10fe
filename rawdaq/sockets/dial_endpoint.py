"""The socket of a receiver that connects to its device: it reads while publishers have room, and notices silence."""

import asyncio
import fcntl
import logging
import socket
import struct
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.errors import RawdaqError
from rawdaq.sockets.dialling import CONNECT_TIMEOUT_S, GOOD_S, Backoff, Connection, Dialler
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.remedies import why_not_connected

_READ_BYTES = 1 << 21  # a connection that is behind takes megabytes with one system call

_KEPT_BLOCKS = 6  # so many are looked at again


class _Memory:
    """What all connections of a thread read into, one after the other.

    A small read is copied out of it; one that fills more than half of it takes it away, and the next gets another one:
    one that nothing refers to any more, or a new one, which the system gives page by page. So nothing that is still
    wanted is overwritten, packets that wait hold at most twice what was read with them, and a quiet connection, of
    thousands, holds nothing.
    """

    def __init__(self) -> None:
        self._given: deque[npt.NDArray[np.uint8]] = deque([_new_block()], _KEPT_BLOCKS)
        self._unused_refs = sys.getrefcount(self._given[0])
        self.block = self._given[0].data

    def give_away(self, size_bytes: int) -> memoryview:
        """Return the *size_bytes* that were read, read-only; what follows is read elsewhere."""
        chunk = self.block[:size_bytes].toreadonly()
        self._given.rotate(-1)
        if sys.getrefcount(self._given[0]) != self._unused_refs:
            self._given.append(_new_block())
            self._given.rotate(1)
        self.block = self._given[0].data
        return chunk


def _new_block() -> npt.NDArray[np.uint8]:
    return np.empty(_READ_BYTES, np.uint8)  # a page that was never read into costs nothing


_of_thread = threading.local()


def _memory() -> _Memory:
    """Return that of this thread."""
    memory: _Memory | None = getattr(_of_thread, "memory", None)
    if memory is None:
        memory = _of_thread.memory = _Memory()
    return memory


@dataclass(eq=False, repr=False)
class PeerSilent(RawdaqError):
    """The peer sent nothing for too long."""

    timeout_s: float

    def __str__(self) -> str:
        return f"sent nothing for {self.timeout_s:g} s"


class DialledProtocol(Connection, asyncio.BufferedProtocol):
    """A connection that brings bytes. Subclasses write `received`, and may write `connected` and `ended`.

    Attributes:
        transport: the connection itself.
        timeout_s: silence after which the peer counts as dead; 0 means never.
        last_received_s: when the peer last sent something, by the monotonic clock.
        left_bytes: how many are read before the connection is aborted; None: it goes on.
    """

    transport: asyncio.Transport

    def __init__(self, timeout_s: float = 0.0) -> None:
        super().__init__()
        self.timeout_s = timeout_s
        self.last_received_s = 0.0
        self.left_bytes: int | None = None
        self._loop = asyncio.get_running_loop()
        self._memory = _memory()
        self._silence_check: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        """The connection is open: send what the protocol sends first."""

    def received(self, chunk: bytes | memoryview) -> None:
        """Take *chunk*, which is never overwritten; call `fail` when it is not what the protocol allows."""

    def ended(self) -> None:
        """The peer closed its side; call `fail` when that was in the middle of something."""

    def set_timeout(self, timeout_s: float) -> None:
        """Count the peer as dead after another silence, from now on."""
        self.timeout_s = timeout_s
        self.last_received_s = time.monotonic()
        if self._silence_check is not None:
            self._silence_check.cancel()
        self._check_silence()

    def fail(self, error: Exception) -> None:
        """Give the connection up because of *error*; the first error stays."""
        self.failure = self.failure or error
        self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self.transport = transport  # type: ignore[assignment]  # asyncio's own signature is wider than what it gives
        self.last_received_s = time.monotonic()
        self._check_silence()
        self.connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio."""
        block = self._memory.block
        return block if self.left_bytes is None else block[: self.left_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio."""
        block = self._memory.block
        chunk = bytes(block[:nbytes]) if 2 * nbytes <= len(block) else self._memory.give_away(nbytes)
        if self.failure is None:
            self.received(chunk)
        self.last_received_s = time.monotonic()
        if self.left_bytes is not None:
            self.left_bytes -= nbytes
            if not self.left_bytes:
                self.abort()

    def eof_received(self) -> None:
        """Called by asyncio."""
        if self.failure is None:
            self.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._silence_check is not None:
            self._silence_check.cancel()
        if self.failure is None and exc is not None:
            self.ended()  # a reset is an end too: some peers reset when they refuse what we sent
        self.failure = self.failure or exc
        self.closed.set_result(None)

    def _check_silence(self) -> None:
        """Give a peer up that was silent for too long; the time in which we do not read does not count."""
        if not self.timeout_s:
            return
        now_s = time.monotonic()
        if not self.transport.is_reading():
            self.last_received_s = now_s
        left_s = self.last_received_s + self.timeout_s - now_s
        if left_s <= 0:
            self.fail(PeerSilent(self.timeout_s))
        else:
            self._silence_check = self._loop.call_later(left_s, self._check_silence)


class DialEndpoint(Dialler[DialledProtocol], Endpoint):
    """The socket of a receiver that connects to its device.

    Its arguments are those of `Dialler`.
    """

    def __init__(
        self,
        factory: Callable[[], DialledProtocol],
        host: str,
        port: int,
        backoff: Backoff,
        log: logging.Logger,
        good_s: float = GOOD_S,
    ) -> None:
        Endpoint.__init__(self, host, port)
        Dialler.__init__(self, factory, host, port, backoff, log, good_s)

    async def open(self) -> None:
        """Nothing: an absent device is no reason not to start."""

    def connected(self) -> None:
        """Do not read the new connection while something holds it."""
        self._apply_holds()

    def release(self, reason: str) -> None:
        """Read again; the silence while we did not read was ours."""
        super().release(reason)
        if self.protocol is not None:
            self.protocol.last_received_s = time.monotonic()

    def transports(self) -> list[Any]:
        """Return the connection, when there is one."""
        return [] if self.protocol is None else [self.protocol.transport]

    async def read_out(self, timeout_s: float) -> str | None:
        """Dial no more; read what has arrived by now, which the device will not send again; close the connection."""
        self.stop()
        protocol = self.protocol
        if protocol is None or protocol.transport.is_closing():
            return None
        protocol.left_bytes = waiting_bytes(protocol.transport.get_extra_info("socket"))
        if protocol.left_bytes:
            await asyncio.wait([protocol.closed], timeout=timeout_s)
        protocol.abort()
        if protocol.failure is not None:  # what follows an error of the protocol cannot be read
            self._log.warning("%s: %s", self.address, why_not_connected(protocol.failure, CONNECT_TIMEOUT_S))
        elif protocol.left_bytes:
            reason = ", ".join(sorted(self._holds)) or "there was more than could be read"
            return (
                f"{protocol.left_bytes} bytes that {self.address} had sent are lost: "
                f"not read within {timeout_s:g} s of stopping ({reason})"
            )
        return None

    async def aclose(self) -> None:
        """Close the connection and dial no more."""
        self.stop()
        for transport in self.transports():
            transport.abort()

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        is_away = self.protocol is None and self._outage.is_on
        return super().status() | {
            "connected": self.protocol is not None,
            "disconnected_s": round(self._outage.elapsed_s, 1) if is_away else None,
            "connections": self.connections,
            "last_failure": None if self.protocol is not None else self.last_failure,
        }


def waiting_bytes(sock: socket.socket) -> int:
    """Return how much the system has received at *sock* that is not read yet."""
    (size_bytes,) = struct.unpack("@i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    return int(size_bytes)
