"""What both ends of a WebSocket have in common: bytes in, whole messages out, and back; it touches no socket."""

from typing import Final

from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, State

from rawdaq.errors import RemoteProtocolError

_NORMAL_CLOSURE: Final = 1000


class WebSocketBroken(RemoteProtocolError):
    """The other side speaks no WebSocket, or broke that protocol; carries the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Return the reason."""
        return f"WebSocket: {self.reason}"


class WebSocketEnd:
    """One end of a connection.

    Args:
        protocol: that of the library.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._request: Request | None = None  # which only a server gets
        self._parts: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now: the request or its answer at first, then messages, and answers to pings."""
        return b"".join(self._protocol.data_to_send())

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the messages that *data* completes; `check` after they are worked on."""
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
    def _error(self) -> Exception | None:
        return self._protocol.handshake_exc or self._protocol.parser_exc

    def check(self) -> None:
        """Do nothing as long as all is well.

        Raises:
            WebSocketBroken: the other side refused us, or broke the protocol.
        """
        error = self._error
        if isinstance(error, WebSocketException | ValueError | EOFError):
            raise WebSocketBroken(str(error.__cause__ or error))
