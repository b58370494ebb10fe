"""WebSockets of a table of routes: the token is the first message, and a client that takes nothing is cut."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rawdaq.control.rest.guard import Guard
from rawdaq.control.rest.routes import Api, Json, Refused, SocketClosed, SocketRoute
from rawdaq.control.rest.wrong_tokens import WrongTokens

WRONG_TOKEN = 4401
TOO_SLOW = 4408
TOO_MANY = 4429
MAX_SOCKETS = 64

_TOKEN_S = 2.0
_STUCK_S = 30.0
_NOT_TEXT = 1003
_BUG = 1011
_STOPS = 1001


class Sockets:
    """The WebSockets of a server.

    Args:
        api: what is served.
        guard: who may ask.
        wrong: counts wrong tokens.
        log: where bugs are logged.
    """

    def __init__(self, api: Api, guard: Guard, wrong: WrongTokens, log: logging.Logger) -> None:
        self._api, self._guard, self._wrong, self._log = api, guard, wrong, log
        self._count = 0

    def routes(self) -> list[WebSocketRoute]:
        """Return them as starlette has them."""
        return [WebSocketRoute(self._api.prefix + each.path, self._endpoint(each)) for each in self._api.sockets]

    def _endpoint(self, route: SocketRoute) -> Callable[[WebSocket], Awaitable[None]]:
        async def serve(socket: WebSocket) -> None:
            scheme = {"ws": "http", "wss": "https"}.get(socket.url.scheme, socket.url.scheme)
            if refusal := self._guard.refusal_of_page(scheme, socket.headers):
                body = self._api.error_body(refusal[1])
                return await socket.send_denial_response(JSONResponse(body, refusal[0]))
            await socket.accept()
            client = _Client(socket)
            if self._count >= MAX_SOCKETS:
                return await client.close(TOO_MANY, f"{MAX_SOCKETS} WebSockets are open; close one")
            self._count += 1
            try:
                await self._serve(client, route)
            finally:
                self._count -= 1

        return serve

    async def _serve(self, client: "_Client", route: SocketRoute) -> None:
        code, reason = 1000, ""
        try:
            if not await self._is_right(client):
                code, reason = WRONG_TOKEN, "the first message must be {'token': '...'} with the right token"
                return
            await client.send(json.dumps({"welcome": self._api.welcome()}))
            await route.handler(client, client.path)
        except SocketClosed:
            pass
        except Refused as refused:
            code, reason = 4000 + refused.status, str(refused)
        except asyncio.CancelledError:
            code, reason = _STOPS, "the server stops"
            raise
        except Exception:
            self._log.exception("WebSocket %s failed", route.path)
            code, reason = _BUG, "this is a bug; the log has its traceback"
        finally:
            with suppress(SocketClosed):
                await client.close(code, reason)

    async def _is_right(self, client: "_Client") -> bool:
        """Whether the first message has the token."""
        try:
            async with asyncio.timeout(_TOKEN_S):
                token = _token(await client.receive())
        except TimeoutError:
            return False
        if token is not None and self._guard.is_right(token):
            return True
        if token is not None:
            await self._wrong.note(client.address)
        return False


class _Client:
    """One WebSocket."""

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
        """Return the next text of the client."""
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
        """Return when the system has taken *data*, or has room for it."""
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
        """Close it."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            async with asyncio.timeout(_TOKEN_S):
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


def _token(text: str) -> str | None:
    """Return the token of a first message; None when it has none."""
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = cast("Json", message).get("token") if isinstance(message, dict) else None
    return found if isinstance(found, str) else None
