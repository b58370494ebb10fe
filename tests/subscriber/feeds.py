"""A plain ZMQ publisher that a test drives."""

import zmq

from rawdaq.packet import Packet
from rawdaq.protocols.message import encode


class Feed:
    """A plain ZMQ XPUB socket that sends whatever a test likes."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.address = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"

    def await_subscriber(self, count: int = 1) -> set[bytes]:
        """Return the next *count* topics that somebody subscribes to."""
        topics: set[bytes] = set()
        while len(topics) < count:
            assert self._socket.poll(30_000)
            topics.add(self._socket.recv()[1:])
        return topics

    def has_subscriber(self) -> bool:
        """Return whether somebody has subscribed to something since the last call."""
        return bool(self._socket.poll(0)) and self._socket.recv()[:1] == b"\x01"

    def send(self, *packets: Packet) -> None:
        for each in packets:
            self._socket.send_multipart(encode(each))

    def send_frames(self, *frames: bytes) -> None:
        self._socket.send_multipart(frames)

    def close(self) -> None:
        self._socket.close()
        self._context.term()
