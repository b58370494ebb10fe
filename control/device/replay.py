"""Plays a capture: the bytes that a device sent to a receiver, with its pauses and its ends."""

import contextlib
import itertools
import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rawdaq.capture.file import End, Entry, Kind, read_capture
from rawdaq.errors import InvalidValue
from rawdaq.streamer.server import open_listener
from rawdaq.times import NS_PER_S

_POLL_S = 0.05
_ANSWER_S = 5.0  # how long the receiver may take to send what the captured one sent
_GIVE_UP_S = 5.0  # how long it may take to close where the captured one did
_READ_BYTES = 65_536
_REFUSALS = 3  # as many versions as a receiver may offer
_MAX_SENDERS = 200  # further ones share the first one's socket

_LOG = logging.getLogger("rawdaq.replay")


class Pace:
    """When entries are due, counted from one start, so that delays do not add up.

    Args:
        speed: captured seconds a second; None: at once.
        stop: ends every wait when set, also from a signal handler.
    """

    def __init__(self, speed: float | None, stop: threading.Event) -> None:
        self._speed = speed
        self.stop = stop
        self._began_ns = 0
        self._began_s = 0.0

    def begin(self, time_ns: int) -> None:
        """Make *time_ns* of the capture due now."""
        self._began_ns, self._began_s = time_ns, time.monotonic()

    def due_s(self, time_ns: int) -> float:
        """Return when *time_ns* of the capture is due, in seconds of the monotonic clock."""
        if self._speed is None:
            return time.monotonic()
        return self._began_s + (time_ns - self._began_ns) / NS_PER_S / self._speed


class ReceiverConnection:
    """One connection of a receiver, to which a captured one is played."""

    def __init__(self, connection: socket.socket, peer: str, stop: threading.Event) -> None:
        self.peer = peer
        self.is_open = True
        self.received = bytearray()
        self._connection = connection
        self._stop = stop
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self, end_s: float, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Read until *end_s*, until *is_done*, or until the receiver closes; return whether it is done."""
        while self.is_open and not is_done() and not self._stop.is_set():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                break
            self._exchange(left_s)
        return is_done()

    def _exchange(self, timeout_s: float, data: memoryview | None = None) -> int:
        """Read from the receiver or send some of *data*, as soon as either is possible; return how much was sent."""
        writing = [self._connection] if data else []
        readable, writable, _ = select.select([self._connection], writing, [], min(_POLL_S, timeout_s))
        try:
            if readable:
                chunk = self._connection.recv(_READ_BYTES)
                self.received += chunk
                self.is_open = bool(chunk)
            return self._connection.send(data) if writable and data and self.is_open else 0
        except OSError:
            self.is_open = False
            return 0

    def send(self, data: bytes) -> int:
        """Send *data*, however long the receiver takes; return how much it took before it closed."""
        rest = memoryview(data)
        while rest and self.is_open and not self._stop.is_set():
            rest = rest[self._exchange(_POLL_S, rest) :]
        return len(data) - len(rest)

    def close(self, how: End = End.CLOSED) -> None:
        """Close as the device did."""
        if how is End.RESET:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.is_open:
            self._exchange(0)  # closing with unread data would be a reset
        self._connection.close()
        self.is_open = False


class StreamReplay:
    """Plays captured connections to the receivers that connect to *listener*, one after the other.

    Args:
        listener: a listening socket that does not block.
        pace: when entries are due; each connection is timed from its start.
    """

    def __init__(self, listener: socket.socket, pace: Pace) -> None:
        self.connections = 0
        self.size_bytes = 0
        self._listener = listener
        self._pace = pace
        self._number = 0
        self._connection: ReceiverConnection | None = None
        self._refusals = 0
        self._expected = b""
        self._skip_entries = 0
        self._unplayed_bytes = 0

    def play(self, entries: Iterator[Entry]) -> None:
        """Play *entries* until they end or we are stopped."""
        try:
            for entry in entries:
                if self._pace.stop.is_set():
                    break
                if self._skip_entries:
                    self._skip_entries -= 1
                else:
                    self._play(entry)
        finally:
            self._end()

    def _play(self, entry: Entry) -> None:
        match entry.kind:
            case Kind.OPENED:
                self._begin(entry, refusals=0)
            case Kind.RESUMED if entry.connection == self._number:
                self._skip_entries = int(entry.data)  # they are for a replay that begins with this file
            case Kind.RESUMED:
                self._begin(entry, _REFUSALS)
            case Kind.LOST:
                _log_lost(entry)
                self._end()
            case Kind.DATAGRAM:
                raise InvalidValue("the capture has connections and datagrams; one receiver cannot have taken it")
            case _ if self._connection is None or entry.connection != self._number:
                return  # the start of this connection is in a file that is no longer there
            case Kind.SENT:
                self._await_answer(self._connection, entry)
            case Kind.RECEIVED:
                self._send(self._connection, entry)
            case _:
                self._finish(self._connection, entry)

    def _begin(self, entry: Entry, refusals: int) -> None:
        """Wait for the receiver's next connection."""
        self._end()
        self._connection = self._accepted()
        self._number, self._refusals, self._expected = entry.connection, refusals, b""
        self._pace.begin(entry.time_ns)
        if self._connection is not None:
            self.connections += 1
            _LOG.info("%s connected: connection %d of the capture", self._connection.peer, entry.connection)

    def _accepted(self) -> ReceiverConnection | None:
        while not self._pace.stop.is_set():
            select.select([self._listener], [], [], _POLL_S)
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                connection, address = self._listener.accept()
                return ReceiverConnection(connection, "{}:{}".format(*address[:2]), self._pace.stop)
        return None

    def _await_answer(self, connection: ReceiverConnection, entry: Entry) -> None:
        """Wait until the receiver has sent as much as the captured one."""
        self._expected += entry.data
        connection.wait(time.monotonic() + _ANSWER_S, lambda: len(connection.received) >= len(self._expected))
        received = bytes(connection.received[: len(self._expected)])
        if not connection.is_open or received == self._expected or self._pace.stop.is_set():
            self._refusals = 0
        elif self._refusals:
            # The file does not say how the two agreed on a version; as a device does, refuse the other versions.
            self._refusals -= 1
            connection.close()
            self._connection, self._expected = self._accepted(), b""
            if self._connection is not None:
                self._await_answer(self._connection, entry)
        else:
            _LOG.warning("the receiver sent %.75r, the captured one sent %.75r; playing on", received, self._expected)

    def _send(self, connection: ReceiverConnection, entry: Entry) -> None:
        connection.wait(self._pace.due_s(entry.time_ns))
        sent_bytes = connection.send(entry.data)
        self.size_bytes += sent_bytes
        self._unplayed_bytes += len(entry.data) - sent_bytes

    def _finish(self, connection: ReceiverConnection, entry: Entry) -> None:
        """End the connection as the captured one ended; where the receiver ended it, wait until it does so again."""
        how = End(entry.data.decode())
        connection.wait(self._pace.due_s(entry.time_ns) + (_GIVE_UP_S if how is End.OURS else 0.0))
        if how is End.OURS and connection.is_open:
            _LOG.info("the receiver keeps the connection that the captured one gave up; closing it")
        connection.close(how)
        self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._unplayed_bytes and not self._pace.stop.is_set():
            _LOG.warning("the receiver closed earlier than the captured one: %d bytes not played", self._unplayed_bytes)
        self._connection, self._number, self._unplayed_bytes = None, 0, 0


