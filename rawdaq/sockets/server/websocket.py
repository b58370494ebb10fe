"""The server's end of HTTP and WebSocket."""

import http
import logging
from collections.abc import Callable, Sequence
from typing import Final

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, NegotiationError
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from rawdaq.sockets.websocket import WebSocketEnd

# Who serves the connection logs what there is to say; one of the tree would be seen.
_SILENT = logging.Logger("websocket", logging.CRITICAL + 1)  # noqa: LOG001
_BINARY: Final = 0x82
_SHORT, _LONG = 126, 1 << 16


def message_frame(message: bytes) -> bytes:
    r"""Return a binary message as a server sends it, the same to every client.

    >>> message_frame(b"OK")
    b'\x82\x02OK'
    """
    size = len(message)
    if size < _SHORT:
        return bytes((_BINARY, size)) + message
    if size < _LONG:
        return bytes((_BINARY, 126)) + size.to_bytes(2, "big") + message
    return bytes((_BINARY, 127)) + size.to_bytes(8, "big") + message


class HttpServer(WebSocketEnd):
    """One connection: a request, and when that is granted a WebSocket.

    Args:
        choose: gives, of the subprotocols that a client offers, the one that is spoken; None: none is named.
        max_message_bytes: a larger message ends the connection.
    """

    def __init__(self, choose: Callable[[Sequence[str]], str | None], max_message_bytes: int) -> None:
        def select(server: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            chosen = choose(offered)
            return None if chosen is None else Subprotocol(chosen)

        self._server = ServerProtocol(select_subprotocol=select, max_size=max_message_bytes, logger=_SILENT)
        super().__init__(self._server)

    @property
    def path(self) -> str | None:
        """The path that was asked for, with its query; None before there is a request.

        Nothing behind a request is read before it is answered.
        """
        return None if self._request is None else self._request.path

    def accept(self) -> bool:
        """Answer the request: as a WebSocket if it is a good one, else with the reason; return whether it is."""
        if self._request is None:
            return False
        self._server.send_response(self._server.accept(self._request))
        return self.is_open

    def respond(self, status: int, body: str, content_type: str = "text/plain; charset=utf-8") -> None:
        """Answer the request with a page; the connection ends with it."""
        data = body.encode()
        headers = Headers([("Content-Type", content_type), ("Content-Length", str(len(data))), ("Connection", "close")])
        self._server.send_response(Response(status, http.HTTPStatus(status).phrase, headers, data))

    @property
    def is_over(self) -> bool:
        """Whether the connection is to be closed once all is sent."""
        return self._protocol.close_expected() and not self.is_open

    def check(self) -> None:
        """Do nothing as long as all is well, or what is wrong is answered.

        Raises:
            WebSocketBroken: the client broke the protocol.
        """
        if not isinstance(self._error, InvalidHandshake | NegotiationError):
            super().check()
