"""An ASGI application on a socket of ours, in the running event loop, until `RestServer.stop`."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from rawdaq.sockets.remedies import cannot_listen

_MAX_CONNECTIONS = 200
_CLOSE_S = 2  # what is being answered may take so long when the server stops


class _Server(uvicorn.Server):
    """Leaves signals to the program."""

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
        self._socket: socket.socket | None = None
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
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = found[0]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen()
        except OSError as error:
            if self._socket is not None:
                self._socket.close()
            raise cannot_listen(self.url, error) from error
        self._port = self._socket.getsockname()[1]
        self._log.info("serving REST on %s", self.url)

    async def serve(self) -> None:
        """Answer requests until `stop`; call it after `open`."""
        assert self._socket is not None  # noqa: S101 - it is open
        try:
            await self._server.serve([self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Let `serve` return."""
        self._server.should_exit = True
