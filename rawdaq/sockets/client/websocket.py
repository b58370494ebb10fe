"""The client's end of a WebSocket: bytes in, whole messages out, and back; the only place that knows ``websockets``.

It touches no socket: who has one feeds it (`rawdaq.sockets.client.stream`).
"""

from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from rawdaq.errors import InvalidValue, RemoteProtocolError

_NORMAL_CLOSURE = 1000


class WebSocketBroken(RemoteProtocolError):
    """The other side is no WebSocket server, or broke that protocol; carries the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Return the reason."""
        return f"WebSocket: {self.reason}"


class WebSocketClient:
    """One connection.

    Args:
        url: ``ws://HOST:PORT/PATH`` or ``wss://...``.
        subprotocols: those that are offered, the best one first.
        max_message_bytes: a larger message ends the connection.

    Attributes:
        is_open: whether the server has agreed and neither side has closed.

    Raises:
        InvalidValue: *url* is not such an address.
    """

    def __init__(self, url: str, subprotocols: Sequence[str], max_message_bytes: int) -> None:
        try:
            parsed = parse_uri(url)
        except InvalidURI as error:
            raise InvalidValue(f"{url!r} is not like ws://HOST:PORT/PATH: {error.msg}") from None
        offered = [Subprotocol(name) for name in subprotocols]
        self._protocol = ClientProtocol(parsed, subprotocols=offered, max_size=max_message_bytes)
        self._protocol.send_request(self._protocol.connect())
        self._parts: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now: the request at first, then messages, and answers to pings."""
        return b"".join(self._protocol.data_to_send())

    def send(self, message: bytes) -> None:
        """Queue one message."""
        self._protocol.send_binary(message)

    def close(self) -> None:
        """Queue the farewell; nothing can be sent any more."""
        if self.is_open:
            self._protocol.send_close(_NORMAL_CLOSURE)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the messages that *data* completes; `check` after they are worked on."""
        self._protocol.receive_data(data)
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    messages.append(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
                    self._parts.clear()
        return messages

    def receive_eof(self) -> None:
        """Take note that the server closed the connection; `check` after it."""
        self._protocol.receive_eof()

    def check(self) -> None:
        """Do nothing as long as all is well.

        Raises:
            WebSocketBroken: the server refused us, or broke the protocol.
        """
        error = self._protocol.handshake_exc or self._protocol.parser_exc
        if isinstance(error, InvalidStatus):
            body = (error.response.body or b"").decode("utf-8", "replace").strip()[:100]
            status = f"{error.response.status_code} {error.response.reason_phrase}"
            raise WebSocketBroken(f"the server refused with {status}{f' ({body})' if body else ''}: is the path right?")
        if isinstance(error, WebSocketException | ValueError | EOFError):
            raise WebSocketBroken(str(error.__cause__ or error))
