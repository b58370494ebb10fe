"""One subscriber of a live stream, with a transport that fills and empties as the test wants."""

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from rawdaq.protocols.zmtp import SocketType, ZmtpPeer
from rawdaq.publishers.zmq_pub.connection import PubConnection, PubCounts
from rawdaq.sockets.refusals import Refusals

LOG = logging.getLogger("rawdaq.test")
HIGH_BYTES = 1000


class Transport:
    """What asyncio's transports do with their buffer: pause above the high limit, resume at the low one."""

    def __init__(self, protocol: PubConnection, sock: socket.socket) -> None:
        self._protocol, self._sock = protocol, sock
        self._high = self._low = self._waiting = 0
        self._is_paused = False

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("192.0.2.7", 40_000), "socket": self._sock}[name]

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._high, self._low = high, low

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self._waiting += len(data)
        if self._waiting > self._high and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def empty_to(self, size_bytes: int) -> None:
        """Let the subscriber read until so much is left."""
        self._waiting = size_bytes
        if self._is_paused and size_bytes <= self._low:
            self._is_paused = False
            self._protocol.resume_writing()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        yield opened


async def test_a_full_subscriber_gets_messages_again_at_half_its_high_water_mark_and_no_sooner(
    sock: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    counts = PubCounts()
    connection = PubConnection(HIGH_BYTES, LOG, set(), counts, lambda: True, Refusals(LOG))
    transport: Any = Transport(connection, sock)
    connection.connection_made(transport)
    connection.data_received(ZmtpPeer(SocketType.SUB).data_to_send())
    transport.empty_to(0)

    def send() -> bool:
        """Send a message of half the mark; return whether it was taken."""
        before = counts.sent
        connection.send([bytes(HIGH_BYTES // 2)], HIGH_BYTES // 2, b"")
        connection.flush()
        return counts.sent > before

    assert [send() for _ in range(4)] == [True, True, True, False]  # more than the mark waits after the third
    transport.empty_to(HIGH_BYTES)
    assert not send()
    transport.empty_to(HIGH_BYTES // 2 + 1)
    assert not send()
    transport.empty_to(HIGH_BYTES // 2)
    assert send()
    connection.connection_lost(None)
    assert counts.dropped.total() == 3
    began, ended = (line for line in caplog.messages if "keep" in line)
    assert began == "subscriber 192.0.2.7:40000 does not keep up: 0.0 MB wait for it; dropping its messages"
    assert ended.startswith("subscriber 192.0.2.7:40000 keeps up again: dropped 3 messages in ")
    assert ended.endswith(" s (bytes: 3)")
