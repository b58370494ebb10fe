"""One WebSocket, as handlers see it: a client that takes nothing is cut."""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from starlette.websockets import WebSocket, WebSocketDisconnect

_CLOSE_S = 2.0
_STUCK_S = 30.0
_NOT_TEXT = 1003


class SocketClosed(Exception):
    """The client of a WebSocket has gone."""


class Client:
    """A WebSocket; those that handlers get have given the token."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._is_closed = False

    @property
    def path(self) -> Mapping[str, str]:
        """What stands for ``{name}`` in the path."""
        return self._socket.path_params

    @property
    def address(self) -> str:
        """The machine of the client."""
        return self._socket.client.host if self._socket.client else "?"

    async def receive(self) -> str:
        """Return the next text of the client.

        Raises:
            SocketClosed: it has gone.
        """
        try:
            message = await self._socket.receive()
        except (WebSocketDisconnect, RuntimeError) as error:  # starlette: after the end
            raise SocketClosed from error
        if message["type"] != "websocket.receive":
            self._is_closed = True
            raise SocketClosed
        text: str | None = message.get("text")
        if text is None:
            await self.close(_NOT_TEXT, "messages are texts")
            raise SocketClosed
        return text

    async def send(self, data: str | bytes) -> None:
        """Return when the system has taken *data*, or has room for it.

        Raises:
            SocketClosed: the client has gone, or took nothing for too long.
        """
        if self._is_closed:
            raise SocketClosed
        sending = self._socket.send_text(data) if isinstance(data, str) else self._socket.send_bytes(data)
        try:
            async with asyncio.timeout(_STUCK_S):
                await sending
        except TimeoutError:
            self._cut()
            raise SocketClosed from None
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            self._is_closed = True
            raise SocketClosed from error

    async def close(self, code: int, reason: str) -> None:
        """Close it; a second time does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close(code, reason[:120])  # a close frame has 125 bytes
        except TimeoutError:
            self._cut()
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise SocketClosed from error

    def _cut(self) -> None:
        """End the connection without waiting for what the client does not take."""
        self._is_closed = True
        abort = cast("Callable[[], None] | None", self._socket.scope.get("state", {}).get("abort"))
        if abort is not None:
            abort()
