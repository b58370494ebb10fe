"""How a receiver names its sockets, and those that listen, by UDP or TCP, with a remedy where they cannot be bound."""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rawdaq.sockets.dial_endpoint import DialEndpoint, DialledProtocol
from rawdaq.sockets.dialling import Backoff
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.listener import Listener, listen
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.remedies import cannot_listen

if TYPE_CHECKING:
    import zmq
    import zmq.asyncio

P = TypeVar("P", bound=asyncio.BaseProtocol)

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


class SocketSetup:
    """The part of a receiver that its subclasses call in ``__init__``; nothing is opened yet.

    Args:
        ip: the address to listen on or to dial.
        port: the port.
        log: where connections are logged.

    Attributes:
        endpoints: the sockets, in the order in which they were named.
        shared_context: the zmq context of a process that runs many; None: each server has its own, with its threads.
    """

    shared_context: ClassVar["zmq.Context[zmq.Socket[bytes]] | None"] = None

    def __init__(self, ip: str, port: int, log: logging.Logger) -> None:
        self.ip = ip
        self.port = port
        self.log = log
        self.endpoints: list[Endpoint] = []
        self._setup = False
        self._logged_refusals: list[Refusals] = []

    @functools.cached_property
    def _context(self) -> "zmq.asyncio.Context":
        """The asyncio zmq context, for a receiver's own sockets; closed with the server."""
        from rawdaq.sockets.zeromq.context import context_of

        return context_of(self.shared_context)

    def _plain_context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        """Return the same context for sockets without futures, each of which would cost 20 µs."""
        import zmq

        return zmq.Context(self._context)

    def setup_udp(
        self, factory: Callable[[], P], ip: str | None = None, port: int | None = None
    ) -> tuple[UdpEndpoint, P]:
        """Listen for datagrams; return the endpoint and the protocol that will get them.

        Args:
            factory: makes the protocol; called once, now.
            ip: another address than the server's.
            port: another port than the server's.
        """
        endpoint = UdpEndpoint(factory, self.ip if ip is None else ip, self.port if port is None else port)
        self.add_endpoint(endpoint)
        return endpoint, endpoint.protocol  # type: ignore[return-value]  # it is what the factory made

    def setup_stream(
        self, factory: Callable[[], P], ip: str | None = None, port: int | None = None
    ) -> tuple[StreamEndpoint, P]:
        """Listen for TCP connections; return the endpoint and the protocol of the first connection.

        Args:
            factory: makes one protocol per connection; called once now, then for every further connection.
            ip: another address than the server's.
            port: another port than the server's.
        """
        endpoint = StreamEndpoint(factory, self.ip if ip is None else ip, self.port if port is None else port)
        self.add_endpoint(endpoint)
        return endpoint, endpoint.protocol  # type: ignore[return-value]  # it is what the factory made

    def connect_stream(
        self,
        factory: Callable[[], DialledProtocol],
        host: str | None = None,
        port: int | None = None,
        backoff: Backoff | None = None,
    ) -> DialEndpoint:
        """Dial a TCP peer, and again whenever the connection ends; return the endpoint.

        Args:
            factory: makes one protocol per attempt.
            host: another host than the server's.
            port: another port than the server's.
            backoff: the pauses between attempts.
        """
        endpoint = DialEndpoint(
            factory,
            self.ip if host is None else host,
            self.port if port is None else port,
            backoff or Backoff(),
            self.log,
        )
        self.add_endpoint(endpoint)
        return endpoint

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Open *endpoint* with the server, and read from it; for endpoints of another kind than the three above."""
        self.endpoints.append(endpoint)
        self._setup = True

    def add_refusals(self, refusals: Refusals) -> Refusals:
        """Log *refusals* at a bounded rate while this runs; return them."""
        self._logged_refusals.append(refusals)
        return refusals

    async def ct_log_refusals(self) -> None:
        """Log what was refused, at a bounded rate."""
        await asyncio.gather(*(each.log_regularly() for each in self._logged_refusals))
