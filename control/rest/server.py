"""An ASGI application on sockets of ours, in the running event loop, until `RestServer.stop`."""

import asyncio
import contextlib
import errno
import logging
import ssl
from collections.abc import Collection, Generator, Sequence
from typing import Any, cast

import uvicorn

from rawdaq.errors import ComponentError
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.listener import Listener, bind

_MAX_CONNECTIONS = 200
_DATE_S = 1.0
_CLOSE_S = 2  # what is being answered may take so long when the server stops
_HEADERS_S = 10.0
_MAX_MESSAGE_BYTES = 1 << 16  # of clients of WebSockets
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class _Server(uvicorn.Server):
    """Leaves signals to the program, and accepting connections to a listener of ours."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self.listeners: list[Listener] = []
        self.stopping = asyncio.Event()
        self._tls = tls

    async def startup(self, sockets: Any = None) -> None:
        """Begin to accept connections; called by `serve`."""
        await super().startup(sockets=[])
        for listener in self.listeners:
            listener.start(self._connection, self._tls)
            self.servers.append(cast("asyncio.Server", listener))  # it is closed and waited for like one

    def _connection(self) -> asyncio.Protocol:
        make = cast("Any", self.config.http_protocol_class)
        state: dict[str, Any] = {}
        protocol = make(config=self.config, server_state=self.server_state, app_state=state)
        state["abort"] = lambda: protocol.transport.abort()
        asyncio.get_running_loop().call_later(_HEADERS_S, _check_headers, protocol, None)
        made: asyncio.Protocol = protocol
        return made

    async def main_loop(self) -> None:
        """Wait for the end; called by `serve`. uvicorn's own looks for it ten times a second."""
        while not await self.on_tick(0):  # which sets the header Date, too
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_S):
                    await self.stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _check_headers(protocol: Any, cycle_before: Any) -> None:
    """Close a connection that has not sent all headers of a request in time, and look again later.

    Args:
        protocol: uvicorn's.
        cycle_before: its request when this was called last.
    """
    transport = protocol.transport
    if transport is None or transport.is_closing() or transport.get_protocol() is not protocol:  # a WebSocket by now
        return
    cycle = protocol.cycle
    is_between = cycle is None or cycle.response_complete
    # Between two requests a timer of uvicorn runs until the next one begins.
    if is_between and cycle is cycle_before and protocol.timeout_keep_alive_task is None:
        transport.close()
    else:
        asyncio.get_running_loop().call_later(_HEADERS_S, _check_headers, protocol, cycle)


class RestServer:
    """Serves an application.

    Args:
        app: the application.
        hosts: the address to listen on, or several.
        port: their port; 0 lets the system choose one.
        log: where it is logged where it listens.
        tls: encrypts the connections; None: they are plain.
        has_sockets: whether it has WebSockets.
        optional: those of *hosts* that this machine need not have, such as ``::1`` where there is no IPv6.
    """

    def __init__(
        self,
        app: Any,
        hosts: str | Sequence[str],
        port: int,
        log: logging.Logger,
        *,
        tls: ssl.SSLContext | None = None,
        has_sockets: bool = False,
        optional: Collection[str] = (),
    ) -> None:
        self._hosts = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        self._port = port
        self._optional = optional
        self._log = log
        self._tls = tls
        is_far = not all(host in ("127.0.0.1", "::1", "localhost") for host in self._hosts)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="error",  # what clients do wrong is no matter of ours
            lifespan="off",
            http="h11",
            ws="websockets-sansio" if has_sockets else "none",
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_per_message_deflate=is_far,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_CLOSE_S,
        )
        self._server = _Server(config, tls)

    @property
    def url(self) -> str:
        """Where it is; once open, with the port that the system chose."""
        return self._url(self._hosts[0])

    def _url(self, host: str) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{host_port(host, self._port)}"

    async def open(self) -> None:
        """Bind the sockets.

        Raises:
            ComponentError: an address cannot be used; the text says why and what to do.
        """
        try:
            for host in self._hosts:
                await self._bind(host)
        except ComponentError:
            self._close()
            raise

    async def _bind(self, host: str) -> None:
        try:
            listener = await bind(host, self._port, self._url(host), self._log)
        except ComponentError as error:
            cause = error.__cause__
            if host in self._optional and isinstance(cause, OSError) and cause.errno in _NOT_HERE:
                return
            raise
        self._server.listeners.append(listener)
        self._port = listener.port
        self._log.info("serving REST on %s", self._url(host))

    def _close(self) -> None:
        for listener in self._server.listeners:
            listener.close()

    async def serve(self) -> None:
        """Answer requests until `stop`; call it after `open`."""
        try:
            await self._server.serve()
        finally:
            self._close()

    def stop(self) -> None:
        """Let `serve` return."""
        self._server.should_exit = True
        self._server.stopping.set()
