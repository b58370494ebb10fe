"""The client's end of a WebSocket; who has a socket feeds it (`rawdaq.sockets.client.stream`)."""

from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from rawdaq.errors import InvalidValue
from rawdaq.sockets.websocket import WebSocketBroken, WebSocketEnd


class WebSocketClient(WebSocketEnd):
    """One connection.

    Args:
        url: ``ws://HOST:PORT/PATH`` or ``wss://...``.
        subprotocols: those that are offered, the best one first.
        max_message_bytes: a larger message ends the connection.

    Raises:
        InvalidValue: *url* is not such an address.
    """

    def __init__(self, url: str, subprotocols: Sequence[str], max_message_bytes: int) -> None:
        try:
            parsed = parse_uri(url)
        except InvalidURI as error:
            raise InvalidValue(f"{url!r} is not like ws://HOST:PORT/PATH: {error.msg}") from None
        offered = [Subprotocol(name) for name in subprotocols]
        protocol = ClientProtocol(parsed, subprotocols=offered, max_size=max_message_bytes)
        protocol.send_request(protocol.connect())
        super().__init__(protocol)

    def send(self, message: bytes) -> None:
        """Queue one message."""
        self._protocol.send_binary(message)

    def check(self) -> None:
        """Do nothing as long as all is well; what a server said that refuses us is in the reason.

        Raises:
            WebSocketBroken: the server refused us, or broke the protocol.
        """
        error = self._error
        if isinstance(error, InvalidStatus):
            body = (error.response.body or b"").decode("utf-8", "replace").strip()[:100]
            status = f"{error.response.status_code} {error.response.reason_phrase}"
            raise WebSocketBroken(f"the server refused with {status}{f' ({body})' if body else ''}: is the path right?")
        super().check()
