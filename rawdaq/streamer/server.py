"""The network half of `Streamer`: one thread that serves every client, and a way to hand it packets."""

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from rawdaq.errors import RemoteProtocolError
from rawdaq.open_files import REMEDY
from rawdaq.outage import Outage
from rawdaq.protocols.raw import ChannelFormat, RawDevice, RawVersion, StartRequested, encode_packet
from rawdaq.protocols.raw.errors import listed
from rawdaq.sockets.remedies import cannot_listen

_READ_BYTES = 65_536
_BUFFERS_PER_SEND = 1024  # IOV_MAX of Linux and macOS
_ACCEPT_PAUSE_S = 1.0  # when the process has no file left, accepting is tried again after this
_REMIND_S = 600.0  # and logged again after this
_JOIN_MARGIN_S = 5.0


class Limits(NamedTuple):
    """What clients may cost us."""

    backlog_bytes: int
    clients: int
    handshake_s: float


class Client:
    """One connection.

    Two threads meet here without a lock between them: feeding only appends to ``queue`` and adds to ``queued_bytes``,
    the server's thread only takes from ``queue`` and adds to ``sent_bytes``.
    """

    def __init__(self, connection: socket.socket, peer: str, codec: RawDevice, deadline_s: float) -> None:
        self.connection = connection
        self.peer = peer
        self.codec = codec
        self.deadline_s = deadline_s
        self.channels: tuple[int, ...] = ()  # what it started; empty during the handshake
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.sent_bytes = 0
        self.sending: list[bytes | memoryview] = []  # taken from the queue, not all sent yet
        self.is_blocked = False  # its socket takes no more for now
        self.is_overrun = False  # it has missed packets, so it must go

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for it."""
        return self.queued_bytes - self.sent_bytes

    @property
    def has_work(self) -> bool:
        """Whether something waits that its socket may take now."""
        return not self.is_blocked and bool(self.sending or self.queue)

    def put(self, data: bytes) -> None:
        """Queue *data*; counted first, so that an interrupt in between never makes the backlog too small."""
        self.queued_bytes += len(data)
        self.queue.append(data)

    def send_some(self) -> None:
        """Send as much as one call takes.

        Raises:
            OSError: the connection is broken.
        """
        if not self.sending:
            self.sending = [self.queue.popleft() for _ in range(min(len(self.queue), _BUFFERS_PER_SEND))]
        try:
            sent = self.connection.sendmsg(self.sending)
        except BlockingIOError:
            sent = 0
        self.sent_bytes += sent
        for index, part in enumerate(self.sending):
            if sent < len(part):
                self.sending[:index] = []
                self.sending[0] = memoryview(part)[sent:]
                self.is_blocked = True
                return
            sent -= len(part)
        self.sending.clear()


#: Per channel: the clients for each packet layout that they use.
Routes = dict[int, tuple[tuple[RawVersion, tuple[Client, ...]], ...]]


@dataclass(slots=True)
class Counters:
    """What happened since the `Streamer` was built.

    Attributes:
        packets: that were fed.
        samples: that were fed.
        unheard_packets: fed while no client had started their channel; the protocol has no memory, so they are gone.
        sent_bytes: that the operating system took for clients.
        clients_started: connections that came as far as START.
        clients_dropped: connections that we closed: garbage, too slow, too many, or silent in the handshake.
    """

    packets: int = 0
    samples: int = 0
    unheard_packets: int = 0
    sent_bytes: int = 0
    clients_started: int = 0
    clients_dropped: int = 0


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket that does not block.

    Raises:
        ComponentError: the address cannot be used; the text names the cause and the remedy.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.create_server(found[0][4], family=found[0][0], backlog=128)
    except OSError as error:
        raise cannot_listen(f"{host}:{port}", error) from error
    listener.setblocking(False)
    return listener


class RawServer:
    """Serves any number of clients from one daemon thread.

    Args:
        formats: what there is, by channel id.
        limits: what clients may cost us.
        counters: what is counted, here and by feeding.
        log: where connections are logged, always from the thread: a log that blocks never blocks feeding.
    """

    def __init__(
        self, formats: Mapping[int, ChannelFormat], limits: Limits, counters: Counters, log: logging.Logger
    ) -> None:
        self._formats, self._limits, self._counters, self._log = formats, limits, counters, log
        self._lock = threading.Lock()  # between threads that feed, and against falling asleep
        self._routes: Routes = {}
        self._is_asleep = False
        self._stop_at_s: float | None = None
        self._accept_at_s: float | None = None
        self._full = Outage(log, _REMIND_S)
        self._clients: list[Client] = []
        self.has_client = threading.Event()

    def open(self, host: str, port: int) -> None:
        """Listen, and start the thread.

        Raises:
            ComponentError: the address cannot be used.
        """
        self._listener = open_listener(host, port)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._drain_wakes)
        self._thread = threading.Thread(target=self._run, name=f"rawdaq-streamer-{self.address[1]}", daemon=True)
        self._thread.start()

    def close(self, flush_s: float) -> None:
        """Send what waits to clients that read, for at most *flush_s*, then close everything and end the thread."""
        with self._lock:
            self._stop_at_s = time.monotonic() + flush_s
        self._wake()
        self._thread.join(flush_s + _JOIN_MARGIN_S)

    @property
    def clients(self) -> int:
        """How many clients have started."""
        return sum(1 for client in tuple(self._clients) if client.channels)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for the slowest client."""
        return max((client.backlog_bytes for client in tuple(self._clients)), default=0)

    def feed(self, channel: int, start_ns: int, timing_quality: int, payload: memoryview, sample_count: int) -> None:
        """Queue a packet for all clients that started its channel: encoded once per layout, the bytes shared by all."""
        with self._lock:
            routes = self._routes.get(channel, ())
            for version, clients in routes:
                wire = encode_packet(version, channel, start_ns, timing_quality, payload, sample_count)
                for client in clients:
                    if client.backlog_bytes > self._limits.backlog_bytes:
                        client.is_overrun = True
                    if not client.is_overrun:
                        client.put(wire)
            self._counters.packets += 1
            self._counters.samples += sample_count
            self._counters.unheard_packets += not routes
            must_wake, self._is_asleep = self._is_asleep and bool(routes), self._is_asleep and not routes
        if must_wake:
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake up anyway; closed: it has ended
            self._wake_out.send(b"\0")

    def _drain_wakes(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(_READ_BYTES)

    # From here on everything runs in the thread.

    def _run(self) -> None:
        try:
            while not self._is_finished():
                ready = self._selector.select(self._wait_s())
                with self._lock:
                    self._is_asleep = False
                for key, events in ready:
                    key.data(events)
                self._serve()
        except Exception:
            self._log.exception("the streamer's thread failed: no client is served any more")
        finally:
            self._close_all()

    def _is_finished(self) -> bool:
        if self._stop_at_s is None:
            return False
        self._stop_listening()
        waiting = any(client.backlog_bytes for client in self._clients if client.channels)
        return not waiting or time.monotonic() >= self._stop_at_s

    def _wait_s(self) -> float | None:
        """Return how long nothing has to be done; from then on a packet has to wake us."""
        with self._lock:
            self._is_asleep = not any(client.has_work or client.is_overrun for client in self._clients)
        if not self._is_asleep:
            return 0
        ends = [client.deadline_s for client in self._clients if not client.channels]
        ends += [end for end in (self._stop_at_s, self._accept_at_s) if end is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _serve(self) -> None:
        now_s = time.monotonic()
        if self._accept_at_s is not None and now_s >= self._accept_at_s:
            self._accept_at_s = None
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        for client in tuple(self._clients):
            if client.is_overrun:
                self._refuse(
                    client,
                    f"reads too slowly: {client.backlog_bytes} bytes wait, limit is {self._limits.backlog_bytes}",
                )
            elif not client.channels and now_s >= client.deadline_s:
                self._refuse(client, f"did not finish the handshake within {self._limits.handshake_s:g} s")
            elif client.has_work:
                self._send(client)

    def _send(self, client: Client) -> None:
        before = client.sent_bytes
        try:
            client.send_some()
        except OSError as error:
            self._leave(client, error)
            return
        self._counters.sent_bytes += client.sent_bytes - before
        if client.is_blocked:
            self._watch(client, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _watch(self, client: Client, events: int) -> None:
        self._selector.modify(client.connection, events, partial(self._attend, client))

    def _attend(self, client: Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            client.is_blocked = False
            self._watch(client, selectors.EVENT_READ)
        if events & selectors.EVENT_READ:
            self._read(client)

    def _read(self, client: Client) -> None:
        started: tuple[int, ...] = ()
        try:
            data = client.connection.recv(_READ_BYTES)
            for event in client.codec.receive_data(data):
                if isinstance(event, StartRequested):
                    started = event.channels
            if not data:
                client.codec.receive_eof()
                self._leave(client, None)
                return
        except BlockingIOError:
            return
        except OSError as error:
            self._leave(client, error)
            return
        except RemoteProtocolError as error:
            # The answers so far show the client which of its requests was wrong.
            client.put(client.codec.data_to_send())
            with contextlib.suppress(OSError):
                client.send_some()
            self._refuse(client, str(error))
            return
        # Before the samples that follow START, and sent only after `_start`: after STARTING nothing is missed.
        client.put(client.codec.data_to_send())
        if started:
            self._start(client, started)

    def _start(self, client: Client, channels: tuple[int, ...]) -> None:
        client.channels = channels
        self._counters.clients_started += 1
        self._reroute()
        self._log.info("client %s started: RAW %s, channels %s", client.peer, client.codec.version, listed(channels))

    def _reroute(self) -> None:
        """Let feeding know which clients have started; 1.0 and 1.1 have the same packets."""
        started: dict[int, dict[RawVersion, list[Client]]] = {}
        for client in self._clients:
            layout = RawVersion.V2_0 if client.codec.version is RawVersion.V2_0 else RawVersion.V1_1
            for channel in client.channels:
                started.setdefault(channel, {}).setdefault(layout, []).append(client)
        with self._lock:
            self._routes = {
                channel: tuple((layout, tuple(clients)) for layout, clients in layouts.items())
                for channel, layouts in started.items()
            }
        if started:
            self.has_client.set()
        else:
            self.has_client.clear()

    def _accept(self, _events: int) -> None:
        try:
            connection, address = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no file left: the listener stays readable, so look away for a while
            if not self._full.is_on or self._full.is_due:
                self._full.log("clients have to wait: %s; %s", os.strerror(error.errno or 0), REMEDY)
            self._selector.unregister(self._listener)
            self._accept_at_s = time.monotonic() + _ACCEPT_PAUSE_S
            return
        if self._full.is_on:
            self._log.warning("clients are accepted again")
            self._full.clear()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        deadline_s = time.monotonic() + self._limits.handshake_s
        client = Client(connection, f"{address[0]}:{address[1]}", RawDevice(self._formats), deadline_s)
        self._clients.append(client)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._attend, client))
        if len(self._clients) > self._limits.clients:
            self._refuse(client, f"is one too many: {self._limits.clients} are served")

    def _refuse(self, client: Client, why: str) -> None:
        self._counters.clients_dropped += 1
        self._close(client)
        self._log.warning("client %s dropped: %s", client.peer, why)

    def _leave(self, client: Client, error: OSError | None) -> None:
        self._close(client)
        self._log.info("client %s left%s", client.peer, f": {error}" if error else "")

    def _close(self, client: Client) -> None:
        self._clients.remove(client)
        self._reroute()
        self._selector.unregister(client.connection)
        with contextlib.suppress(OSError):  # ends it even if a forked child still has the socket
            client.connection.shutdown(socket.SHUT_RDWR)
        client.connection.close()

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            if self._accept_at_s is None:
                self._selector.unregister(self._listener)
            self._accept_at_s = None
            self._listener.close()

    def _close_all(self) -> None:
        self._stop_listening()
        for client in tuple(self._clients):
            if client.backlog_bytes:
                self._log.warning("client %s did not get its last %d bytes", client.peer, client.backlog_bytes)
            self._close(client)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()
