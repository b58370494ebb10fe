"""Answers scrapes: each asks all components, so several that come together share one answer."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from rawdaq.control.health.problem import Row
from rawdaq.control.metrics.exposition import MAX_STREAMS, Exposition, exposition
from rawdaq.control.status.asking import Asked
from rawdaq.errors import RawdaqError
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.remedies import cannot_listen

PATH = "/metrics"

_FRESH_S = 1.0  # an answer serves scrapes that come so soon after it
_REQUEST_S = 10.0  # a client that is slower is cut
_AT_ONCE = 32  # connections


class Scrapes:
    """Answers scrapes.

    Args:
        ask: asks all components; this may take seconds.
        max_streams: of how many streams there are metrics.
    """

    def __init__(self, ask: Callable[[], Asked], max_streams: int = MAX_STREAMS) -> None:
        self._ask = ask
        self._max_streams = max_streams
        self._asking = threading.Lock()
        self._asked = Asked([], [])
        self._at_s, self._ask_s = -_FRESH_S, 0.0

    def answer(self, accept: str = "") -> Exposition:
        """Return the metrics as they are now; blocks while components are asked.

        Args:
            accept: the header ``Accept`` of the request.

        Raises:
            RawdaqError: components cannot be asked at all, or prometheus-client is missing.
        """
        with self._asking:
            began_s = time.monotonic()
            if began_s - self._at_s >= _FRESH_S:
                self._asked = self._ask()
                self._at_s = time.monotonic()
                self._ask_s = self._at_s - began_s
            asked, ask_s = self._asked, self._ask_s
        more: Row = {"ask_s": ask_s, "mistakes": len(asked.mistakes)}
        return exposition(asked.rows, time.time_ns(), accept=accept, more=more, max_streams=self._max_streams)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request as WSGI has it."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refuse(start_response, "405 Method Not Allowed", "metrics are read with GET")
        if environ["PATH_INFO"] != PATH:
            return _refuse(start_response, "404 Not Found", f"metrics are at {PATH}")
        try:
            content_type, body = self.answer(str(environ.get("HTTP_ACCEPT", "")))
        except RawdaqError as error:
            return _refuse(start_response, "503 Service Unavailable", str(error))
        start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body] if environ["REQUEST_METHOD"] == "GET" else []


def _refuse(start_response: StartResponse, status: str, reason: str) -> Iterable[bytes]:
    body = f"{reason}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there is a scrape every few seconds."""


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Listens once it is built; `serve_forever` answers, `close` ends that.

    Args:
        scrapes: answers.
        host: the address to listen on.
        port: its port; 0 lets the system choose one.

    Raises:
        ComponentError: the address cannot be used; the text says why and what to do.
    """

    daemon_threads = True

    def __init__(self, scrapes: Scrapes, host: str, port: int) -> None:
        self._free = threading.Semaphore(_AT_ONCE)
        try:
            (self.address_family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            super().__init__((str(address[0]), port), _Handler)
        except OSError as error:
            raise cannot_listen(f"TCP {host}:{port}", error) from error
        self.set_app(scrapes)

    def server_bind(self) -> None:
        """Bind without a look-up of the host's name, which can take seconds."""
        self.socket.bind(self.server_address)
        host, self.server_port, *_ = self.server_address = self.socket.getsockname()
        self.server_name = str(host)
        self.setup_environ()

    @property
    def url(self) -> str:
        """Where metrics are, with the port that the system chose."""
        return f"http://{host_port(self.server_name, self.server_port)}{PATH}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; close a connection that is one too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Called in the thread of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""
