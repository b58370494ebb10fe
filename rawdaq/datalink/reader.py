"""Positions, expressions, and packets one by one or as a stream."""

import contextlib
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from operator import length_hint
from typing import Any, Final

from rawdaq.datalink.errors import DataLinkError, ServerRefused
from rawdaq.datalink.session import Session, value_of
from rawdaq.errors import ProtocolError
from rawdaq.protocols.datalink import (
    DataPacket,
    Identify,
    Match,
    Place,
    PositionAfter,
    PositionSet,
    Read,
    Reject,
    Reply,
    Stream,
)

_PROBE_S: Final = 10.0  # a stream in which nothing comes for so long is asked whether it is alive

#: Of a full ring that is written fast the oldest packet is overwritten before it is read: then one behind it.
_AHEAD: Final = (0, 1, 8, 64, 512, 4096, 0)


class Reader(Session):
    """The reading side of `rawdaq.datalink.DataLink`."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._filters: dict[type[Match | Reject], Match | Reject] = {}
        self._position: PositionSet | DataPacket | None = None  # what counts as read
        self._held: Iterator[DataPacket] = iter([])  # of a list: packets that are taken next

    async def aclose(self) -> None:
        """Send what is queued and close the connection; may be called twice."""
        self._drop_held()
        await super().aclose()

    async def reconnect(self) -> None:
        """Connect anew, with the expressions and the position that the old connection had.

        Raises:
            ServerRefused: the server no longer has the packet that was read last.
            DataLinkError: it is impossible.
        """
        await self.open()
        for command in self._filters.values():
            await self.connection.ask(command)
        if self._position is not None:
            await self.connection.ask(_exact(self._position))

    async def match(self, expression: str | None) -> int:
        """Select the streams that *expression* finds (None or empty: all); return how many the server has.

        Raises:
            ServerRefused: the expression is wrong.
            DataLinkError: there is no answer, or no connection.
        """
        return await self._filter(Match(expression or None))

    async def reject(self, expression: str | None) -> int:
        """Leave out the streams that *expression* finds (None or empty: none); return how many are left.

        Raises:
            ServerRefused: the expression is wrong.
            DataLinkError: there is no answer, or no connection.
        """
        return await self._filter(Reject(expression or None))

    async def _filter(self, command: Match | Reject) -> int:
        value = value_of(await self._ask(command))
        self._filters[type(command)] = command
        await self._go_back()
        return value

    async def _go_back(self) -> None:
        """Let the server send again, chosen by other expressions, what has come and was not taken."""
        untaken = [*self._held]  # which leaves nothing in it
        while packets := self.connection.take():
            untaken += packets
        if not untaken:
            return
        self._forget()
        if self._position is None:  # it streamed from some moment on
            self._held = iter([packet for packet in untaken if self.passes(packet)])
            return
        with contextlib.suppress(ServerRefused):  # it is gone meanwhile, and so are some of those behind it
            await self.connection.ask(_exact(self._position))

    def passes(self, packet: DataPacket) -> bool:
        """Whether the expressions let *packet* pass, which READ does not ask."""
        match, reject = self._filters.get(Match), self._filters.get(Reject)
        return _finds(match, packet, True) and not _finds(reject, packet, False)

    async def position_set(self, packet_id: int, time_ns: int | None = None) -> int:
        """Go to a packet, which counts as read: `stream` begins with the one after it. Return its id.

        Args:
            packet_id: its id.
            time_ns: when the server took it; another packet with this id is not meant.

        Raises:
            ServerRefused: the server does not have it (any more); the position is the old one.
            DataLinkError: there is no answer, or no connection.
        """
        return await self._go(PositionSet(packet_id, time_ns))

    async def position_earliest(self) -> int:
        """Go to the oldest packet, which counts as read; return its id, 0 when there is none.

        ``stream(start="earliest")`` gives that packet, too.

        Raises:
            DataLinkError: there is no answer, or no connection.
        """
        return await self._go(PositionSet(Place.EARLIEST))

    async def position_latest(self) -> int:
        """Go to the newest packet, which counts as read; return its id, 0 when there is none.

        Raises:
            DataLinkError: there is no answer, or no connection.
        """
        return await self._go(PositionSet(Place.LATEST))

    async def position_after(self, time_ns: int) -> int:
        """Go to the first packet whose data end after *time_ns*, which counts as read; return its id.

        Raises:
            ServerRefused: the server has no packet at all.
            DataLinkError: there is no answer, or no connection.
        """
        return await self._go(PositionAfter(time_ns))

    async def _go(self, command: PositionSet | PositionAfter) -> int:
        packet_id = value_of(await self._ask(command))
        is_exact = isinstance(command, PositionSet) and not isinstance(command.packet, Place)
        self._position = PositionSet(packet_id, command.time_ns if is_exact else None)
        self._forget()
        return packet_id

    def _forget(self) -> None:
        """Let the packets go that came before the position was another one."""
        self._drop_held()
        while self.connection.take():
            pass

    def _drop_held(self) -> None:
        """Empty the iterator, which a stream that is suspended may be in the middle of."""
        deque(self._held, maxlen=0)

    async def read(self, packet_id: int) -> DataPacket:
        """Return a packet, which then counts as read; expressions do not matter.

        Raises:
            ServerRefused: the server does not have it (any more).
            DataLinkError: there is no answer, or no connection.
        """
        packet = _packet(await self._ask(Read(packet_id)))
        self._position = packet
        self._forget()
        return packet

    async def read_earliest(self) -> DataPacket:
        """Return the oldest packet, which then counts as read.

        Raises:
            ServerRefused: there is none, or it is overwritten again and again before it is read.
            DataLinkError: there is no answer, or no connection.
        """
        for ahead in _AHEAD:
            packet_id = await self.position_earliest()
            with contextlib.suppress(ServerRefused):
                return await self.read(packet_id + ahead)
        raise ServerRefused("READ", "there is no earliest packet, or it is overwritten before it can be read")

    async def read_latest(self) -> DataPacket:
        """Return the newest packet, which then counts as read.

        Raises:
            ServerRefused: there is none.
            DataLinkError: there is no answer, or no connection.
        """
        return await self.read(await self.position_latest())

    async def stream(self, start: str | None = None, timeout_s: float | None = None) -> AsyncGenerator[DataPacket]:
        """Yield every packet after the position, and those that come, until it is left.

        Args:
            start: ``earliest`` begins with the oldest packet, ``latest`` with the next that comes; by default it goes
                on after the position or what was read last, and without either begins with the next that comes.
            timeout_s: end when nothing came for so long.

        Raises:
            DataLinkError: the connection has ended.
            RemoteProtocolError: the server sent what is no DataLink.
        """
        await self.begin_stream(start)
        try:
            while await self.wait_for_packet(timeout_s):
                for packet in self._held:
                    self._position = packet
                    yield packet
        finally:
            with contextlib.suppress(DataLinkError, ProtocolError):
                await self.end_stream()

    async def begin_stream(self, start: str | None = None) -> None:
        """Let packets come, as `stream` does.

        Raises:
            DataLinkError: the connection has ended.
            ValueError: *start* is neither ``earliest`` nor ``latest``.
        """
        if start not in (None, "earliest", "latest"):
            raise ValueError(f"start {start!r} is neither 'earliest' nor 'latest'")
        if start == "earliest":
            await self.end_stream()
            await self._begin_earliest()
            return
        if start == "latest":
            await self.position_latest()
        if not self.connection.codec.is_streaming:
            self.connection.say(Stream())

    async def _begin_earliest(self) -> None:
        """Stream from the oldest packet on, that packet included.

        A position names a packet that counts as read, so it is read first. What follows is asked in the same breath:
        were its slot of the ring overwritten in between, ringserver would go on behind whatever is there then.
        """
        connection = self.connection
        for ahead in _AHEAD:
            self._forget()
            while (packet_id := value_of(await connection.ask(PositionSet(Place.EARLIEST)))) == 0:
                if await self._begin_empty():
                    return
            with contextlib.suppress(ServerRefused):
                packet = await self.stream_from(packet_id + ahead)
                if self.passes(packet):
                    self._held = iter([packet])
                return
        raise ServerRefused("READ", "the earliest packet is overwritten before it can be read")

    async def stream_from(self, packet_id: int) -> DataPacket:
        """Return a packet, as `read` does, and let those after it come; what others write meanwhile loses none.

        Raises:
            ServerRefused: the server does not have it (any more); no packets come.
            DataLinkError: there is no answer, or no connection.
        """
        await self.end_stream()
        self._forget()
        connection = self.connection
        reading = connection.post(Read(packet_id))
        connection.say(Stream())
        try:
            self._position = packet = _packet(await connection.answer(reading, "READ"))
        except ServerRefused:
            await self.leave()
            raise
        return packet

    async def leave(self) -> None:
        """Let no more packets come, and forget those that came and were not taken.

        Raises:
            DataLinkError: the connection has ended.
        """
        await self.end_stream()
        self._forget()

    async def _begin_empty(self) -> bool:
        """Stream all of a ring that is empty; return whether it still was when the server began."""
        connection = self.connection
        going = connection.post(PositionSet(Place.EARLIEST))
        connection.say(Stream())
        if value_of(await connection.answer(going, "POSITION")) == 0:
            return True
        await self.leave()
        return False

    def take(self) -> DataPacket | None:
        """Return the next packet that `wait_for_packet` has found, None when there is none."""
        packet = next(self._held, None)
        if packet is not None:
            self._position = packet
        return packet

    def take_all(self) -> list[DataPacket]:
        """Return all packets that `wait_for_packet` has found."""
        packets = [*self._held]
        if packets:
            self._position = packets[-1]
        return packets

    async def wait_for_packet(self, timeout_s: float | None = None) -> bool:
        """Return whether within *timeout_s* a packet came; a silent server is asked whether it is alive.

        Raises:
            DataLinkError: the connection has ended, and all that came before is taken.
            RemoteProtocolError: the server sent what is no DataLink.
        """
        connection = self.connection
        left_s = _PROBE_S if timeout_s is None else timeout_s
        while not length_hint(self._held):
            if packets := connection.take():
                self._held = iter(packets)
                return True
            connection.check()
            if not connection.codec.is_streaming:  # another command had to end it
                connection.say(Stream())
            wait_s = min(left_s, _PROBE_S)
            if await connection.wait_for_packet(wait_s):
                continue
            if timeout_s is None:
                await connection.ask(Identify(self.client_id))
            else:
                left_s -= wait_s
                if left_s <= 0:
                    return False
                await connection.ask(Identify(self.client_id))
        return True


def _exact(position: PositionSet | DataPacket) -> PositionSet:
    """Return the command that goes to *position*."""
    if isinstance(position, PositionSet):
        return position
    return PositionSet(position.packet_id, position.packet_time_ns)


def _packet(reply: Reply) -> DataPacket:
    if not isinstance(reply, DataPacket):
        raise ServerRefused("READ", "it answered with something else")
    return reply


def _finds(command: Match | Reject | None, packet: DataPacket, otherwise: bool) -> bool:
    """Whether the expression of *command* finds *packet*; *otherwise* when there is none, or only PCRE knows it."""
    if command is None or command.expression is None:
        return otherwise
    try:
        return re.search(command.expression, packet.stream_id) is not None
    except re.error:
        return otherwise
