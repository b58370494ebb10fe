"""The connections of senders, and one of them: lines come in, records go to the receiver."""

import asyncio
import fcntl
import struct
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from rawdaq.messages.log import LogRecord
from rawdaq.messages.log_lines import NOT_PICKLE, LogLines, Refused
from rawdaq.sockets.listening import StreamEndpoint

_TURN_S = 0.01


class LogTaker(Protocol):
    """What a connection gives its records to."""

    def admit(self, connection: "LogConnection") -> bool:
        """Return whether there may be one more connection; it counts from now on."""
        ...

    def leave(self, connection: "LogConnection") -> None:
        """Take note that a connection has ended."""
        ...

    def take(self, records: Sequence[LogRecord]) -> None:
        """Publish *records*."""
        ...

    def refuse(self, sender: str, refused: Refused) -> None:
        """Count what is no record."""
        ...


class LogConnection(asyncio.Protocol):
    """One sender.

    Args:
        taker: gets what it sends.

    Attributes:
        peer: its address.
    """

    def __init__(self, taker: LogTaker) -> None:
        self.peer = "?"
        self._taker = taker
        self._lines = LogLines()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        peer: Any = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else "?"
        if not self._taker.admit(self):
            self._taker.refuse(self.peer, Refused("too many connections", "see max_connections"))
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._transport is None:
            return
        records: list[LogRecord] = []
        for event in self._lines.receive_data(data, time.time_ns()):
            if isinstance(event, LogRecord):
                records.append(event)
                continue
            self._taker.refuse(self.peer, event)
            if event.is_last:
                self._transport.write(f"{NOT_PICKLE}\n".encode())
                self._transport.close()
        if records:
            self._taker.take(records)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        for refused in self._lines.receive_eof():
            self._taker.refuse(self.peer, refused)
        self._transport = None
        self._taker.leave(self)


class LogEndpoint(StreamEndpoint):
    """Listens; at a stop it reads what has arrived by then."""

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> None:
        super().__init__(factory, host, port)
        self._is_ending = False

    async def read_out(self, timeout_s: float) -> str | None:
        """Read what senders have sent by now."""
        end_s = asyncio.get_running_loop().time() + timeout_s
        while waiting := sum(map(_waiting_bytes, self.transports())):
            if asyncio.get_running_loop().time() > end_s:
                return f"{waiting} bytes of log records had no room and are lost"
            await asyncio.sleep(_TURN_S)
        return None


def _waiting_bytes(transport: Any) -> int:
    """Return how many bytes have come that were not read."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))
    return int(count)
