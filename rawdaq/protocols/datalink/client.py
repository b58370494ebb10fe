"""The client's side of DataLink: commands out, replies in, each paired with the command that it answers."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.datalink.commands import (
    AuthToken,
    AuthUserPass,
    Bye,
    Command,
    EndStream,
    Identify,
    Info,
    Match,
    PositionAfter,
    PositionSet,
    Read,
    Reject,
    Stream,
    Write,
    encode,
    encode_write,
)
from rawdaq.protocols.datalink.errors import (
    NotWhileStreaming,
    PayloadEmpty,
    PayloadOverLimit,
    UnexpectedReply,
    WriteNotPermitted,
)
from rawdaq.protocols.datalink.framing import Codec
from rawdaq.protocols.datalink.ids import MAX_ID_BYTES, MAX_ID_BYTES_1_0, check_id
from rawdaq.protocols.datalink.packets import DataPacket, PacketReader
from rawdaq.protocols.datalink.replies import (
    Header,
    Identity,
    InfoReply,
    Ok,
    Refused,
    Reply,
    StreamEnded,
    decode,
    read_header,
)
from rawdaq.protocols.elided import elided

_ANSWERED_BY_OK = (AuthUserPass, AuthToken, PositionSet, PositionAfter, Match, Reject)
_MAY_BE_REFUSED = (*_ANSWERED_BY_OK, Read, Info)
_END_STREAMING = (*_ANSWERED_BY_OK, Read)
_MAX_CHECKED_IDS = 100_000  # remembered, so that an id is looked at once

# Acknowledgements come by the thousand, one after the other: a run of them is found and read by two calls.
_ACKNOWLEDGEMENTS = re.compile(rb"(?:DL[\x06-\x19]OK \d{1,20} 0)+", re.DOTALL)
_VALUE = re.compile(rb"OK (\d+)")
_AROUND_VALUE_BYTES = 8  # of an acknowledgement, besides the digits of its value
_HEADER_AROUND_VALUE_BYTES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and the command that it answers."""

    command: Command
    reply: Reply


@dataclass(slots=True)
class _Writes:
    """Packets in a row whose acknowledgements are awaited."""

    count: int


class Acknowledged(NamedTuple):
    """Packets that are in the ring, in the order in which they were written.

    Attributes:
        packet_ids: the ids that the server gave them.
    """

    packet_ids: list[int]


class Streamed(NamedTuple):
    """Packets of the stream.

    Attributes:
        packets: they, in order.
        size_bytes: how much they are, with their headers.
    """

    packets: list[DataPacket]
    size_bytes: int


#: A `Refused` that stands alone answers no command: it is about a WRITE or a STREAM, or is the server's farewell.
ClientEvent = Answer | Acknowledged | Streamed | Refused


