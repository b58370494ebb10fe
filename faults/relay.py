"""Stands between component and device, and cuts the connection after so many bytes."""

import contextlib
import selectors
import socket
import threading

_READ_BYTES = 65_536


class Relay:
    """Passes on what comes in both directions.

    Args:
        target_port: where the device listens.

    Attributes:
        port: where the component connects to.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._left: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="relay", daemon=True)
        self._thread.start()

    def cut_after(self, size_bytes: int) -> None:
        """Cut the connection when so many more bytes have passed."""
        self._left = size_bytes

    def close(self) -> None:
        """End it."""
        self._ended.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            client, _ = self._listener.accept()
            with client, contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self._target_port), 5) as device:
                    self._pass_on(client, device)

    def _pass_on(self, client: socket.socket, device: socket.socket) -> None:
        other = {client: device, device: client}
        with selectors.DefaultSelector() as selector:
            for each in other:
                selector.register(each, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(0.1):
                    source: socket.socket = key.fileobj  # type: ignore[assignment]  # all are sockets
                    size = _READ_BYTES if self._left is None else min(_READ_BYTES, max(0, self._left))
                    data = source.recv(size) if size else b""
                    if not data:
                        self._left = None
                        return
                    other[source].sendall(data)
                    if self._left is not None and source is device:
                        self._left -= len(data)
