"""Speaks DataLink with one client: writes go into the ring, packets come out of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Final

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.datalink import (
    AuthToken,
    AuthUserPass,
    BadCommand,
    Bye,
    DataLinkServer,
    EndStream,
    Identify,
    Identity,
    Info,
    InfoReply,
    InfoType,
    Match,
    Ok,
    Place,
    PositionAfter,
    PositionSet,
    Read,
    Refused,
    Reject,
    ServerEvent,
    ServerThread,
    Stream,
    StreamEnded,
    Write,
    check_id,
    translated,
    write_info,
)
from rawdaq.protocols.datalink.expressions import Expression
from rawdaq.ring.packets import NewPacket, RingPacket
from rawdaq.ring.sending import Follower
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.datalink.info import capabilities, server_info, software
from rawdaq.ring.server.datalink.view import DataLinkViews
from rawdaq.ring.server.recognition import Spoken
from rawdaq.ring.server.session import MAX_REFUSED, Serving, Session, printable
from rawdaq.ring.writing import WriteError
from rawdaq.times import NS_PER_S

_MAX_EXPRESSION_BYTES: Final = 64 << 10
_LONG_EXPRESSION_BYTES: Final = 512
_AHEAD_COMMANDS = 10_000  # that wait for one that is worked on
_AHEAD_BYTES = 1 << 20  # that one client has on the way to the disk
_BUSY, _WRITING = "it waits for an answer", "its packets wait for the disk"
_NOT_ALLOWED = "Write permission not granted, no soup for you!"  # as others say it, and clients look for
#: What ends streaming besides ENDSTREAM, without a word about it.
_NEGOTIATION = (PositionSet, PositionAfter, Match, Reject, Read, AuthToken, AuthUserPass, BadCommand)

_Acked = Sequence[bool]


class DataLinkSession(Session):
    """Speaks DataLink.

    Args:
        peer: the client.
        serving: what it shares with the others.
        views: of all readers.
        ports: where the server listens.
    """

    spoken = Spoken.DATALINK
    piece_bytes = 64 << 10  # writers bring much, and the answers are short

    def __init__(
        self, peer: ServerConnection, serving: Serving, views: DataLinkViews, ports: Callable[[], list[ServerThread]]
    ) -> None:
        super().__init__(peer, serving)
        self._codec = DataLinkServer(serving.rules.packet_bytes)
        self._views, self._ports = views, ports
        self.view = views.get(None, None, peer.is_websocket)
        self.received_packets = 0
        self._may_write = peer.host in serving.rules.writers
        self._position: int | None = None  # of the packet that comes next
        self._waiting: deque[ServerEvent] = deque()
        self._is_busy = False
        self._refused = 0
        self._writing = 0  # groups on the way
        self._writing_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """How much is there of a command that is not whole yet."""
        return self._codec.buffered_bytes

    def late(self) -> None:
        """Answer that a command has taken too long."""
        self._codec.send(Refused("the rest of the command did not come in time"))
        self._flush()

    def resume(self) -> None:
        """Go on with what waited because the client did not take its answers."""
        self._work()

    def receive(self, data: bytes) -> None:
        """Take what came.

        Raises:
            RemoteProtocolError: the client broke the protocol.
        """
        take = self._codec.receive_message if self.peer.is_websocket else self._codec.receive_data
        try:
            for event in take(data):
                self.has_progressed = True
                self._waiting.append(event)
        finally:
            self._work()

    def _work(self) -> None:
        """Work on what waits, in order: packets together, anything else alone and when they are written."""
        while self._waiting and not self._is_busy and not self.peer.is_full:
            if isinstance(self._waiting[0], Write):
                self._write()
            elif self._writing:
                break
            else:
                self._answer(self._waiting.popleft())
            self._flush()
        self._flush()
        if len(self._waiting) > _AHEAD_COMMANDS:
            self.peer.hold(_BUSY)
        elif not self._waiting:
            self.peer.release(_BUSY)

    def _flush(self) -> None:
        self.peer.send(self._codec.messages_to_send())

    # ------------------------------------------------------------------ writing

    def _write(self) -> None:
        """Put the packets that stand first into the ring."""
        packets: list[NewPacket] = []
        acked: list[bool] = []
        reason: str | None = None
        while self._waiting and isinstance(write := self._waiting[0], Write):
            self._waiting.popleft()
            reason = self._why_not(write)
            if reason is not None:
                break
            packets.append(
                NewPacket(translated(write.stream_id), write.start_ns, write.end_ns, write.data, write.packet_id)
            )
            acked.append(write.is_acknowledged)
        if packets:
            self._put(packets, acked)
        if reason is not None:
            self._waiting.clear()
            self._waiting.append(BadCommand(reason, closes=True))

    def _why_not(self, write: Write) -> str | None:
        """Return why a packet is refused; None when it is not."""
        if not self._may_write:
            return _NOT_ALLOWED
        try:
            check_id(write.stream_id)
        except LocalProtocolError as error:
            return f"Error, stream ID: {error}"
        return None

    def _put(self, packets: Sequence[NewPacket], acked: _Acked) -> None:
        size = sum(len(packet.data) for packet in packets)
        self._writing += 1
        self._writing_bytes += size
        self.received_packets += len(packets)
        self.serving.received_packets += len(packets)
        self.serving.received_bytes += size
        self.serving.ring.put(packets, lambda numbers, error: self._written(numbers, error, acked, size))
        if self._writing_bytes > _AHEAD_BYTES or self.serving.ring.is_full:
            self.peer.hold(_WRITING)
            self.spawn(self._wait_for_room())

    async def _wait_for_room(self) -> None:
        await self.serving.ring.room()
        if self._writing_bytes <= _AHEAD_BYTES:
            self.peer.release(_WRITING)

    def _written(self, numbers: Sequence[int], error: WriteError | None, acked: _Acked, size: int) -> None:
        self._writing -= 1
        self._writing_bytes -= size
        for number, is_acked in zip(numbers, acked, strict=False):
            if is_acked:
                self._codec.send(Ok(number))
        if error is not None:
            self._waiting.clear()
            self._waiting.append(BadCommand(f"Error adding packet to ring: {error}", closes=True))
        if self._writing_bytes <= _AHEAD_BYTES and not self.serving.ring.is_full:
            self.peer.release(_WRITING)
        self._work()

    # ------------------------------------------------------------------ everything else

    def _answer(self, event: ServerEvent) -> None:
        self._refused = self._refused + 1 if isinstance(event, BadCommand) else 0
        if isinstance(event, _NEGOTIATION):
            self._stop_streaming()
        match event:
            case Identify(client_id):
                self.peer.name = printable(client_id) or self.peer.name
                self._codec.send(Identity.of(f"{software(self.serving)} :: {self._capabilities}"))
            case PositionSet() | PositionAfter() | Read():
                self._later(partial(self._look_up, event))
            case Info():
                self._info(event)
            case Match(expression) | Reject(expression):
                self._filter(event, expression or "")
            case Stream():
                self._stream()
            case EndStream():
                self._stop_streaming()
                self._codec.send(StreamEnded())
            case AuthToken() | AuthUserPass():
                self._codec.send(Refused("Unsupported AUTH type: this server knows no users"))
            case Bye():
                self.peer.end()
            case BadCommand(text, closes):
                self._refuse(text, closes=closes or self._refused > MAX_REFUSED)
            case Write():  # which does not come here
                pass

    @property
    def _capabilities(self) -> str:
        return capabilities(self.serving, self._may_write)

    def _refuse(self, text: str, *, closes: bool) -> None:
        self._codec.send(Refused(text))
        if closes:
            self._waiting.clear()
            self._flush()
            self.serving.refusals.count("a command that ends the connection", self.peer.host, text)
            self.peer.end()

    def _later(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Let nothing else be worked on before *work* has ended."""
        self._is_busy = True

        async def run() -> None:
            await work()  # not made before: the connection may end before this begins
            self._is_busy = False
            self._work()

        self.spawn(run())

    async def _look_up(self, event: PositionSet | PositionAfter | Read) -> None:
        reader = self.serving.ring.reader
        match event:
            case Read(number):
                packet = await reader.get(number)
                if packet is None:
                    self._codec.send(Refused(f"Packet {number} not found in ring, the earliest is {reader.oldest}"))
                    return
                self._flush()
                self.peer.send([packet.datalink()])
                self._position = packet.position + 1
                return
            case PositionAfter(time_ns):
                packet = await self._first_after(time_ns) or await reader.newest()
            case PositionSet(Place() as place):
                packet = await (reader.first() if place is Place.EARLIEST else reader.newest())
                if packet is None:  # all that is written from now on comes after it
                    self._position = reader.end
                    self._codec.send(Ok(0, f"Positioned to {place} packet"))
                    return
            case PositionSet(number, packet_time_ns):
                packet = await reader.get(int(number))
                if packet is not None and packet_time_ns is not None and not _is_same_s(packet, packet_time_ns):
                    packet = None
        if packet is None:
            self._codec.send(Refused(f"Packet not found, the earliest is {reader.oldest}"))
            return
        self._position = packet.position + 1
        self._codec.send(Ok(packet.position, f"Positioned to packet ID {packet.position}"))

    async def _first_after(self, time_ns: int) -> RingPacket | None:
        """Return the first packet of the selected streams whose data end after *time_ns*."""
        reader = self.serving.ring.reader
        names = [name for name in reader.streams.names if self.view.may_send(name)]
        position = await reader.find(names, time_ns + 1)
        while position is not None and position < reader.end:
            _, packets, position = await reader.from_(position)
            for packet in packets:
                if packet.end_ns > time_ns and self.view.may_send(packet.name):
                    return packet
        return None

    def _filter(self, event: Match | Reject, text: str) -> None:
        """Select by an expression; a long one is read in a thread, because that takes its time."""
        if len(text) > _MAX_EXPRESSION_BYTES:
            name = "match" if isinstance(event, Match) else "reject"
            self._codec.send(Refused(f"{name} expression too large, must be <= {_MAX_EXPRESSION_BYTES}"))
        elif len(text) > _LONG_EXPRESSION_BYTES:
            self._later(partial(self._filter_later, event, text))
        else:
            self._codec.send(self._selected(event, text))

    async def _filter_later(self, event: Match | Reject, text: str) -> None:
        self._codec.send(await asyncio.to_thread(self._selected, event, text))

    def _selected(self, event: Match | Reject, text: str) -> Ok | Refused:
        """Select by an expression; return the answer. After one that is wrong there is none."""
        name = "match" if isinstance(event, Match) else "reject"
        expression: Expression | None = None
        failure = ""
        try:
            expression = Expression(text) if text else None
        except InvalidValue as error:
            failure = f"Error with {name} expression: {error}"
        match, reject = self.view.match, self.view.reject
        match, reject = (expression, reject) if isinstance(event, Match) else (match, expression)
        self.view = self._views.get(match, reject, self.peer.is_websocket)
        if failure:
            return Refused(failure)
        count = sum(map(self.view.may_send, self.serving.ring.reader.streams.names))
        return Ok(count, f"{count} streams selected after {name}")

    def _stream(self) -> None:
        if self.follower is not None:
            return
        if self._position is None:
            self._position = self.serving.ring.reader.end
        self._flush()  # answers before it come before the packets
        self.peer.note("streams by DataLink")
        self.follow(Follower(self.peer, self.view, self._position))

    def _stop_streaming(self) -> None:
        if self.follower is not None:
            self._position = self.follower.position
            self.unfollow()

    def _info(self, event: Info) -> None:
        if event.kind is InfoType.CONNECTIONS and self.peer.host not in self.serving.rules.trusted:
            self._refuse("Access to CONNECTIONS denied", closes=True)
            return
        self._later(partial(self._send_info, event))

    async def _send_info(self, event: Info) -> None:
        ports = self._ports() if self.peer.host in self.serving.rules.trusted else []
        try:
            info = await server_info(self.serving, event, self.view, self._may_write, ports)
        except InvalidValue as error:
            self._codec.send(Refused(f"Error generating INFO response: {error}"))
            return
        self._codec.send(InfoReply(event.kind, write_info(info, event.kind)))


def _is_same_s(packet: RingPacket, time_ns: int) -> bool:
    return packet.time_ns // NS_PER_S == time_ns // NS_PER_S
