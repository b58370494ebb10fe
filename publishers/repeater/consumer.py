"""One consumer of an output: its handshake and subscriptions, and the frames that the system is taking for it."""

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Protocol, cast

from rawdaq.errors import RemoteProtocolError
from rawdaq.multipart import Part
from rawdaq.protocols.zmtp import Cancelled, Event, Ready, SocketType, Subscribed, ZmtpPeer
from rawdaq.publishers.repeater.backlog import Backlog, Outgoing
from rawdaq.sockets.dialling import Connection, keep_alive
from rawdaq.sockets.endpoint import host_port

#: Frames are handed to the system in portions of about this size: one call for many small ones.
PORTION_BYTES = 1 << 18

_HANDSHAKE_S = 30.0  # ZMQ sockets greet at once
_MAX_TOPICS = 10_000  # subscriptions of one consumer; each costs memory
_SHOWN_TOPICS = 20
_MAX_PIECES = 512  # of one call; systems allow 1024


class Owner(Protocol):
    """What a consumer needs of its output."""

    def refusal(self) -> str | None:
        """Return why there can be no further connection; None when there can."""

    def joined(self, consumer: "Consumer") -> None:
        """Called when the handshake is over."""

    def left(self, consumer: "Consumer", reason: str) -> None:
        """Called when the connection has ended, or could not begin."""

    def wants_more(self, consumer: "Consumer") -> None:
        """Called when the system takes more again."""

    def delivered(self, item: Outgoing) -> None:
        """Called when the system has taken all of a frame."""


class Consumer(Connection, asyncio.Protocol):
    """A connection to a PULL or SUB socket.

    asyncio opens it and reads from it. Frames are written past asyncio, on a duplicate of its socket, so that their
    bytes are not copied when the system does not take all of them at once.

    Args:
        socket_type: what we are: PUSH or PUB.
        owner: the output.

    Attributes:
        address: the other side.
        backlog: what waits for this consumer alone (of a PUB output).
        sent: frames that the system has taken for it.
        dropped: frames that it did not get because its backlog was full.
    """

    def __init__(self, socket_type: SocketType, owner: Owner) -> None:
        super().__init__()
        self.address = "?"
        self.backlog = Backlog()
        self.sent = 0
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._peer = ZmtpPeer(socket_type)
        self._owner = owner
        self._topics: Counter[bytes] = Counter()
        self._takes_all = socket_type is SocketType.PUSH
        self._pieces: deque[Part] = deque()
        self._items: deque[tuple[Outgoing, int]] = deque()  # each with the position at which it ends
        self._written = self._position = 0
        self._is_blocked = False
        self._is_watched = False  # whether the loop says when the system takes more
        self._deadline = self._loop.call_later(_HANDSHAKE_S, self.abort, f"no handshake within {_HANDSHAKE_S:.0f} s")
        self._transport: asyncio.Transport
        self._socket: socket.socket

    @property
    def is_ready(self) -> bool:
        """Whether the handshake is over."""
        return self._peer.is_ready

    @property
    def has_room(self) -> bool:
        """Whether the system takes more, as far as is known."""
        return not self._is_blocked and self._position - self._written < PORTION_BYTES

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._pieces

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this consumer."""
        return {
            "address": self.address,
            "topics": sorted(topic.decode("ascii", "replace") for topic in self._topics)[:_SHOWN_TOPICS],
            "sent": self.sent,
            "dropped": self.dropped,
            "waiting": len(self.backlog) + len(self._items),
        }

    def wants(self, topic: Part) -> bool:
        """Whether a subscription is a prefix of *topic*; a PULL socket gets everything."""
        if self._takes_all or b"" in self._topics:
            return True
        return any(topic[: len(each)] == each for each in self._topics)

    # ------------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # asyncio's signature is wider than what TCP gives
        name: Any = transport.get_extra_info("peername")
        self.address = name or "ipc" if isinstance(name, str | None) else host_port(*name[:2])
        self._socket = transport.get_extra_info("socket").dup()
        self._socket.setblocking(False)
        keep_alive(self._socket)
        if reason := self._owner.refusal():
            return self.abort(reason)
        self._write_own()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            for event in self._peer.receive_data(data):
                self._handle(event)
        except RemoteProtocolError as error:
            return self.abort(f"it is no consumer: {error}")
        self._write_own()

    def _handle(self, event: Event) -> None:
        match event:
            case Ready():
                self.is_useful = True
                self._deadline.cancel()
                self._loop.call_soon(self._join)  # after our own part of the handshake
            case Subscribed(topic):
                self._topics[topic] += 1
                if len(self._topics) > _MAX_TOPICS:
                    self.abort(f"more than {_MAX_TOPICS} subscriptions")
            case Cancelled(topic):
                self._topics -= Counter({topic: 1})  # never below zero
            case _:  # a message, which nothing reads
                return

    def _join(self) -> None:
        if not self.closed.done():
            self._owner.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._deadline.cancel()
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_writer(self._socket)
        self._socket.close()
        if not self.closed.done():
            self.failure = self.failure or exc
            self.closed.set_result(None)
            self._owner.left(self, "it closed the connection" if self.failure is None else str(self.failure))

    # ------------------------------------------------------------------ what goes out

    def add(self, item: Outgoing, pieces: Sequence[Part]) -> None:
        """Let *item* be written by the next `flush`."""
        for piece in pieces:
            if size := len(piece):  # of empty ones the system never says that it took them
                self._pieces.append(piece)
                self._position += size
        self._items.append((item, self._position))

    def flush(self) -> None:
        """Let the system take what it can; the rest follows when it can take more."""
        pieces = self._pieces
        while pieces and not self._is_blocked:
            try:
                taken = self._socket.sendmsg(
                    pieces if len(pieces) <= _MAX_PIECES else [pieces[index] for index in range(_MAX_PIECES)]
                )
            except (BlockingIOError, InterruptedError):
                self._is_blocked = True
                if not self._is_watched:
                    self._is_watched = True
                    self._loop.add_writer(self._socket, self._unblock)
            except OSError as error:
                return self.abort(error.strerror or str(error))
            else:
                self._take_off(taken)

    def _take_off(self, taken: int) -> None:
        """Forget *taken* bytes, and report the frames that end in them."""
        pieces = self._pieces
        self._written += taken
        while taken:
            size = len(pieces[0])
            if taken < size:
                pieces[0] = memoryview(pieces[0])[taken:]
                break
            pieces.popleft()
            taken -= size
        items, written = self._items, self._written
        while items and items[0][1] <= written:
            self.sent += 1
            self._owner.delivered(items.popleft()[0])

    def _unblock(self) -> None:
        self._is_blocked = False
        self.flush()
        if self.has_room:
            self._owner.wants_more(self)
        if not self._is_blocked and self._is_watched:
            self._is_watched = False
            self._loop.remove_writer(self._socket)

    def _write_own(self) -> None:
        """Write our part of the protocol, behind the frames that are on their way."""
        if data := self._peer.data_to_send():
            self._pieces.append(data)
            self._position += len(data)
            self.flush()

    def unsent(self) -> list[Outgoing]:
        """Return the frames that the system has not taken, or not whole; they are forgotten here."""
        items = [item for item, _ in self._items]
        self._items.clear()
        self._pieces.clear()
        return items

    def close(self) -> None:
        """End the connection; what the system has taken still arrives."""
        self._transport.close()

    def abort(self, reason: str | None = None) -> None:
        """End the connection, because of *reason* if it is one of ours."""
        if reason is not None:
            self.failure = ConnectionAbortedError(reason)
        self._transport.abort()