class DatagramReplay:
    """Sends captured datagrams to *target*; those of different senders come from different ports.

    Args:
        target: host and port of the receiver.
        pace: when datagrams are due.
    """

    def __init__(self, target: tuple[str, int], pace: Pace) -> None:
        self.datagrams = 0
        self.size_bytes = 0
        self._target = target
        self._pace = pace
        self._sockets: dict[str, socket.socket] = {}

    def play(self, entries: Iterator[Entry]) -> None:
        """Send the datagrams among *entries* until they end or we are stopped.

        Raises:
            InvalidValue: the target cannot be resolved, or the capture has connections.
        """
        try:
            found = socket.getaddrinfo(*self._target, type=socket.SOCK_DGRAM)
        except socket.gaierror as error:
            raise InvalidValue(f"{self._target[0]} cannot be resolved: {error.strerror}") from error
        family, _, _, _, address = found[0]
        try:
            for entry in entries:
                if self._pace.stop.is_set():
                    return
                self._play(entry, family, address)
        finally:
            for each in self._sockets.values():
                each.close()

    def _play(self, entry: Entry, family: int, address: tuple[Any, ...]) -> None:
        if entry.kind is Kind.LOST:
            return _log_lost(entry)
        if entry.kind is not Kind.DATAGRAM:
            raise InvalidValue("the capture has connections: play it without --udp")
        if not self.datagrams:
            self._pace.begin(entry.time_ns)
        left_s = self._pace.due_s(entry.time_ns) - time.monotonic()
        if left_s > 0 and self._pace.stop.wait(left_s):
            return
        with contextlib.suppress(ConnectionError):  # the receiver does not listen now: a device would go on too
            self._socket(entry.peer, family).sendto(entry.data, address)
        self.datagrams += 1
        self.size_bytes += len(entry.data)

    def _socket(self, peer: str, family: int) -> socket.socket:
        if peer not in self._sockets:
            if len(self._sockets) >= _MAX_SENDERS:
                return next(iter(self._sockets.values()))
            self._sockets[peer] = socket.socket(family, socket.SOCK_DGRAM)
        return self._sockets[peer]


def _log_lost(entry: Entry) -> None:
    _LOG.warning("%s are missing here: they could not be written", entry.data.decode("ascii", "replace"))


def replay(
    capture: Path,
    listen_at: tuple[str, int],
    target: tuple[str, int] | None,
    speed: float | None,
    stop: threading.Event,
    announce: Callable[[str], None],
) -> str:
    """Play *capture* until it ends or *stop* is set; return a summary.

    Args:
        capture: its newest file, or one file of it.
        listen_at: where the receiver of captured connections will connect.
        target: where to send captured datagrams.
        speed: captured seconds a second; None: as fast as they are taken.
        stop: ends the play when set, also from a signal handler.
        announce: called with where it is played, once it is.

    Raises:
        InvalidValue: it is not a capture, or it cannot be played so.
        ComponentError: the address cannot be listened on.
    """
    with contextlib.closing(read_capture(capture, _LOG)) as captured:
        first = next(captured, None)
        if first is None:
            raise InvalidValue(f"{capture} is empty: nothing was captured")
        if first.kind is Kind.DATAGRAM and target is None:
            raise InvalidValue(f"{capture} is a capture of datagrams: give their target with --udp HOST:PORT")
        entries, pace = itertools.chain([first], captured), Pace(speed, stop)
        if target is not None:
            announce(f"replaying {capture}, to {target[0]}:{target[1]}")
            datagrams = DatagramReplay(target, pace)
            datagrams.play(entries)
            return f"replayed {datagrams.datagrams} datagrams, {datagrams.size_bytes} bytes"
        with open_listener(*listen_at) as listener:
            host, port = listener.getsockname()[:2]
            announce(f"replaying {capture}, on {host}:{port}")
            streams = StreamReplay(listener, pace)
            streams.play(entries)
        return f"replayed {streams.connections} connections, {streams.size_bytes} bytes"
