"""The sockets of a receiver that listens, by UDP or TCP: those of asyncio, and a remedy where they cannot be bound."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.listener import Listener, listen
from rawdaq.sockets.remedies import cannot_listen

_LOG = logging.getLogger("rawdaq.sockets.listening")


class UdpEndpoint(Endpoint):
    """A UDP socket that listens; one protocol gets all its datagrams."""

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> None:
        super().__init__(host, port)
        self.protocol = factory()
        self.transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind the socket."""
        loop = asyncio.get_running_loop()
        try:
            self.transport, _ = await loop.create_datagram_endpoint(
                lambda: self.protocol, local_addr=(self.host, self.port)
            )
        except OSError as error:
            raise cannot_listen(f"UDP {self.address}", error) from error
        self.port = self.transport.get_extra_info("sockname")[1]

    def transports(self) -> list[Any]:
        """Return the one transport."""
        return [] if self.transport is None else [self.transport]

    async def aclose(self) -> None:
        """Close the socket."""
        if self.transport is not None:
            self.transport.close()


class StreamEndpoint(Endpoint):
    """A TCP socket that listens; *factory* makes one protocol for each connection.

    `protocol` is there at once and serves the first connection, for receivers with a single peer.
    """

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> None:
        super().__init__(host, port)
        self.protocol = factory()
        self._factory = factory
        self._unused: asyncio.BaseProtocol | None = self.protocol
        self._listener: Listener | None = None
        self._transports: list[asyncio.Transport] = []

    async def open(self) -> None:
        """Bind the socket and accept."""
        self._listener = await listen(self._make, self.host, self.port, f"TCP {self.address}", _LOG)
        self.port = self._listener.port

    def _make(self) -> asyncio.BaseProtocol:
        protocol, self._unused = self._unused or self._factory(), None
        made = protocol.connection_made

        def connection_made(transport: Any) -> None:
            self._transports = [*self.transports(), transport]
            made(transport)
            self._apply_holds()

        protocol.connection_made = connection_made  # type: ignore[method-assign]  # asyncio calls the protocol only
        return protocol

    def transports(self) -> list[Any]:
        """Return the connections that are open."""
        return [transport for transport in self._transports if not transport.is_closing()]

    async def aclose(self) -> None:
        """Close the socket and every connection."""
        if self._listener is not None:
            self._listener.close()
        for transport in self.transports():
            transport.close()
