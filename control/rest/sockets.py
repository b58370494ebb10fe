"""WebSockets of a table of routes: the token is the first message, and a client that takes nothing is cut."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from rawdaq.control.rest.client import Client, SocketClosed
from rawdaq.control.rest.guard import Guard
from rawdaq.control.rest.routes import Api, Json, Refused, SocketRoute
from rawdaq.control.rest.wrong_tokens import WrongTokens

WRONG_TOKEN = 4401
TOO_SLOW = 4408
TOO_MANY = 4429
MAX_SOCKETS = 64

_TOKEN_S = 2.0
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
            client = Client(socket)
            if self._count >= MAX_SOCKETS:
                return await client.close(TOO_MANY, f"{MAX_SOCKETS} WebSockets are open; close one")
            self._count += 1
            try:
                await self._serve(client, route)
            finally:
                self._count -= 1

        return serve

    async def _serve(self, client: "Client", route: SocketRoute) -> None:
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

    async def _is_right(self, client: "Client") -> bool:
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


def _token(text: str) -> str | None:
    """Return the token of a first message; None when it has none."""
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = cast("Json", message).get("token") if isinstance(message, dict) else None
    return found if isinstance(found, str) else None
