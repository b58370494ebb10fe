"""An ASGI application on a socket of ours, in the running event loop, until `RestServer.stop`."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from typing import Any, cast

import uvicorn

from rawdaq.sockets.listener import Listener, bind

_MAX_CONNECTIONS = 200
_CLOSE_S = 2  # what is being answered may take so long when the server stops


class _Server(uvicorn.Server):
    """Leaves signals to the program, and accepting connections to a listener of ours."""

    listener: Listener | None = None

    async def startup(self, sockets: Any = None) -> None:
        """Begin to accept connections; called by `serve`."""
        await super().startup(sockets=[])
        if self.listener is not None:
            self.listener.start(self._connection)
            self.servers.append(cast("asyncio.Server", self.listener))  # it is closed and waited for like one

    def _connection(self) -> asyncio.Protocol:
        make = cast("Any", self.config.http_protocol_class)
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class RestServer:
    """Serves an application.

    Args:
        app: the application.
        host: the address to listen on.
        port: its port; 0 lets the system choose one.
        log: where it is logged where it listens.
    """

    def __init__(self, app: Any, host: str, port: int, log: logging.Logger) -> None:
        self._host, self._port = host, port
        self._log = log
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_CLOSE_S,
        )
        self._server = _Server(config)

    @property
    def url(self) -> str:
        """Where it is; once open, with the port that the system chose."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    async def open(self) -> None:
        """Bind the socket.

        Raises:
            ComponentError: the address cannot be used; the text says why and what to do.
        """
        self._server.listener = await bind(self._host, self._port, self.url, self._log)
        self._port = self._server.listener.port
        self._log.info("serving REST on %s", self.url)

    async def serve(self) -> None:
        """Answer requests until `stop`; call it after `open`."""
        assert self._server.listener is not None  # noqa: S101 - it is open
        try:
            await self._server.serve()
        finally:
            self._server.listener.close()

    def stop(self) -> None:
        """Let `serve` return."""
        self._server.should_exit = True
