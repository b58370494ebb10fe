"""One client's connection: what comes is decrypted, recognised and unwrapped; one that is too slow is ended."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from typing import cast

from rawdaq.errors import RemoteProtocolError
from rawdaq.open_files import first_for_commands
from rawdaq.ring.sending import WRITE_BYTES
from rawdaq.ring.server.recognition import Spoken, recognise
from rawdaq.ring.server.session import Serving, Session
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.server.tls import FIRST_BYTE, TlsServer
from rawdaq.sockets.server.websocket import HttpServer, message_frame

#: Of a message that a client sends, besides the data of a packet: an expression of DataLink.
_MESSAGE_BYTES = 65_536 + 512
_FULL = "it does not read"
_GONE = "?"
_PIECE_BYTES = 4096  # worked on at once: a short question may have a long answer

MakeSession = Callable[[Spoken, "ServerConnection"], Session]
Respond = Callable[["ServerConnection", HttpServer], None]


class ServerConnection(asyncio.Protocol):
    """The connection of a client.

    Args:
        serving: what it shares with the others.
        served: what is served on its port.
        make_session: makes who speaks with it.
        respond: answers a request of HTTP, or grants a WebSocket.
        tls: what TLS needs; None: there is none.
        must_encrypt: whether it is refused without TLS.

    Attributes:
        host: the address of the client.
        port: its port.
        name: how the client calls itself.
        connected_ns: when it connected.
        sent_bytes: how much was sent.
        received_bytes: how much it has sent.
        session: who speaks with it; None before it is known what it speaks.
        closed: done when the connection has ended.
    """

    def __init__(
        self,
        serving: Serving,
        served: Collection[Spoken],
        make_session: MakeSession,
        respond: Respond,
        tls: ssl.SSLContext | None,
        must_encrypt: bool,
    ) -> None:
        self.host, self.port, self.name = "?", 0, ""
        self.connected_ns = 0
        self.sent_bytes = self.received_bytes = 0
        self.session: Session | None = None
        self.served = served
        self.is_full = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serving = serving
        self._make_session, self._respond = make_session, respond
        self._context, self._must_encrypt = tls, must_encrypt
        self._tls: TlsServer | None = None
        self._http: HttpServer | None = None
        self._unread = b""  # what has to wait until the client takes its answers
        self._head: bytes | None = b""  # None once it is known what is spoken
        self._holds: set[str] = set()
        self._transport: asyncio.Transport
        self._is_over = False
        self._has_said = False  # whether anything whole came
        self._since_s = 0.0  # it connected, or an unfinished command began
        self._is_within_command = True
        self._taken: tuple[int, float] = (0, 0.0)  # bytes that the system took, and when that was more

    # ------------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # asyncio's signature is wider than what TCP gives
        self.host, self.port = (transport.get_extra_info("peername") or (_GONE, 0))[:2]
        self.connected_ns = self._serving.clock()
        self._since_s = asyncio.get_running_loop().time()
        if reason := self._why_not():
            self._refuse(reason)
            return
        self._serving.peers.add(self)
        self._transport.set_write_buffer_limits(high=WRITE_BYTES)
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _why_not(self) -> str | None:
        rules, peers = self._serving.rules, self._serving.peers
        if self.host == _GONE:
            return "it was gone at once"
        if self.host not in rules.readers:
            return "its address is not one of those that may read (option `read`)"
        if len(peers) >= rules.max_clients:
            return "there are as many clients as max_clients allows"
        if sum(peer.host == self.host for peer in peers) >= rules.max_per_address:
            return "there are as many clients of its address as max_per_address allows"
        if self._transport.get_extra_info("socket").fileno() >= first_for_commands():
            return "this process has hardly any open files left for others; raise the limit (ulimit -n)"
        return None

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._is_over:
            return
        self.received_bytes += len(data)
        self._guarded(self._decrypt, data)
        self._watch_time()

    def _guarded(self, take: Callable[[bytes], None], data: bytes) -> None:
        """Let *take* have *data*; end the connection when they break the protocol."""
        try:
            take(data)
        except RemoteProtocolError as error:
            self._push()
            self._refuse("it does not keep to the protocol", str(error))

    def eof_received(self) -> bool:
        """Called by asyncio: one that sends nothing more cannot be told from one that is gone, so it is closed."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._is_over = True
        self._serving.peers.discard(self)
        self.closed.set_result(None)
        if self.session is not None:
            if self.session.sent_packets:
                self.note(f"is gone after {self.session.sent_packets} packets{f': {exc}' if exc else ''}")
            self.session.close()

    def pause_writing(self) -> None:
        """Called by asyncio: the client does not take what is sent."""
        self.is_full = True
        self._taken = (self._taken_bytes, asyncio.get_running_loop().time())

    def resume_writing(self) -> None:
        """Called by asyncio: it has taken most of it."""
        self.is_full = False
        if self.session is not None:
            self.session.resume()
        data, self._unread = self._unread, b""
        if data and not self._is_over:
            self._guarded(self._take_all, data)
        if not self._unread:
            self.release(_FULL)
        if self.session is not None and self.session.follower is not None:
            self._serving.sender.resume(self.session.follower)

    # ------------------------------------------------------------------ layers

    def _decrypt(self, data: bytes) -> None:
        if self._tls is None and self._head == b"" and data[0] == FIRST_BYTE and self._context is not None:
            self._tls = TlsServer(self._context)
        if self._tls is None:
            if self._must_encrypt:
                self._refuse("it does not use TLS, which is required")
                return
            self._take_all(data)
            return
        try:
            plain = self._tls.receive_data(data)
        finally:
            self._transport.write(self._tls.data_to_send())
        if plain:
            self._take_all(plain)
        if self._tls.is_over:
            self.end()

    def _take_all(self, data: bytes) -> None:
        """Work on *data* piece by piece, as long as the client takes the answers."""
        data = self._unread + data
        at = 0
        while at < len(data) and not self.is_full and not self._is_over:
            size = _PIECE_BYTES if self.session is None else self.session.piece_bytes
            self._take(data[at : at + size])
            at += size
        self._unread = b"" if self._is_over else data[at:]
        if self.is_full:
            self.hold(_FULL)

    def _take(self, data: bytes) -> None:
        if self._head is not None:
            self._head = data = self._head + data
            spoken = recognise(data, self.served)
            if spoken is None:
                return
            self._head = None
            if spoken is Spoken.HTTP:
                self._http = HttpServer(self._choose, max(_MESSAGE_BYTES, self._serving.rules.packet_bytes + 512))
            else:
                self.session = self._make_session(spoken, self)
        if self._http is not None:
            self._unwrap(self._http, data)
        elif self.session is not None:
            self.session.receive(data)

    def _choose(self, offered: Sequence[str]) -> str | None:
        known = {"datalink1.1": 0, "datalink1.0": 1, "seedlink4.0": 2, "seedlink3.1": 3}
        names = sorted((known[name.lower()], name) for name in offered if name.lower() in known)
        return names[0][1] if names else None

    def _unwrap(self, http: HttpServer, data: bytes) -> None:
        messages = http.receive_data(data)
        if self.session is None and http.path is not None and not http.is_over:
            self._has_said = True
            self._respond(self, http)
            self._push()  # before what is answered to messages that came with the request
        for message in messages:
            if self.session is not None and not self._is_over:
                self.session.receive(message)
        self._push()
        http.check()
        if http.is_over:
            self._close()

    def upgrade(self, spoken: Spoken) -> None:
        """Speak *spoken* over the WebSocket that was granted."""
        self.session = self._make_session(spoken, self)

    # ------------------------------------------------------------------ what sessions call

    @property
    def is_websocket(self) -> bool:
        """Whether messages are sent, and no stream of bytes."""
        return self._http is not None

    @property
    def kind(self) -> str:
        """What is spoken, for people."""
        spoken = Spoken.HTTP if self.session is None else self.session.spoken
        more = [name for name, has in (("TLS", self._tls), ("WebSocket", self._http)) if has is not None]
        return ":".join([spoken, *more])

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages, each by itself where that is how it is spoken."""
        if messages:
            self.write(b"".join(map(message_frame, messages) if self.is_websocket else messages))

    def write(self, data: bytes) -> None:
        """Send *data*, which on a WebSocket are whole frames."""
        if self._is_over or self._transport.is_closing() or (self._http is not None and not self._http.is_open):
            return
        if self._tls is not None:
            data = self._tls.send(data)
        self.sent_bytes += len(data)
        self._transport.write(data)

    def _push(self) -> None:
        """Send what the WebSocket itself has to say."""
        data = self._http.data_to_send() if self._http is not None else b""
        if data and not self._transport.is_closing():
            data = self._tls.send(data) if self._tls is not None else data
            self.sent_bytes += len(data)
            self._transport.write(data)

    def hold(self, reason: str) -> None:
        """Read nothing more until *reason* is released."""
        self._holds.add(reason)
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self, reason: str) -> None:
        """Read again, unless there is another reason not to."""
        self._holds.discard(reason)
        if not self._holds and not self._transport.is_closing():
            self._transport.resume_reading()

    def end(self) -> None:
        """Close when all is sent."""
        if self._http is not None:
            self._http.close()
            self._push()
        self._close()

    def finish(self) -> None:
        """Send what waits, and no more; close when the client has closed its side, or does not.

        Some programs fail when a server closes while they write.
        """
        if self._tls is not None or self._http is not None or self._transport.is_closing():
            self.end()
        elif not self._is_over:
            self._is_over = True
            self._since_s = asyncio.get_running_loop().time()
            try:
                self._transport.write_eof()
            except OSError:  # the client is gone, which asyncio does not know yet
                self._transport.abort()
                return
            self._holds.clear()
            self._transport.resume_reading()  # until its end, which is all that is looked for

    def _close(self) -> None:
        if not self._is_over and self._tls is not None and not self._transport.is_closing():
            self._transport.write(self._tls.close())
        self._is_over = True
        self._taken = (self._taken_bytes, asyncio.get_running_loop().time())
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is not sent is lost."""
        self._is_over = True
        self._transport.abort()

    def fail(self, reason: str) -> None:
        """End it because of something that is not the client's fault."""
        if not self._is_over:
            self._serving.log.warning("client %s is cut: %s", self._shown, reason)
            self.end()

    def note(self, text: str) -> None:
        """Log what the client does."""
        self._serving.log.info("client %s %s", self._shown, text)

    def lapse(self, first: int, end: int) -> None:
        """Log that the client did not get numbers from *first* on, up to *end*."""
        self._serving.log.warning(
            "client %s was too far behind: it missed packets %d to %d, for which newer ones have been written; it goes "
            "on with the oldest that there is; a larger `max_gb` keeps more",
            self._shown,
            first,
            end - 1,
        )

    @property
    def _shown(self) -> str:
        return f"{self.address} ({self.name})" if self.name else self.address

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the client."""
        return host_port(self.host, self.port)

    def _refuse(self, reason: str, detail: str = "") -> None:
        self._serving.refusals.count(reason, self.host, detail)
        self.end()

    # ------------------------------------------------------------------ time

    def _watch_time(self) -> None:
        """Take note whether a command is unfinished, and since when."""
        session = self.session
        if session is None:
            self._is_within_command = not self._has_said
            return
        has_progressed, session.has_progressed = session.has_progressed, False
        self._has_said = self._has_said or has_progressed
        was_within, self._is_within_command = self._is_within_command, session.buffered_bytes > 0 or not self._has_said
        if self._is_within_command and (has_progressed or not was_within):
            self._since_s = asyncio.get_running_loop().time()

    @property
    def _taken_bytes(self) -> int:
        return self.sent_bytes - self._transport.get_write_buffer_size()

    def check(self, now_s: float, now_ns: int) -> None:
        """End it when it is too slow; called about every second."""
        rules = self._serving.rules
        if self.is_full or self._transport.is_closing():
            self._check_reading(now_s)
        elif self._is_over:
            if now_s - self._since_s > rules.slow_s:
                self._transport.abort()
        elif self._is_within_command and not self._holds:
            limit_s = rules.command_s if self._has_said or self._head is None else rules.first_command_s
            if now_s - self._since_s > limit_s:
                if self.session is not None:
                    self.session.late()
                self._refuse(f"no whole command within {limit_s:g} s")
        if self.session is not None:
            self.session.check(now_ns)

    def _check_reading(self, now_s: float) -> None:
        taken, since_s = self._taken
        if self._taken_bytes > taken:
            self._taken = (self._taken_bytes, now_s)
        elif now_s - since_s > self._serving.rules.slow_s:
            waiting = self._transport.get_write_buffer_size()
            self._serving.cut += 1
            self._serving.log.warning(
                "client %s is cut: it has read nothing for %.0f s, %d bytes wait for it",
                self._shown,
                now_s - since_s,
                waiting,
            )
            self._transport.abort()
