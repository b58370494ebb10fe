"""TCP connections that bring messages: devices connect to us, or we to one of them."""

import asyncio
from typing import TYPE_CHECKING

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.events import Frames
from rawdaq.sockets.datagrams import plain_address
from rawdaq.sockets.dial_endpoint import DialledProtocol

if TYPE_CHECKING:
    from rawdaq.events.server import EventServer

#: Each may hold one message that is not whole.
MAX_CONNECTIONS = 1000


class Accepted(asyncio.Protocol):
    """A connection that a device has opened.

    Args:
        server: takes its messages.
        place: of the endpoint that it belongs to among the server's.
    """

    def __init__(self, server: "EventServer", place: int) -> None:
        self._server = server
        self._place = place
        self._frames: Frames | None = None
        self._sender = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport  # type: ignore[assignment]  # asyncio's own signature is wider than what it gives
        self._sender = plain_address(transport.get_extra_info("peername")[0])
        if reason := self._server.refusal(self._sender):
            self._server.refusals.count(reason, self._sender)
            transport.abort()  # type: ignore[attr-defined]  # as above
            return
        self._server.connections += 1
        self._frames = self._server.sources.of(self._sender).format.frames()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._frames is None or self._transport is None:
            return
        error = self._server.take_chunk(self._server.endpoints[self._place], self._sender, self._frames, data)
        if error is not None:
            self._transport.abort()

    def eof_received(self) -> None:
        """Called by asyncio."""
        if self._frames is not None:
            self._server.take_end(self._sender, self._frames)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._frames is not None:
            self._server.connections -= 1


class Dialled(DialledProtocol):
    """A connection that we have opened.

    Args:
        server: takes its messages.
        sender: the peer's name.
    """

    def __init__(self, server: "EventServer", sender: str) -> None:
        super().__init__()
        self._server = server
        self._sender = sender
        self._frames = server.sources.of(sender).format.frames()

    def received(self, chunk: bytes | memoryview) -> None:
        """Publish what is whole."""
        error = self._server.take_chunk(self._server.endpoints[0], self._sender, self._frames, chunk)
        if error is None:
            self.is_useful = True
        else:
            self.fail(error)

    def ended(self) -> None:
        """Report a message that is not whole."""
        error = self._server.take_end(self._sender, self._frames)
        if isinstance(error, RemoteProtocolError):
            self.fail(error)
