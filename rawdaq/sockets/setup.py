"""How a receiver names its sockets when it is built; they are bound when it is served."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from rawdaq.sockets.dial_endpoint import DialEndpoint, DialledProtocol
from rawdaq.sockets.dialling import Backoff
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.listening import StreamEndpoint, UdpEndpoint

P = TypeVar("P", bound=asyncio.BaseProtocol)


class SocketSetup:
    """The part of a receiver that its subclasses call in ``__init__``; nothing is opened yet.

    Args:
        ip: the address to listen on or to dial.
        port: the port.
        log: where connections are logged.

    Attributes:
        endpoints: the sockets, in the order in which they were named.
    """

    def __init__(self, ip: str, port: int, log: logging.Logger) -> None:
        self.ip = ip
        self.port = port
        self.log = log
        self.endpoints: list[Endpoint] = []
        self._setup = False

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
