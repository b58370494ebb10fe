"""One DataLink connection: replies find the commands that they answer, packets wait until they are taken."""

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rawdaq.datalink.errors import ConnectionLost, DataLinkError, NoAnswer, ServerRefused
from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.datalink import (
    Acknowledged,
    Answer,
    ClientEvent,
    Command,
    DataLinkClient,
    DataPacket,
    Refused,
    Reply,
    Streamed,
    Write,
)
from rawdaq.sockets.client.address import ServerAddress
from rawdaq.sockets.client.stream import ClientStream
from rawdaq.sockets.remedies import why_not_connected

#: What waits to be taken; then the server has to wait, unless an answer is awaited that may stand behind it.
_READ_AHEAD_BYTES: Final = 4 << 20
#: What comes sooner than this after the last read, and is so little, is gathered for a moment.
_SOON_S: Final = 0.0005
_SMALL_BYTES: Final = 1 << 15
_REST_S: Final = 0.001
_SUBPROTOCOLS: Final = ("DataLink1.1", "DataLink1.0")
_MAX_MESSAGE_BYTES: Final = (64 << 20) + 258  # an INFO answer


class Burst:
    """Packets that were written together.

    Attributes:
        done: ends when all are acknowledged that are to be, or fails.
        count: how many those are.
        packet_ids: the ids of those that are acknowledged, in order.
        size_bytes: how much all are.
    """

    def __init__(self, size_bytes: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(_look_at)
        self.packet_ids: list[int] = []
        self.count = 0
        self.size_bytes = size_bytes


def _look_at(future: "asyncio.Future[None] | asyncio.Future[Reply]") -> None:
    """Take the exception of a future that possibly is not awaited any more, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()


class DataLinkConnection(ClientStream):
    """A connection; `open` it first.

    Attributes:
        codec: what was agreed with the server.
        error: why the connection is over, None while it is not.
        sent_s: when something was sent last, by the loop's clock.
        heard_s: when something came last.
        written: whether packets were written.
    """

    def __init__(self, address: ServerAddress, timeout_s: float) -> None:
        super().__init__(address, _SUBPROTOCOLS, _MAX_MESSAGE_BYTES)
        self.codec = DataLinkClient()
        self.error: DataLinkError | RemoteProtocolError | None = None
        self._streamed: deque[Streamed] = deque()
        self.written = False
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self.sent_s = self.heard_s = self._loop.time()
        self._asked: deque[asyncio.Future[Reply]] = deque()
        self._bursts: deque[Burst] = deque()
        self._refusal: str | None = None
        self._news = asyncio.Event()  # a packet came, or it is over
        self._packet_bytes = 0
        self._is_held = False
        self._flushing: asyncio.Handle | None = None
        self._resting: asyncio.TimerHandle | None = None

    async def open(self, ca_file: Path | None = None) -> None:
        """Connect.

        Raises:
            ConnectionLost: it is impossible; the text says why and what to do.
        """
        try:
            await self.connect(self._timeout_s, ca_file)
        except (OSError, UnicodeError, RemoteProtocolError) as error:
            raise ConnectionLost(str(self.address), why_not_connected(error, self._timeout_s)) from error

    # ------------------------------------------------------------------ what comes

    def received(self, data: bytes) -> None:
        """Take what the server sent."""
        before_s, self.heard_s = self.heard_s, self._loop.time()
        receive = self.codec.receive_message if self.is_message_based else self.codec.receive_data
        try:
            for event in receive(data):
                self._take(event)
        except RemoteProtocolError as error:
            self._fail(error)
        if len(data) < _SMALL_BYTES and self.heard_s - before_s < _SOON_S and not self._is_awaited:
            self._rest()
        self._regulate()

    def _take(self, event: ClientEvent) -> None:
        if isinstance(event, Streamed):
            self._streamed.append(event)
            self._packet_bytes += event.size_bytes
            self._news.set()
        elif isinstance(event, Acknowledged):
            self._acknowledge(event.packet_ids)
        elif isinstance(event, Answer):
            future = self._asked.popleft()
            if not future.done():
                future.set_result(event.reply)
        else:
            self._refuse(event)

    def _acknowledge(self, packet_ids: list[int]) -> None:
        while packet_ids:
            burst = self._bursts[0]
            burst.packet_ids += packet_ids[: (missing := burst.count - len(burst.packet_ids))]
            packet_ids = packet_ids[missing:]
            if len(burst.packet_ids) == burst.count:
                self._bursts.popleft()
                if not burst.done.done():
                    burst.done.set_result(None)

    def _refuse(self, refusal: Refused) -> None:
        """Take note of an error that answers no command: a WRITE or STREAM was refused, and the server closes."""
        self._refusal = self._refusal or refusal.text
        for burst in self._bursts:
            if not burst.done.done():
                burst.done.set_exception(ServerRefused("WRITE", refusal.text))

    def ended(self, error: Exception | None) -> None:
        """Take note that the connection has ended."""
        try:
            if error is None:
                self.codec.receive_eof()
        except RemoteProtocolError as cut:
            error = cut
        self._fail(error)

    def _fail(self, error: Exception | None) -> None:
        if self.error is not None:
            return
        if self._refusal is not None:
            self.error = ServerRefused("WRITE" if self.written else "STREAM", self._refusal)
        elif isinstance(error, DataLinkError | RemoteProtocolError):
            self.error = error
        else:
            self.error = ConnectionLost(str(self.address), why_not_connected(error, self._timeout_s))
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(self.error)
        for burst in self._bursts:
            if not burst.done.done():
                burst.done.set_exception(self.error)
        self._news.set()
        if self._resting is not None:
            self._resting.cancel()
        self.abort()

    # ------------------------------------------------------------------ what is said

    def post(self, command: Command) -> "asyncio.Future[Reply]":
        """Queue *command*; return the future of its answer.

        Raises:
            LocalProtocolError: it cannot be sent.
            DataLinkError: the connection is over.
        """
        self.check()
        self.codec.send(command)
        future: asyncio.Future[Reply] = self._loop.create_future()
        future.add_done_callback(_look_at)
        self._asked.append(future)
        self._regulate()
        return future

    def say(self, command: Command) -> None:
        """Send a command that has no answer: STREAM or BYE.

        Raises:
            DataLinkError: the connection is over.
        """
        self.check()
        self.codec.send(command)
        self.flush()

    async def ask(self, command: Command) -> Reply:
        """Send *command*; return its answer.

        Raises:
            LocalProtocolError: it cannot be sent.
            ServerRefused: the answer is an error.
            DataLinkError: there is no answer, or no connection.
        """
        future = self.post(command)
        self.flush()
        return await self.answer(future, type(command).__name__)

    async def answer(self, future: "asyncio.Future[Reply]", name: str) -> Reply:
        """Return the answer to the command *name* that was sent.

        Raises:
            ServerRefused: the answer is an error.
            DataLinkError: there is none, or no connection.
        """
        await self.wait_for(future, f"answer to {name}")
        reply = future.result()
        if isinstance(reply, Refused):
            raise ServerRefused(name, reply.text)
        return reply

    async def wait_for(self, future: "asyncio.Future[Reply] | asyncio.Future[None]", what: str) -> None:
        """Return when *future* is done; a server that is silent for too long meanwhile is given up.

        Raises:
            NoAnswer: it is.
        """
        asked_s = self._loop.time()
        while not future.done():
            left_s = max(asked_s, self.heard_s) + self._timeout_s - self._loop.time()
            if left_s <= 0:
                self._fail(NoAnswer(str(self.address), what, self._timeout_s))
                break
            await asyncio.wait([future], timeout=left_s)

    def write_now(self, writes: Sequence[Write], size_bytes: int) -> Burst:
        """Send packets; return what becomes of them.

        Raises:
            LocalProtocolError: one of them cannot be sent; those before it are.
            DataLinkError: the connection is over.
        """
        self.check()
        self.written = True
        burst = Burst(size_bytes)
        try:
            for write in writes:
                self.codec.send_write(write)
                burst.count += write.is_acknowledged
        finally:
            if burst.count:
                self._bursts.append(burst)
                self._regulate()
            else:
                burst.done.set_result(None)
            self.flush()
        return burst

    def write_later(self, write: Write, at_once: int) -> bool:
        """Send a packet that is not acknowledged, together with those that follow it in this turn of the loop.

        Returns:
            Whether more than *at_once* packets waited, which now are sent; `drain` before more is written.

        Raises:
            LocalProtocolError: it cannot be sent.
            DataLinkError: the connection is over.
        """
        self.check()
        self.written = True
        self.codec.send_write(write)
        if self.codec.queued_packets >= at_once:
            self.flush()
            return True
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)
        return False

    def flush(self) -> None:
        """Send what is queued."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self.sent_s = self._loop.time()
        self.write(self.codec.messages_to_send())

    def check(self) -> None:
        """Do nothing while the connection is there.

        Raises:
            DataLinkError: it is over; the error says why.
        """
        if self.error is not None:
            raise self.error

    # ------------------------------------------------------------------ packets

    def take(self) -> list[DataPacket]:
        """Return packets that have come, none when there are none."""
        if not self._streamed:
            return []
        packets, size_bytes = self._streamed.popleft()
        self._packet_bytes -= size_bytes
        if self._is_held:
            self._regulate()
        return packets

    async def wait_for_packet(self, timeout_s: float) -> bool:
        """Return whether within *timeout_s* there is a packet, or the connection has ended."""
        if self._streamed or self.error is not None:
            return True
        self._news.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    @property
    def _is_awaited(self) -> bool:
        """Whether what comes next is awaited: an answer, or the last acknowledgements of what was written."""
        return len(self._bursts) == 1 or any(not future.done() for future in self._asked)

    def _rest(self) -> None:
        """Read nothing for a moment: packets, or acknowledgements, come one by one, and many cost as much as one."""
        if self._resting is None:
            self._resting = self._loop.call_later(_REST_S, self._rested)

    def _rested(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._regulate()

    def _regulate(self) -> None:
        """Read while there is room, and while an answer is awaited, which may stand behind packets."""
        if self._resting is not None and self._is_awaited:
            self._resting.cancel()
            self._resting = None
        must_hold = self._packet_bytes > _READ_AHEAD_BYTES and not self._is_awaited and not self._bursts
        must_hold = must_hold or self._resting is not None
        if must_hold != self._is_held and self.transport is not None and not self.is_over:
            self._is_held = must_hold
            (self.transport.pause_reading if must_hold else self.transport.resume_reading)()
