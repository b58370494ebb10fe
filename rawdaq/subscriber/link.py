"""A connection to a server, for a program that waits, and what reads packets from one."""

import logging
import select
import socket
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from rawdaq.errors import ProtocolError, RawdaqError
from rawdaq.packet import Packet
from rawdaq.subscriber.records import RecordReader

CONNECT_S = 10.0
REPLY_S = 30.0
_READ_BYTES = 1 << 18


class ServerUnreachable(RawdaqError):
    """There is no connection to a server; the text says why."""


class ServerSocket:
    """A TCP connection to a server.

    Args:
        what: what it is, such as ``SeedLink server``.
        host: where it is.
        port: its port.
        address: both, as they are shown.

    Raises:
        ServerUnreachable: there is no connection to it.
    """

    def __init__(self, what: str, host: str, port: int, address: object) -> None:
        self._address = address
        try:
            self._socket = socket.create_connection((host, port), CONNECT_S)
        except (OSError, UnicodeError) as error:  # the latter: a name that no host can have
            reason = error.strerror if isinstance(error, OSError) else "that is no host name"
            raise ServerUnreachable(f"no {what} at {address}: {reason or error}") from error

    def exchange(self, data: bytes, timeout_s: float) -> bytes | None:
        """Send *data*, and return what comes within *timeout_s*, or None; nothing when the server has closed.

        Raises:
            ServerUnreachable: the connection is lost.
        """
        try:
            if data:
                self._socket.sendall(data)
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return None
            return self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise ServerUnreachable(f"the connection to {self._address} is lost: {error.strerror}") from error

    def wake(self) -> None:
        """Let an `exchange` that waits come back."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # the server was first
            return

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


Event = TypeVar("Event")
Given = TypeVar("Given", covariant=True)


class Client(Protocol[Given]):
    """The codec of a client."""

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now."""
        ...

    def receive_data(self, data: bytes) -> Iterator[Given]:
        """Yield what *data* complete."""
        ...

    def receive_eof(self) -> None:
        """Take note that the server closed the connection."""


class ServerLink(Generic[Event]):
    """A connection and its codec.

    Args:
        client: the codec.
        server: the connection.
        address: of the server, as it is shown.
    """

    def __init__(self, client: Client[Event], server: ServerSocket, address: object) -> None:
        self._codec, self._socket, self._address = client, server, address

    def read(self, timeout_s: float) -> Iterator[Event]:
        """Yield what comes within *timeout_s*, at the first sign of anything.

        Raises:
            ProtocolError: the server broke the protocol, or does not give what was asked for.
            ServerUnreachable: the connection has ended.
        """
        chunk = self._socket.exchange(self._codec.data_to_send(), timeout_s)
        if chunk is None:
            return
        if not chunk:
            self._codec.receive_eof()
            raise ServerUnreachable(f"{self._address} has closed the connection")
        yield from self._codec.receive_data(chunk)

    def wake(self) -> None:
        """Let a `read` that waits come back."""
        self._socket.wake()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class LinkReader(RecordReader, Generic[Event]):
    """Reads what a server sends from now on; ends when the server does.

    Its arguments are those of `RecordReader`.
    """

    def __init__(self, streams: str | Iterable[str], timeout_s: float | None, logger: logging.Logger | None) -> None:
        super().__init__(streams, timeout_s, logger)
        self._link: ServerLink[Event] | None = None
        self._queue: deque[Packet] = deque()

    @abstractmethod
    def _connect(self) -> ServerLink[Event]:
        """Return a new connection.

        Raises:
            ServerUnreachable: there is none.
        """

    @abstractmethod
    def _take(self, event: Event) -> None:
        """Take what came: a packet goes to `_queue`."""

    def open(self) -> None:
        """Connect; a second time does nothing.

        Raises:
            ServerUnreachable: there is no connection.
        """
        if self._link is None and not self._is_closed:
            self._link = self._connect()

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """Return the next packet, or None when none came within *timeout_s*, at the end, or after `close`."""
        self._begin()
        try:
            self.open()
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            left_s = REPLY_S
            while not self._queue and left_s > 0 and not (self.has_ended or self._is_closed):
                left_s = REPLY_S if end_s is None else end_s - time.monotonic()
                self._read(max(left_s, 0.0))
            return self._queue.popleft() if self._queue else None
        finally:
            self._end()

    def _read(self, timeout_s: float) -> None:
        if self._link is None:
            return
        try:
            for event in self._link.read(timeout_s):
                self._take(event)
        except (ProtocolError, ServerUnreachable) as error:
            self.has_ended = True
            if not self._is_closed:
                self._log.warning("%s", error)

    def _wake(self) -> None:
        if self._link is not None:
            self._link.wake()

    def _release(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
