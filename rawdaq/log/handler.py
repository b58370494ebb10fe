"""`SocketLogHandler`: a handler of Python's logging that sends records to a `LogReceiver`, and never waits for it."""

import logging
import os
import socket
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue

from rawdaq.log.lines import dropped_line, record_line

_CONNECT_TIMEOUT_S = 5.0
_SEND_TIMEOUT_S = 30.0  # a receiver that reads nothing for so long is as good as away
_RETRY_FIRST_S, _RETRY_MAX_S = 0.1, 10.0
_CLOSE_TIMEOUT_S = 1.0  # for what waits when the program ends
_BATCH_RECORDS = 256  # one system call for all of them


class SocketLogHandler(logging.Handler):
    """Sends records to a `LogReceiver` by TCP, from a thread of its own.

    ::

        logging.getLogger().addHandler(SocketLogHandler("127.0.0.1", 10001))

    Logging never waits and never raises, whatever happens to the network: records wait in a queue, and when that is
    full the newest are dropped, counted, and reported by a record of their own once the receiver is back. The
    connection comes back by itself. What the system had already taken when a connection broke may be lost.

    Args:
        host: where the receiver listens.
        port: its port.
        component: who sends them, as readers will see it.
        max_records: how many may wait.

    Attributes:
        dropped: how many were dropped so far.
    """

    def __init__(self, host: str, port: int, component: str = "", *, max_records: int = 10_000) -> None:
        super().__init__()
        self.host, self.port, self.component = host, port, component
        self.max_records = max_records
        self.dropped = 0
        self._pid = 0
        self._sender: _Sender | None = None
        self._is_closed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Let *record* wait for being sent; it is dropped when too many do."""
        try:
            sender = self._running()
            if sender is not None and sender.waiting < self.max_records:
                sender.queue.put(record_line(record, self.component))
                return
        except Exception:
            pass
        self.dropped += 1
        if self._sender is not None:
            self._sender.dropped = self.dropped

    def _running(self) -> "_Sender | None":
        """Return what sends; after a fork the child has its own. None once this is closed.

        `logging` calls it under the handler's lock, which it makes anew in a child.
        """
        if self._is_closed:
            return None
        if self._sender is None or self._pid != os.getpid():
            self._pid = os.getpid()
            if self._sender is not None:
                self._sender.forget()
                self.dropped = 0
            self._sender = _Sender(self.host, self.port, self.component)
            self._sender.start()
        return self._sender

    def close(self) -> None:
        """Send what waits, for a second at most, and close the connection; what is logged later is dropped."""
        self._is_closed = True
        sender, self._sender = self._sender, None
        if sender is not None and self._pid == os.getpid():
            sender.close(_CLOSE_TIMEOUT_S)
        super().close()


class _Sender:
    """The thread that sends, its queue and its connection."""

    def __init__(self, host: str, port: int, component: str) -> None:
        self.queue: SimpleQueue[bytes | None] = SimpleQueue()  # its `put` never waits, also in a signal handler
        self.dropped = 0
        self._address = host, port
        self._component = component
        self._told = 0  # of what was dropped
        self._pending: deque[bytes] = deque()  # taken from the queue, not sent yet
        self._torn = b""  # the whole of the first of them, when a part of it was sent
        self._socket: socket.socket | None = None
        self._closing = threading.Event()
        self._end_s = 0.0
        self._since_s = 0.0  # of an outage
        self._thread = threading.Thread(target=self._run, name=f"log to {host}:{port}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return self.queue.qsize() + len(self._pending)

    def forget(self) -> None:
        """Give back the connection that belongs to the parent of this process."""
        if self._socket is not None:
            self._socket.close()

    def close(self, timeout_s: float) -> None:
        """Let the thread send what waits, and end; return within about *timeout_s*."""
        self._end_s = time.monotonic() + timeout_s
        self._closing.set()
        self.queue.put(None)  # ends its wait
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s + 0.5)

    def _run(self) -> None:
        retry_s = _RETRY_FIRST_S
        try:
            while self._take():
                if self._send():
                    retry_s = _RETRY_FIRST_S
                elif self._closing.wait(retry_s):
                    if time.monotonic() >= self._end_s:
                        return
                    time.sleep(_RETRY_FIRST_S)
                else:
                    retry_s = min(2 * retry_s, _RETRY_MAX_S)
        finally:
            self._disconnect()

    def _take(self) -> bool:
        """Have something to send; return False when there is nothing left and this closes."""
        while not self._pending:
            if self._closing.is_set() and self.queue.empty():
                return False
            if line := self.queue.get():
                self._pending.append(line)
        try:
            while len(self._pending) < _BATCH_RECORDS:
                if line := self.queue.get_nowait():
                    self._pending.append(line)
        except Empty:
            pass
        return True

    def _send(self) -> bool:
        """Send what is pending; return whether the receiver's system has all of it."""
        try:
            connection = self._connected()
            while self._pending:
                batch = memoryview(b"".join(self._pending))
                sent = connection.send(batch)
                self._forget_sent(sent)
            self._tell_drops(connection)
        except OSError:
            self._disconnect()
            return False
        self._since_s = 0.0
        return True

    def _forget_sent(self, sent: int) -> None:
        """Forget the lines that were sent; of one that was sent in part the rest stays."""
        while sent:
            line = self._pending[0]
            if sent < len(line):
                self._torn = self._torn or line
                self._pending[0] = line[sent:]
                return
            sent -= len(self._pending.popleft())
            self._torn = b""

    def _tell_drops(self, connection: socket.socket) -> None:
        dropped = self.dropped
        if dropped > self._told and self.queue.empty():
            away_s = time.monotonic() - self._since_s if self._since_s else 0.0
            connection.sendall(dropped_line(dropped - self._told, away_s, self._component))
            self._told = dropped

    def _connected(self) -> socket.socket:
        """Return a connection that the receiver has not closed.

        Raises:
            OSError: there is none.
        """
        if self._socket is not None and self._is_closed_by_peer(self._socket):
            self._disconnect()
        if self._socket is None:
            self._since_s = self._since_s or time.monotonic()
            timeout_s = _CONNECT_TIMEOUT_S
            if self._closing.is_set():
                timeout_s = max(0.01, min(timeout_s, self._end_s - time.monotonic()))
            self._socket = socket.create_connection(self._address, timeout_s)
            self._socket.settimeout(_SEND_TIMEOUT_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return self._socket

    @staticmethod
    def _is_closed_by_peer(connection: socket.socket) -> bool:
        """Whether the receiver is gone: the system would take a last line and lose it."""
        connection.setblocking(False)
        try:
            return connection.recv(4096) == b""
        except BlockingIOError:
            return False
        finally:
            connection.settimeout(_SEND_TIMEOUT_S)

    def _disconnect(self) -> None:
        """Close the connection; a line that was sent in part is sent again as a whole."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._torn and self._pending:
            self._pending[0] = self._torn
        self._torn = b""
