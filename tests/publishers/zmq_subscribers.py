"""What the tests of ZMQTCPPublisher share."""

import asyncio
import socket

import zmq

from rawdaq.protocols.zmtp import Received, SocketType, ZmtpPeer
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.stream_id import StreamId
from tests.helpers import until

OTHER = StreamId("XX", "DEMO", "00", "HHN")


class ZmqSub:
    """A plain ZMQ SUB socket."""

    def __init__(self, *topics: bytes) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        for topic in topics:
            self.socket.subscribe(topic)

    def __enter__(self) -> "zmq.Socket[bytes]":
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._context.term()


async def received(subscriber: "zmq.Socket[bytes]", count: int) -> list[list[bytes]]:
    """Return the next *count* messages."""
    messages: list[list[bytes]] = []
    while len(messages) < count:
        assert await asyncio.to_thread(subscriber.poll, 30_000)
        messages.append(subscriber.recv_multipart())
    return messages


class SlowSubscriber:
    """A subscriber that reads only when told to."""

    def __init__(self, publisher: ZMQTCPPublisher, topic: bytes = b"") -> None:
        self.peer = ZmtpPeer(SocketType.SUB, max_message_bytes=1 << 20)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", publisher.port))
        self.socket.sendall(self.peer.data_to_send())
        self.messages: list[Received] = []
        self._topic = topic

    async def subscribe(self) -> None:
        self.socket.setblocking(False)
        await until(self.read)
        self.peer.send_subscribe(self._topic)
        self.socket.sendall(self.peer.data_to_send())

    def read(self) -> bool:
        """Take what is there; return whether the handshake is over."""
        try:
            while data := self.socket.recv(1 << 20):
                self.messages += [event for event in self.peer.receive_data(data) if isinstance(event, Received)]
        except BlockingIOError:
            pass
        return self.peer.is_ready

    def __enter__(self) -> "SlowSubscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