class DataLinkClient(Codec[Header]):
    """The client's codec.

    Attributes:
        identity: who the server is and what it can, once it has said so; from then on what it would refuse is refused
            here.
    """

    def __init__(self) -> None:
        self.identity: Identity | None = None
        super().__init__(read_header)
        self._packets = PacketReader()
        self._awaited: deque[Command | _Writes] = deque()
        self._is_streaming = False  # as the server will see it when it has read all that was sent
        self._has_packets = False  # packets may come that answer no READ
        self._checked_ids: set[str] = set()

    @property
    def is_streaming(self) -> bool:
        """Whether STREAM was sent, and ENDSTREAM was not answered yet."""
        return self._has_packets

    @property
    def queued_packets(self) -> int:
        """How many packets wait to be sent."""
        return len(self._out)

    def send(self, command: Command) -> None:
        """Queue *command*.

        Raises:
            LocalProtocolError: the protocol cannot say it, the server would refuse it, or it would end streaming.
        """
        if isinstance(command, Write):
            self.send_write(command)
            return
        if self._is_streaming and isinstance(command, _END_STREAMING):
            raise NotWhileStreaming(type(command).__name__)
        self._out.append(encode(command))
        if isinstance(command, Stream):
            self._is_streaming = self._has_packets = True
        elif not isinstance(command, Bye):
            self._awaited.append(command)
            if isinstance(command, EndStream):
                self._is_streaming = False

    def send_write(self, write: Write) -> None:
        """Queue one packet.

        Raises:
            LocalProtocolError: a server would refuse it.
        """
        self._check(write)
        self._out.append(encode_write(write))
        if write.is_acknowledged:
            last = self._awaited[-1] if self._awaited else None
            if isinstance(last, _Writes):
                last.count += 1
            else:
                self._awaited.append(_Writes(1))

    def _check(self, write: Write) -> None:
        identity = self.identity
        if write.stream_id not in self._checked_ids:
            is_old = identity is not None and identity.protocol < (1, 1)
            check_id(write.stream_id, MAX_ID_BYTES_1_0 if is_old else MAX_ID_BYTES)
            if len(self._checked_ids) < _MAX_CHECKED_IDS:
                self._checked_ids.add(write.stream_id)
        if not write.data:
            raise PayloadEmpty(write.stream_id)
        if identity is None:
            return
        if not identity.can_write:
            raise WriteNotPermitted(identity.software)
        if identity.packet_size is not None and len(write.data) > identity.packet_size:
            raise PayloadOverLimit(write.stream_id, len(write.data), identity.packet_size)

    def receive_data(self, data: bytes | memoryview) -> Iterator[ClientEvent]:
        """Yield what *data*, cut anywhere, completes.

        Raises:
            RemoteProtocolError: the server sent what is no DataLink, now or in an earlier call.
        """
        self._frames.feed(data)
        while True:
            awaited = self._awaited[0] if self._awaited else None
            if isinstance(awaited, _Writes) and (packet_ids := self._acknowledged(awaited)):
                yield Acknowledged(packet_ids)
            elif self._has_packets and not isinstance(awaited, Read) and (streamed := self._streamed()):
                yield streamed
            elif taken := self._frames.take():
                yield self._event(*taken, awaited)
            else:
                return

    def receive_message(self, message: bytes | memoryview) -> Iterator[ClientEvent]:
        """Yield what a WebSocket message holds.

        Raises:
            RemoteProtocolError: it holds no whole packet, or the server sent what is no DataLink before.
        """
        yield from self.receive_data(message)
        self._frames.end_message()

    def receive_eof(self) -> None:
        """Take note that the server closed the connection.

        Raises:
            RemoteProtocolError: it did so in the middle of a packet, or broke the protocol before.
        """
        self._frames.receive_eof()

    def _acknowledged(self, awaited: _Writes) -> list[int]:
        """Take a run of acknowledgements; return the ids in them."""
        frames = self._frames
        run = _ACKNOWLEDGEMENTS.match(frames.buffer, frames.begin)
        if run is None:
            return []
        values = _VALUE.findall(frames.buffer, frames.begin, run.end())
        del values[awaited.count :]
        end = frames.begin + sum(map(len, values)) + _AROUND_VALUE_BYTES * len(values)
        last = end - len(values[-1]) - _AROUND_VALUE_BYTES
        if frames.buffer[last + 2] != len(values[-1]) + _HEADER_AROUND_VALUE_BYTES:
            end = last  # its header goes on behind what was found
            del values[-1]
        frames.begin = end
        self._count(awaited, len(values))
        return [int(value) for value in values]

    def _streamed(self) -> Streamed | None:
        """Take the packets that come next; None when something else does."""
        frames, begin = self._frames, self._frames.begin
        packets, frames.begin = self._packets.take(frames.buffer, begin)
        return Streamed(packets, frames.begin - begin) if packets else None

    def _count(self, awaited: _Writes, acknowledged: int) -> None:
        awaited.count -= acknowledged
        if not awaited.count:
            self._awaited.popleft()

    def _event(self, header: Header, payload: bytes, awaited: Command | _Writes | None) -> ClientEvent:
        """Return what a reply is about.

        Raises:
            MalformedReply: the value of OK or ERROR is no number.
            UnexpectedReply: it answers nothing that was asked.
        """
        try:
            reply = decode(header, payload)
        except RemoteProtocolError as error:
            raise self._frames.fail(error) from None
        if isinstance(awaited, _Writes):
            if isinstance(reply, Ok):
                self._count(awaited, 1)
                return Acknowledged([reply.value])
        elif awaited is not None and _answers(reply, awaited):
            self._awaited.popleft()
            self._take_note(reply)
            return Answer(awaited, reply)
        if isinstance(reply, Refused):
            return reply
        raise self._frames.fail(UnexpectedReply(elided(b" ".join(header)), _named(awaited)))

    def _take_note(self, reply: Reply) -> None:
        if isinstance(reply, StreamEnded):
            self._has_packets = self._is_streaming
        elif isinstance(reply, Identity):
            if self.identity is None or self.identity.protocol != reply.protocol:
                self._checked_ids.clear()
            self.identity = reply


def _named(awaited: Command | _Writes | None) -> str:
    """Return what is awaited, in words."""
    if awaited is None:
        return "nothing"
    return "an acknowledgement" if isinstance(awaited, _Writes) else f"the answer to {type(awaited).__name__}"


def _answers(reply: Reply, command: Command) -> bool:
    match reply:
        case Identity():
            return isinstance(command, Identify)
        case Ok():
            return isinstance(command, _ANSWERED_BY_OK)
        case Refused():
            return isinstance(command, _MAY_BE_REFUSED)
        case InfoReply():
            return isinstance(command, Info)
        case StreamEnded():
            return isinstance(command, EndStream)
        case _:
            return isinstance(command, Read)
