"""A server that takes log records, for tests of those who send them."""

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


class Taker:
    """A server that keeps the lines that come; `listen` and `leave` let it come and go at one port."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.port = 0
        self._server: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def listen(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self.port = self._server.getsockname()[1]
        self._start(self._accept, self._server)

    def _start(self, target: Any, *args: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._read, connection)

    def _read(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    self.lines.append(json.loads(line))

    def leave(self) -> None:
        if self._server is not None:
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(10)
        self._connections.clear()
        self._threads.clear()

    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]


@contextmanager
def taking() -> Generator[Taker]:
    taker = Taker()
    taker.listen()
    try:
        yield taker
    finally:
        taker.leave()
