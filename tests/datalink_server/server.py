"""The loop: one thread serves all connections, with the time limits of ringserver 4.5."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.datalink_server.commands import Rules, Session
from tests.datalink_server.ring import Ring, RingPacket
from tests.datalink_server.wire import OUT_LIMIT, Cut, Refuse, Wire


class Client:
    """A connection with its session and its time limit."""

    def __init__(self, wire: Wire, session: Session, now_s: float) -> None:
        self.wire, self.session = wire, session
        self.heard_s = now_s
        self.has_spoken = False
        self.is_limited = False  # a payload had to be waited for, and nothing whole came since
        self.ends_s: float | None = None

    def work(self) -> None:
        """Answer what has come."""
        if self.wire.is_ws:
            for message in self.wire.messages:
                self._take_message(message)
            self.wire.messages.clear()
            return
        while not self.wire.closing and self._take_packet():
            pass

    def _take_packet(self) -> bool:
        buffer = self.wire.buffer
        if len(buffer) < 3:
            return False
        if buffer[:2] != b"DL" or buffer[2] < 2:
            raise Refuse
        header_end = 3 + buffer[2]
        if len(buffer) < header_end:
            return False
        header = buffer[3:header_end]
        end = header_end + self.session.data_bytes(header)
        if len(buffer) < end:
            self.is_limited = True
            self._waited = True
            return False
        self.wire.buffer = buffer[end:]
        self.is_limited, self._waited = self._waited, False
        self.session.handle(header, buffer[header_end:end])
        return True

    _waited = False

    def _take_message(self, message: bytes) -> None:
        header_end = 3 + message[2] if len(message) > 2 else 0
        header = message[3:header_end]
        if message[:2] != b"DL" or len(message) != header_end + self.session.data_bytes(header):
            raise Refuse  # exactly one packet in each message
        self.session.handle(header, message[header_end:])

    def is_late(self, now_s: float, timeout_s: float) -> bool:
        """Whether it is to be cut because of its silence."""
        is_waiting = bool(self.wire.buffer) or bool(self.wire.out) or self.is_limited or not self.has_spoken
        return is_waiting and now_s - self.heard_s > timeout_s


class Server:
    """A server on a free port of loopback, in a thread of its own.

    Args:
        capacity: packets that the ring holds.
        timeout_s: NetIOTimeout.
        tls: makes the whole port TLS.
        rules: anything of `Rules`.

    Attributes:
        errors: every text that was sent in an ERROR.
        sessions: all of them, the newest last.
        next_cuts: how the next connections are cut, in order; those after them are not.
        cut_late: how many were cut because of their silence.
    """

    def __init__(
        self, capacity: int = 1000, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None, **rules: object
    ) -> None:
        self.rules = Rules(**rules)  # type: ignore[arg-type]
        self.ring = Ring(capacity)
        self.errors: list[str] = []
        self.sessions: list[Session] = []
        self.next_cuts: list[Cut] = []
        self.cut_late = 0
        self.port = 0
        self.lock = threading.RLock()
        self.is_deaf = False  # takes connections and answers nothing
        self.connections = 0
        self._timeout_s = timeout_s
        self._tls = tls
        self._clients: dict[int, Client] = {}
        self._thread: threading.Thread | None = None
        self._is_over = False

    def start(self) -> None:
        """Listen: on a free port, after a `stop` on the same one."""
        self._is_over = False
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=10)
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="DataLink test server")
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and listen no more; the ring stays."""
        if self._thread is None:
            return
        self._is_over = True
        self._waker.send(b"!")
        self._thread.join()
        self._thread = None
        for each in (self._listening, self._wake, self._waker):
            each.close()

    def put(self, sid: str, start_us: int, end_us: int, data: bytes) -> RingPacket:
        """Write a packet, as another client does."""
        with self.lock:
            packet = self.ring.put(sid.encode(), start_us, end_us, data)
        self._waker.send(b"!")
        return packet

    def do(self, change: Callable[[], None]) -> None:
        """Change something between two turns of the loop."""
        with self.lock:
            change()
        self._waker.send(b"!")

    def cut_all(self, with_reset: bool = False) -> None:
        """Cut every connection now."""
        with self.lock:
            for client in list(self._clients.values()):
                client.wire.cut.with_reset = with_reset
                self._end(client)

    @property
    def url(self) -> str:
        return f"{'tls' if self._tls else 'tcp'}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/datalink"

    @property
    def packets(self) -> list[RingPacket]:
        with self.lock:
            return list(self.ring.packets)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------ the thread

    def _serve(self) -> None:
        while not self._is_over:
            reading = [self._listening, self._wake]
            with self.lock:
                clients = list(self._clients.values())
            reading += [each.wire.sock for each in clients if len(each.wire.out) < OUT_LIMIT]
            writing = [each.wire.sock for each in clients if each.wire.out]
            try:
                readable = select.select(reading, writing, [], min(0.2, self._timeout_s / 4))[0]
            except (OSError, ValueError):  # cut_all closed one meanwhile
                continue
            with self.lock:
                if self._wake in readable:
                    self._wake.recv(4096)
                if self._listening in readable:
                    self._accept()
                for client in list(self._clients.values()):
                    self._turn(client, client.wire.sock in readable)
        with self.lock:
            for client in list(self._clients.values()):
                self._end(client)

    def _accept(self) -> None:
        sock, _ = self._listening.accept()
        self.connections += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            sock.settimeout(5.0)
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except OSError:  # plain bytes
                sock.close()
                return
        sock.setblocking(False)
        cut = self.next_cuts.pop(0) if self.next_cuts else Cut()
        wire = Wire(sock, cut, 10 * (self.rules.packet_size + 120))
        session = Session(wire, self.ring, self.rules, self.errors)
        self.sessions.append(session)
        self._clients[sock.fileno()] = Client(wire, session, time.monotonic())

    def _turn(self, client: Client, is_readable: bool) -> None:
        wire, now_s = client.wire, time.monotonic()
        try:
            is_there = True
            has_more = is_readable
            while has_more and not wire.closing and not self.is_deaf:
                before = wire.received
                is_there = wire.read()
                has_more = is_there and isinstance(wire.sock, ssl.SSLSocket) and wire.sock.pending() > 0
                if wire.received > before:
                    client.heard_s, client.has_spoken = now_s, True
                client.work()
            client.session.stream(OUT_LIMIT)
            before = wire.sent
            if not (wire.is_cut and wire.cut.with_reset):
                is_there = wire.flush() and is_there
            if wire.sent > before:
                client.heard_s = now_s
        except Refuse:
            is_there = False
        if client.is_late(now_s, self._timeout_s):
            self.cut_late += 1
            is_there = False
        if not is_there or wire.is_cut or (wire.closing and not wire.out):
            self._end(client)

    def _end(self, client: Client) -> None:
        for fileno, each in list(self._clients.items()):
            if each is client:
                del self._clients[fileno]
        client.wire.close()
