"""The sockets of a receiver that listens, by UDP or TCP, and what they have in common with one that dials.

Building an endpoint is free; `Endpoint.open` binds it. `Endpoint.hold` stops reading for a named reason (a full queue,
the command ``pause``) and `Endpoint.release` takes that reason back. `dialling` has the endpoint that dials.
"""

import asyncio
import contextlib
import errno
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from rawdaq.errors import ComponentError


class Endpoint(ABC):
    """A socket of a receiver, opened when the server starts."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._holds: set[str] = set()

    @property
    def address(self) -> str:
        """``HOST:PORT``; once open, with the port that the system chose for 0."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @abstractmethod
    async def open(self) -> None:
        """Bind, or prepare to dial.

        Raises:
            ComponentError: the address cannot be used; the text says why and what to do.
        """

    async def run(self) -> None:
        """Do what the endpoint has to do while the server runs; a listening one has nothing to do."""
        return

    @abstractmethod
    def transports(self) -> list[Any]:
        """Return the open transports."""

    async def read_out(self, timeout_s: float) -> str | None:
        """Read what has arrived by now, as publishers have room; an endpoint for which `aclose` is enough does nothing.

        Returns:
            What is lost because it could not be read within *timeout_s*, in words; usually None.
        """
        return None

    @abstractmethod
    async def aclose(self) -> None:
        """Stop reading and close; may be called twice."""

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return {"address": self.address, "held": sorted(self._holds)}

    def hold(self, reason: str) -> None:
        """Stop reading until *reason* is released; the peer's own buffers keep what it sends (TCP)."""
        self._holds.add(reason)
        self._apply_holds()

    def release(self, reason: str) -> None:
        """Read again unless another reason holds."""
        self._holds.discard(reason)
        self._apply_holds()

    def _apply_holds(self) -> None:
        for transport in self.transports():
            with contextlib.suppress(AttributeError, RuntimeError):  # datagram transports of other loops cannot pause
                (transport.pause_reading if self._holds else transport.resume_reading)()


def _cannot_listen(kind: str, endpoint: Endpoint, error: OSError) -> ComponentError:
    remedy = "see that the address exists on this machine and that you may use it"
    if error.errno == errno.EADDRINUSE:
        remedy = (
            f"another program uses it (find it with: ss -lnp 'sport = :{endpoint.port}'); stop it or take another port"
        )
    elif error.errno == errno.EACCES:
        remedy = "ports below 1024 need privileges; take a higher one"
    elif error.errno == errno.EMFILE:
        remedy = "raise the limit (ulimit -n), or let fewer components share the process"
    return ComponentError(f"cannot listen on {kind} {endpoint.address}: {error.strerror or error}; {remedy}")


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
                lambda: self.protocol,
                local_addr=(self.host, self.port),
            )
        except OSError as error:
            raise _cannot_listen("UDP", self, error) from error
        self.port = self.transport.get_extra_info("sockname")[1]

    def transports(self) -> list[Any]:
        """Return the one transport."""
        return [] if self.transport is None else [self.transport]

    async def aclose(self) -> None:
        """Close the socket."""
        if self.transport is not None:
            self.transport.close()


async def listen(factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server:
    """Return a TCP server at an address.

    Raises:
        OSError: it cannot be, for the reason in `errno`.
    """
    try:
        server = await asyncio.get_running_loop().create_server(factory, host, port)
    except OSError as error:
        if error.errno is None:  # from Python 3.13 on, when the address is no one's or no socket is left
            _bind(host, port)
        raise
    if not server.sockets:  # before: when no socket is left
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return server


def _bind(host: str, port: int) -> None:
    """Bind as a server does, to be told why that is impossible."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)


class StreamEndpoint(Endpoint):
    """A TCP socket that listens; *factory* makes one protocol per connection.

    `protocol` is there at once and serves the first connection, for receivers with a single peer.
    """

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> None:
        super().__init__(host, port)
        self.protocol = factory()
        self._factory = factory
        self._unused: asyncio.BaseProtocol | None = self.protocol
        self._server: asyncio.Server | None = None
        self._transports: list[asyncio.Transport] = []

    async def open(self) -> None:
        """Bind the socket and accept."""
        try:
            self._server = await listen(self._make, self.host, self.port)
        except OSError as error:
            raise _cannot_listen("TCP", self, error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def _make(self) -> asyncio.BaseProtocol:
        protocol, self._unused = self._unused or self._factory(), None
        made = protocol.connection_made

        def connection_made(transport: Any) -> None:
            self._transports = [*self.transports(), transport]
            made(transport)
            self._apply_holds()

        protocol.connection_made = connection_made  # type: ignore[method-assign]  # asyncio tells nobody else
        return protocol

    def transports(self) -> list[Any]:
        """Return the connections that are open."""
        return [transport for transport in self._transports if not transport.is_closing()]

    async def aclose(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
        for transport in self.transports():
            transport.close()
