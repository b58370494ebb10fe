"""What a client says: one value for each command, and its bytes. Times are nanoseconds; on the wire microseconds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from rawdaq.protocols.datalink.errors import ValueUnsendable
from rawdaq.protocols.datalink.framing import frame

NS_PER_US: Final = 1000
MAX_EXPRESSION_BYTES: Final = 1 << 20  # ringserver's nominal limit
MAX_CREDENTIAL_BYTES: Final = 4095  # ringserver's


class Word(StrEnum):
    """The first word of a command."""

    ID = "ID"
    AUTH = "AUTH"
    POSITION = "POSITION"
    MATCH = "MATCH"
    REJECT = "REJECT"
    WRITE = "WRITE"
    READ = "READ"
    STREAM = "STREAM"
    ENDSTREAM = "ENDSTREAM"
    INFO = "INFO"
    BYE = "BYE"


class Place(StrEnum):
    """The ends of a ring."""

    EARLIEST = "EARLIEST"
    LATEST = "LATEST"


class InfoType(StrEnum):
    """What INFO can ask."""

    STATUS = "STATUS"
    STREAMS = "STREAMS"
    CONNECTIONS = "CONNECTIONS"


@dataclass(frozen=True, slots=True)
class Identify:
    """``ID``: who we are (``program:user:pid:architecture``); the server says who it is and what it can."""

    client_id: str = ""


@dataclass(frozen=True, slots=True)
class AuthUserPass:
    """``AUTH USERPASS``."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class AuthToken:
    """``AUTH JWT``."""

    token: str


@dataclass(frozen=True, slots=True)
class PositionSet:
    """``POSITION SET``: this packet counts as read.

    Attributes:
        packet: an id, or an end of the ring.
        time_ns: when the server took the packet that is meant.
    """

    packet: int | Place
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class PositionAfter:
    """``POSITION AFTER``: the first packet whose data end after this time counts as read."""

    time_ns: int


@dataclass(frozen=True, slots=True)
class Match:
    """``MATCH``: only streams that this expression finds; None: all."""

    expression: str | None


@dataclass(frozen=True, slots=True)
class Reject:
    """``REJECT``: no streams that this expression finds; None: no such."""

    expression: str | None


class Write(NamedTuple):
    """``WRITE``: put a packet into the ring.

    Attributes:
        stream_id: the stream's name.
        start_ns: time of the first sample.
        end_ns: time of the last one.
        data: the packet.
        is_acknowledged: whether the server is to say the id that it gave.
        packet_id: the id that it is to have (flag I); None leaves that to the server.
    """

    stream_id: str
    start_ns: int
    end_ns: int
    data: bytes
    is_acknowledged: bool = True
    packet_id: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """``READ``: this packet, which then counts as read."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Stream:
    """``STREAM``: every packet after the position, and all that will come."""


@dataclass(frozen=True, slots=True)
class EndStream:
    """``ENDSTREAM``: no more."""


@dataclass(frozen=True, slots=True)
class Info:
    """``INFO``: *expression* selects streams or connections."""

    kind: InfoType
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Bye:
    """``BYE``: the server closes."""


Command = (
    Identify
    | AuthUserPass
    | AuthToken
    | PositionSet
    | PositionAfter
    | Match
    | Reject
    | Write
    | Read
    | Stream
    | EndStream
    | Info
    | Bye
)


def encode(command: Command) -> bytes:
    """Return the packet that says *command*.

    Raises:
        LocalProtocolError: no packet can say it.
    """
    match command:
        case Identify(client_id):
            return frame(f"ID {client_id}".rstrip().encode("utf-8", "surrogateescape"))
        case AuthUserPass(user, password):
            if "\r" in user:
                raise ValueUnsendable("a user name", "cannot contain a carriage return")
            return _with_data("AUTH USERPASS", f"{user}\r{password}", MAX_CREDENTIAL_BYTES)
        case AuthToken(token):
            return _with_data("AUTH JWT", token, MAX_CREDENTIAL_BYTES)
        case PositionSet(packet, time_ns):
            time = "" if time_ns is None else f" {time_ns // NS_PER_US}"
            return frame(f"POSITION SET {packet}{time}".encode())
        case PositionAfter(time_ns):
            return frame(f"POSITION AFTER {time_ns // NS_PER_US}".encode())
        case Match(expression):
            return _with_data("MATCH", expression, MAX_EXPRESSION_BYTES)
        case Reject(expression):
            return _with_data("REJECT", expression, MAX_EXPRESSION_BYTES)
        case Write():
            return encode_write(command)
        case Read(packet_id):
            return frame(f"READ {packet_id}".encode())
        case Info(kind, expression):
            return _with_data(f"INFO {kind}", expression, MAX_EXPRESSION_BYTES)
        case _:
            return frame(type(command).__name__.upper().encode())


def encode_write(write: Write) -> bytes:
    """Return the packet that says *write*.

    Raises:
        HeaderTooLong: the stream id leaves no room in the header.
    """
    flags, number = "A" if write.is_acknowledged else "N", ""
    if write.packet_id is not None:
        flags, number = f"{flags}I", f" {write.packet_id}"
    header = (
        f"WRITE {write.stream_id} {write.start_ns // NS_PER_US} {write.end_ns // NS_PER_US} "
        f"{flags} {len(write.data)}{number}"
    )
    return frame(header.encode("utf-8", "surrogateescape"), write.data)


def _with_data(header: str, text: str | None, limit_bytes: int) -> bytes:
    if text is None:
        return frame(header.encode())
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > limit_bytes:
        raise ValueUnsendable(f"the data of {header}", f"have {len(data)} bytes, the limit is {limit_bytes}")
    return frame(f"{header} {len(data)}".encode(), data)
