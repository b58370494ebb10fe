"""What is the same for all that is spoken over a connection, and what all connections of a server share."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rawdaq.errors import RawdaqError
from rawdaq.protocols.seedlink import ServerIdentity
from rawdaq.ring.ring import Ring
from rawdaq.ring.sending import Follower, Sender
from rawdaq.ring.server.recognition import Spoken
from rawdaq.ring.server.settings import Rules
from rawdaq.sockets.refusals import Refusals

if TYPE_CHECKING:
    from rawdaq.ring.server.connection import ServerConnection

#: Words in a row that are no command: what sends more is no client.
MAX_REFUSED: Final = 100
_MAX_NAME = 200  # characters of how a client calls itself


def printable(text: str) -> str:
    """Return *text* of a client as it may stand in a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_NAME])


@dataclass
class Serving:
    """What all connections of a server share.

    Attributes:
        ring: what is served.
        sender: brings packets to clients.
        identity: what a SeedLink server says of itself.
        rules: who may do what.
        log: where the server logs.
        refusals: counts what is refused.
        clock: the time in nanoseconds.
        peers: all connections.
        sent_packets: how many packets all clients got that are gone.
        received_packets: how many packets writers brought.
        received_bytes: how much data.
        missed: how many numbers clients did not get that are gone.
        cut: how many clients were cut because they did not read.
    """

    ring: Ring
    sender: Sender
    identity: ServerIdentity
    rules: Rules
    log: logging.Logger
    refusals: Refusals
    clock: Callable[[], int]
    peers: "set[ServerConnection]" = field(default_factory=set["ServerConnection"])
    sent_packets: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    missed: int = 0
    cut: int = 0


class Session(ABC):
    """Speaks one protocol with one client.

    Args:
        peer: the client.
        serving: what it shares with the others.

    Attributes:
        spoken: the protocol.
        piece_bytes: how much of what came is worked on before it is asked whether the client takes the answers.
        follower: how far the client has got packets; None while it gets none.
        sent_packets: how many it got before that.
        has_progressed: whether a whole command came; who watches over the time sets it back.
    """

    spoken: Spoken
    piece_bytes = 4096

    def __init__(self, peer: "ServerConnection", serving: Serving) -> None:
        self.peer = peer
        self.serving = serving
        self.follower: Follower | None = None
        self.has_progressed = False
        self._sent_before = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Event()

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Take what came: any bytes, of a WebSocket one message.

        Raises:
            RemoteProtocolError: the client broke the protocol.
        """

    @property
    @abstractmethod
    def buffered_bytes(self) -> int:
        """How much is there of a command that is not whole yet."""

    def late(self) -> None:
        """Answer that a command has taken too long, if the protocol has words for that."""
        return

    def check(self, now_ns: int) -> None:
        """Do what is due; called about every second."""
        return

    def resume(self) -> None:
        """Go on with what waited because the client did not take its answers."""
        self._has_room.set()

    async def room(self) -> None:
        """Return when the client takes its answers."""
        while self.peer.is_full:
            self._has_room.clear()
            await self._has_room.wait()

    @property
    def sent_packets(self) -> int:
        """How many packets the client got."""
        return self._sent_before + (self.follower.sent_packets if self.follower is not None else 0)

    def follow(self, follower: Follower) -> None:
        """Let the client get packets from now on."""
        self.follower = follower
        self.serving.sender.add(follower)

    def unfollow(self) -> None:
        """Let it get no more; what was sent is on its way."""
        if self.follower is not None:
            self.serving.sender.remove(self.follower)
            self._sent_before += self.follower.sent_packets
            self.serving.missed += self.follower.missed
            self.follower = None

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run *coroutine* until it ends, or the connection does."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.peer.kind} {self.peer.host}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, RawdaqError):  # a bug, of which its user shall not see more than a closed connection
            self.serving.log.error("serving %s failed", self.peer.host, exc_info=error)
        self.peer.fail(str(error))

    def close(self) -> None:
        """Take note that the connection has ended."""
        for task in self._tasks:
            task.cancel()
        self.serving.sent_packets += self.sent_packets
        self.unfollow()
