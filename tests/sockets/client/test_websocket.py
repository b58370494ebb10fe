"""The client's end of a WebSocket, against the server's end of the library and against what no server should send."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from rawdaq.errors import InvalidValue
from rawdaq.sockets.client.websocket import WebSocketClient
from rawdaq.sockets.websocket import WebSocketBroken

URL = "ws://localhost:16000/datalink"


class Pair:
    """Both ends, wired in memory."""

    def __init__(self, max_message_bytes: int = 1000) -> None:
        self.client = WebSocketClient(URL, ["DataLink1.1"], max_message_bytes)
        self.server = ServerProtocol(subprotocols=["DataLink1.1"])  # type: ignore[list-item]
        self.requests: list[Request] = []

    def exchange(self) -> list[bytes]:
        """Carry bytes to and fro; return the messages that came to the client."""
        messages: list[bytes] = []
        while True:
            asked = self.client.data_to_send()
            if asked:
                self.server.receive_data(asked)
                for event in self.server.events_received():
                    if isinstance(event, Request):
                        self.requests.append(event)
                        self.server.send_response(self.server.accept(event))
            answered = b"".join(self.server.data_to_send())
            messages += self.client.receive_data(answered) if answered else []
            self.client.check()
            if not asked and not answered:
                return messages


def test_messages_go_both_ways() -> None:
    pair = Pair()
    assert not pair.client.is_open
    assert pair.exchange() == []
    assert pair.client.is_open
    assert pair.requests[0].path == "/datalink"
    assert pair.requests[0].headers["Sec-WebSocket-Protocol"] == "DataLink1.1"
    pair.client.send(b"hello")
    pair.server.send_binary(b"one")
    pair.server.send_text(b"two")
    assert pair.exchange() == [b"one", b"two"]


def test_fragments_are_one_message_also_with_a_ping_between() -> None:
    pair = Pair()
    pair.exchange()
    pair.server.send_binary(b"frag", fin=False)
    pair.server.send_ping(b"alive?")
    pair.server.send_continuation(b"ments", fin=True)
    assert pair.exchange() == [b"fragments"]
    pongs = [event for event in pair.server.events_received() if isinstance(event, Frame)]
    assert [(event.opcode, bytes(event.data)) for event in pongs] == []  # taken by `exchange` already


def test_a_farewell_ends_it() -> None:
    pair = Pair()
    pair.exchange()
    pair.client.close()
    pair.client.close()
    assert not pair.client.is_open
    pair.server.receive_data(pair.client.data_to_send())
    (event,) = pair.server.events_received()
    assert isinstance(event, Frame)
    assert event.opcode is Opcode.CLOSE
    pair.client.receive_data(b"".join(pair.server.data_to_send()))
    pair.client._protocol.receive_eof()
    pair.client.check()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno such x",
            r"refused with 404 Not Found \(no such x\): is",
        ),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "refused with 400 Bad Request: is the path right"),
        (b"DL\x05ID x", ""),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "Connection"),
    ],
)
def test_a_server_that_does_not_agree_is_an_error(answer: bytes, reason: str) -> None:
    client = WebSocketClient(URL, [], 1000)
    with pytest.raises(WebSocketBroken, match=f"WebSocket: .*{reason}"):  # noqa: PT012 - cut, or whole
        client.receive_data(answer)
        client._protocol.receive_eof()
        client.check()


def test_too_large_a_message_and_a_broken_frame_are_errors() -> None:
    pair = Pair(max_message_bytes=10)
    pair.exchange()
    pair.server.send_binary(b"x" * 11)
    with pytest.raises(WebSocketBroken):
        pair.exchange()
    pair = Pair()
    pair.exchange()
    assert pair.client.receive_data(b"\xff\xff\xff\xff\xff\xff\xff\xff") == []
    with pytest.raises(WebSocketBroken):
        pair.client.check()


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidValue, match="is not like ws://HOST:PORT/PATH"):
        WebSocketClient("tcp://localhost", [], 1)
