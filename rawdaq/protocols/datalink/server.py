"""The server's side of DataLink: commands in, replies out; what a command may say, and what a wrong one is answered."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rawdaq.protocols.datalink import replies
from rawdaq.protocols.datalink.commands import (
    MAX_CREDENTIAL_BYTES,
    MAX_EXPRESSION_BYTES,
    NS_PER_US,
    AuthToken,
    AuthUserPass,
    Bye,
    Command,
    EndStream,
    Identify,
    Info,
    InfoType,
    Match,
    Place,
    PositionAfter,
    PositionSet,
    Read,
    Reject,
    Stream,
    Word,
    Write,
)
from rawdaq.protocols.datalink.framing import Codec
from rawdaq.protocols.datalink.ids import MAX_ID_BYTES
from rawdaq.protocols.datalink.replies import Reply

#: The ids above are the codes that servers use for "earliest", "assign one" and the like.
MAX_PACKET_ID: Final = 2**64 - 12

_MAX_WORDS = 16
_MAX_CONSUMED_BYTES = 1 << 20  # of data that belong to a command which is refused; more closes the connection
_MIN_TIME_US, _MAX_TIME_US = -(2**63) // NS_PER_US + 1, 2**63 // NS_PER_US - 1
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_TIME = re.compile(r"-?\d{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A command that cannot be.

    Attributes:
        text: what the client is to read in an ERROR.
        closes: whether the connection must be closed after it, because what follows is out of step.
    """

    text: str
    closes: bool = False


ServerEvent = Command | BadCommand
_Words = list[str]


class DataLinkServer(Codec[_Words]):
    """The server's codec.

    Args:
        packet_size: the largest data that WRITE may bring (PACKETSIZE).
    """

    def __init__(self, packet_size: int) -> None:
        self._packet_size = packet_size
        super().__init__(self._read_header)
        self._is_over = False

    def send(self, reply: Reply) -> None:
        """Queue *reply*.

        Raises:
            HeaderTooLong: its words do not fit into a header.
        """
        self._out.append(replies.encode(reply))

    def receive_data(self, data: bytes | memoryview) -> Iterator[ServerEvent]:
        """Yield what *data*, cut anywhere, completes; nothing more after what closes the connection.

        Raises:
            RemoteProtocolError: the client sent what is no DataLink, now or in an earlier call.
        """
        self._frames.feed(data)
        while not self._is_over and (taken := self._frames.take()) is not None:
            event = self._event(*taken)
            self._is_over = isinstance(event, Bye) or (isinstance(event, BadCommand) and event.closes)
            yield event

    def receive_message(self, message: bytes | memoryview) -> Iterator[ServerEvent]:
        """Yield what a WebSocket message holds; clients may put several packets into one.

        Raises:
            RemoteProtocolError: it ends in the middle of a packet, or the client sent what is no DataLink.
        """
        yield from self.receive_data(message)
        if not self._is_over:
            self._frames.end_message()

    def receive_eof(self) -> None:
        """Take note that the client closed the connection.

        Raises:
            RemoteProtocolError: it did so in the middle of a packet, or broke the protocol before.
        """
        if not self._is_over:
            self._frames.receive_eof()

    def _read_header(self, header: bytes) -> tuple[_Words, int]:
        """Return the words of a command and the size of the data that follow; 0 when the command does not say it."""
        words = header.decode("utf-8", "surrogateescape").split()[:_MAX_WORDS]
        if not words:
            return words, 0
        words[0] = words[0].upper()
        limit = self._packet_size if words[0] == Word.WRITE else _MAX_CONSUMED_BYTES
        at = _DATA_AT.get(words[0])
        if at is None or len(words) <= at or not _NUMBER.fullmatch(words[at]):
            return words, 0
        if words[0] == Word.WRITE and not (_is_time(words[2]) and _is_time(words[3])):
            return words, 0  # which closes the connection: data need not be waited for
        if words[0] != Word.WRITE and len(words) > at + 1:
            return words, 0
        size = int(words[at])
        return words, size if size <= limit else 0

    def _event(self, words: _Words, data: bytes) -> ServerEvent:
        read = _READERS.get(words[0]) if words else None
        if read is None:
            return BadCommand("Unrecognized command")
        return read(words, data, self._packet_size)


