"""The server's end of HTTP and WebSocket: bytes in, requests and whole messages out, and back; it touches no socket."""

import http
import logging
from collections.abc import Callable, Sequence
from typing import Final

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, NegotiationError, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from rawdaq.errors import RemoteProtocolError

_NORMAL_CLOSURE: Final = 1000
# Who serves the connection logs what there is to say; one of the tree would be seen.
_SILENT = logging.Logger("websocket", logging.CRITICAL + 1)  # noqa: LOG001
_BINARY: Final = 0x82
_SHORT, _LONG = 126, 1 << 16


class RequestBroken(RemoteProtocolError):
    """The other side is no HTTP or WebSocket client, or broke that protocol; carries the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Return the reason."""
        return f"WebSocket: {self.reason}"


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


class HttpServer:
    """One connection: a request, and when that is granted a WebSocket.

    Args:
        choose: gives, of the subprotocols that a client offers, the one that is spoken; None: none is named.
        max_message_bytes: a larger message ends the connection.

    """

    def __init__(self, choose: Callable[[Sequence[str]], str | None], max_message_bytes: int) -> None:
        def select(server: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            chosen = choose(offered)
            return None if chosen is None else Subprotocol(chosen)

        self._protocol = ServerProtocol(select_subprotocol=select, max_size=max_message_bytes, logger=_SILENT)
        self._request: Request | None = None
        self._parts: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN

    @property
    def path(self) -> str | None:
        """The path that was asked for, with its query; None before there is a request."""
        return None if self._request is None else self._request.path

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now."""
        return b"".join(self._protocol.data_to_send())

    def accept(self) -> bool:
        """Answer the request: as a WebSocket if it is a good one, else with the reason; return whether it is."""
        if self._request is None:
            return False
        self._protocol.send_response(self._protocol.accept(self._request))
        return self.is_open

    def respond(self, status: int, body: str, content_type: str = "text/plain; charset=utf-8") -> None:
        """Answer the request with a page; the connection ends with it."""
        data = body.encode()
        headers = Headers([("Content-Type", content_type), ("Content-Length", str(len(data))), ("Connection", "close")])
        self._protocol.send_response(Response(status, http.HTTPStatus(status).phrase, headers, data))

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the messages that *data* completes; `check` after they are worked on.

        A request shows in `path`; nothing behind it is read before it is answered.
        """
        self._protocol.receive_data(data)
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._request = event
            elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    messages.append(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
                    self._parts.clear()
        return messages

    def close(self) -> None:
        """Queue the farewell; nothing can be sent any more."""
        if self.is_open:
            self._protocol.send_close(_NORMAL_CLOSURE)

    @property
    def is_over(self) -> bool:
        """Whether the connection is to be closed once all is sent."""
        return self._protocol.close_expected() and not self.is_open

    def check(self) -> None:
        """Do nothing as long as all is well.

        Raises:
            RequestBroken: the client broke the protocol.
        """
        error = self._protocol.handshake_exc or self._protocol.parser_exc
        if isinstance(error, InvalidHandshake | NegotiationError):
            return  # which is answered
        if isinstance(error, WebSocketException | ValueError | EOFError):
            raise RequestBroken(str(error.__cause__ or error))
