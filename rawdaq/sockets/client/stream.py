"""A connection to a server by TCP, TLS or WebSocket, which looks the same in all three cases."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rawdaq.errors import RemoteProtocolError
from rawdaq.sockets.client.address import ServerAddress
from rawdaq.sockets.client.websocket import WebSocketClient
from rawdaq.sockets.dialling import connect_to_any

_WRITE_AHEAD_BYTES: Final = 1 << 20


#: What is read at once: so much stays in the processor's cache, and is memory that Python's allocator keeps.
_READ_BYTES: Final = 192 << 10


class _Memory(threading.local):
    """What all connections of a thread read into, one after the other; what was read is copied out of it at once."""

    def __init__(self) -> None:
        self.block = memoryview(bytearray(_READ_BYTES))


_memory = _Memory()


class ClientStream(asyncio.BufferedProtocol):
    """A connection. Subclasses write `received` and `ended`.

    Args:
        address: the server.
        subprotocols: what is offered to a WebSocket server, the best one first.
        max_message_bytes: a larger WebSocket message ends the connection.

    Attributes:
        transport: the connection itself; None before there is one.
        is_over: whether it has ended.
    """

    def __init__(
        self, address: ServerAddress, subprotocols: Sequence[str] = (), max_message_bytes: int = 1 << 20
    ) -> None:
        self.address = address
        self.is_over = False
        self._websocket = (
            WebSocketClient(str(address), subprotocols, max_message_bytes) if address.is_websocket else None
        )
        self.transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def received(self, data: bytes) -> None:
        """Take what came: any bytes, of a WebSocket one message."""

    def ended(self, error: Exception | None) -> None:
        """Take note that the connection has ended; *error* is None when the server closed it in order."""

    async def connect(self, timeout_s: float, ca_file: Path | None = None) -> None:
        """Connect; return when both sides are ready.

        Args:
            timeout_s: how long that may take.
            ca_file: certificates that are trusted, instead of the system's.

        Raises:
            OSError: it is impossible; `TimeoutError` when there was no answer.
            RemoteProtocolError: the other side is no WebSocket server.
        """
        context = None
        if self.address.is_encrypted:
            context = ssl.create_default_context(cafile=ca_file)
        try:
            async with asyncio.timeout(timeout_s):
                await connect_to_any(lambda: self, self.address.host, self.address.port, context)
                await self._opened
        except BaseException:
            self.abort()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self.transport = transport  # type: ignore[assignment]  # asyncio's own signature is wider than what it gives
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=_WRITE_AHEAD_BYTES)
        if self._websocket is None:
            self._opened.set_result(None)
        else:
            self._send(self._websocket.data_to_send())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio."""
        return _memory.block

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio."""
        data = bytes(_memory.block[:nbytes])
        if self._websocket is None:
            self.received(data)
            return
        messages = self._websocket.receive_data(data)
        self._send(self._websocket.data_to_send())
        if self._websocket.is_open and not self._opened.done():
            self._opened.set_result(None)
        for message in messages:
            self.received(message)
        try:
            self._websocket.check()
        except RemoteProtocolError as error:
            self._end(error)
            self.abort()

    def eof_received(self) -> None:
        """Called by asyncio."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._end(exc)
        self._closed.set()

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._writable.set()

    def _end(self, error: Exception | None) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._writable.set()
        if not self._opened.done():
            self._opened.set_exception(error or ConnectionResetError("the server closed the connection"))
        else:
            self.ended(error)

    def _send(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.transport.write(data)

    @property
    def is_message_based(self) -> bool:
        """Whether what is received and written are messages, each of them a whole."""
        return self._websocket is not None

    def write(self, packets: Sequence[bytes]) -> None:
        """Send *packets* together, each in a message of its own where there are messages; what has ended takes none."""
        if self.is_over:
            return
        if self._websocket is None:
            self._send(b"".join(packets))
        elif self._websocket.is_open:
            for packet in packets:
                self._websocket.send(packet)
            self._send(self._websocket.data_to_send())

    async def drain(self, timeout_s: float) -> None:
        """Return when there is room to write more, or the connection has ended.

        Raises:
            TimeoutError: the server took nothing for so long.
        """
        if not self._writable.is_set():
            async with asyncio.timeout(timeout_s):
                await self._writable.wait()

    async def aclose(self, timeout_s: float) -> None:
        """Send what is queued, at most for *timeout_s*, and close; may be called twice."""
        if self.transport is None:
            return
        if not self.is_over:
            if self._websocket is not None:
                self._websocket.close()
                self._send(self._websocket.data_to_send())
            self.transport.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._closed.wait()
        except TimeoutError:
            self.abort()
            await self._closed.wait()  # the loop closes it in its next turn

    def abort(self) -> None:
        """Close at once; what was not sent, or not read by the server, is lost."""
        if self.transport is None:
            return
        sock = self.transport.get_extra_info("socket")
        if not self._closed.is_set() and sock is not None:
            with contextlib.suppress(OSError):  # it is closed already
                # Else the system would go on sending, and the server reading, what was given up.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