def _read_id(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    return Identify(" ".join(words[1:]))


def _read_auth(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    if len(words) != 3:
        return BadCommand("AUTH requires 2 arguments")
    if not _NUMBER.fullmatch(words[2]):
        return BadCommand("AUTH size argument is invalid")
    if int(words[2]) > MAX_CREDENTIAL_BYTES:
        return BadCommand("AUTH credentials are too large", closes=int(words[2]) > _MAX_CONSUMED_BYTES)
    text = data.decode("utf-8", "surrogateescape")
    match words[1].upper():
        case "USERPASS":
            user, end, password = text.partition("\r")
            return (
                AuthUserPass(user, password) if end else BadCommand("AUTH USERPASS requires a payload of USER\\rPASS")
            )
        case "JWT":
            return AuthToken(text)
        case _:
            return BadCommand("Unsupported AUTH type")


def _read_position(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    match [words[1].upper(), *words[2:]] if len(words) > 1 else []:
        case ["SET", place] | ["SET", place, _] if place.upper() in list(Place):
            return PositionSet(Place(place.upper()))
        case ["SET", number] if _NUMBER.fullmatch(number):
            return PositionSet(int(number))
        case ["SET", number, time] if _NUMBER.fullmatch(number) and _is_time(time):
            return PositionSet(int(number), int(time) * NS_PER_US)
        case ["AFTER", time] if _is_time(time):
            return PositionAfter(int(time) * NS_PER_US)
        case _:
            return BadCommand("Error parsing POSITION command parameters")


def _read_expression(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    make = Match if words[0] == Word.MATCH else Reject
    if len(words) == 1:
        return make(None)
    if len(words) > 2 or not _NUMBER.fullmatch(words[1]):
        return BadCommand(f"{words[0]} size argument is invalid")
    if int(words[1]) > MAX_EXPRESSION_BYTES:
        limit = f"must be <= {MAX_EXPRESSION_BYTES}"
        return BadCommand(f"{words[0].lower()} expression too large, {limit}", closes=True)
    return make(data.decode("utf-8", "surrogateescape"))


def _read_write(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    if len(words) not in (6, 7) or not (_is_time(words[2]) and _is_time(words[3]) and _NUMBER.fullmatch(words[5])):
        return BadCommand("Error parsing WRITE command parameters", closes=True)
    _, stream_id, start, end, flags, size, *number = words
    if len(stream_id.encode("utf-8", "surrogateescape")) > MAX_ID_BYTES:
        return BadCommand("Error, stream ID too long", closes=True)
    if int(size) > packet_size:
        reason = f"Packet size ({size}) is too large for ring, maximum is {packet_size} bytes"
        return BadCommand(reason, closes=True)
    packet_id = None
    if "I" in flags:
        if not number or not _NUMBER.fullmatch(number[0]) or int(number[0]) > MAX_PACKET_ID:
            return BadCommand(f"Flag I needs a packet ID of 0 to {MAX_PACKET_ID}", closes=True)
        packet_id = int(number[0])
    return Write(stream_id, int(start) * NS_PER_US, int(end) * NS_PER_US, data, "A" in flags, packet_id)


def _read_read(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    if len(words) != 2 or not _NUMBER.fullmatch(words[1]):
        return BadCommand("Error parsing READ command parameters")
    return Read(int(words[1]))


def _read_info(words: _Words, data: bytes, packet_size: int) -> ServerEvent:
    match words[1:]:
        case [kind] if kind.upper() in list(InfoType):
            return Info(InfoType(kind.upper()))
        case [kind, size] if kind.upper() in list(InfoType) and _NUMBER.fullmatch(size):
            if int(size) > MAX_EXPRESSION_BYTES:
                return BadCommand("INFO expression is too large", closes=True)
            return Info(InfoType(kind.upper()), data.decode("utf-8", "surrogateescape"))
        case _:
            return BadCommand("Unrecognized INFO request", closes=True)


def _is_time(text: str) -> bool:
    """Whether *text* is a time in microseconds that nanoseconds in 64 bits can hold."""
    return _TIME.fullmatch(text) is not None and _MIN_TIME_US <= int(text) <= _MAX_TIME_US


#: Which word of a command is the size of its data.
_DATA_AT: Final[dict[str, int]] = {Word.AUTH: 2, Word.MATCH: 1, Word.REJECT: 1, Word.INFO: 2, Word.WRITE: 5}

_READERS: Final[dict[str, Callable[[_Words, bytes, int], ServerEvent]]] = {
    Word.ID: _read_id,
    Word.AUTH: _read_auth,
    Word.POSITION: _read_position,
    Word.MATCH: _read_expression,
    Word.REJECT: _read_expression,
    Word.WRITE: _read_write,
    Word.READ: _read_read,
    Word.STREAM: lambda words, data, packet_size: Stream(),
    Word.ENDSTREAM: lambda words, data, packet_size: EndStream(),
    Word.INFO: _read_info,
    Word.BYE: lambda words, data, packet_size: Bye(),
}
