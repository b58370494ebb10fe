"""What a server says: one value for each reply, and its bytes both ways."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rawdaq.protocols.datalink.commands import NS_PER_US
from rawdaq.protocols.datalink.errors import MalformedReply, PayloadTooLarge, UnknownReply
from rawdaq.protocols.datalink.framing import frame
from rawdaq.protocols.datalink.packets import MAX_DATA_BYTES, DataPacket
from rawdaq.protocols.elided import elided

_PACKET = re.compile(rb"PACKET (\S+) (\d{1,20}) (-?\d{1,19}) (-?\d{1,19}) (-?\d{1,19}) (\d{1,10})", re.ASCII)
_SIZED = re.compile(rb"(OK|ERROR|INFO) (\S+) (\d{1,10})", re.ASCII)
_PACKET_WORDS = 6
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_FORMS: Final = {
    b"PACKET": "PACKET streamid pktid pkttime start end size",
    b"OK": "OK value size",
    b"ERROR": "ERROR value size",
    b"INFO": "INFO type size",
}


@dataclass(frozen=True, slots=True)
class Ok:
    """``OK``: done; what *value* is depends on the command."""

    value: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """``ERROR``: not done, for the reason in *text*."""

    text: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class InfoReply:
    """``INFO``: the XML document that was asked for."""

    kind: str
    xml: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """``ENDSTREAM``: no packet follows."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``ID``: who the server is and what it can.

    >>> Identity.of("DataLink v1.1 (RingServer/4.5.3) :: DLPROTO:1.1 PACKETSIZE:512 WRITE").can_write
    True

    Attributes:
        text: all of it.
        software: what stands before the capabilities.
        protocol: version of the protocol; 1.0 when the server does not say it.
        packet_size: the largest data that a packet may have; None when the server does not say it.
        can_write: whether we may write.
        can_authenticate: whether AUTH is known.
        capabilities: all of them, also those that are not known here; those without a value are empty.
    """

    text: str
    software: str
    protocol: tuple[int, int]
    packet_size: int | None
    can_write: bool
    can_authenticate: bool
    capabilities: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> "Identity":
        """Return what *text*, the reply without its first word, says."""
        software, _, listed = text.partition("::")
        named = {name: value for name, _, value in (word.partition(":") for word in listed.split())}
        size = named.get("PACKETSIZE", "")
        version = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", named.get("DLPROTO", ""), re.ASCII)
        return cls(
            text,
            software.strip(),
            (int(version[1]), int(version[2])) if version else (1, 0),
            int(size) if _NUMBER.fullmatch(size) else None,
            "WRITE" in named,
            "AUTH" in named,
            MappingProxyType(named),
        )


Reply = Identity | Ok | Refused | InfoReply | StreamEnded | DataPacket

#: A header that was looked at: of a packet its fields, of other replies its words.
Header = tuple[bytes, ...]


def read_header(header: bytes) -> tuple[Header, int]:
    """Return the words of a reply's header and the size of the data that follow it.

    Raises:
        RemoteProtocolError: it is not a reply.
    """
    match = _PACKET.fullmatch(header) or _SIZED.fullmatch(header)
    if match:
        fields = match.groups()
        size = int(fields[-1])
        if size > MAX_DATA_BYTES:
            raise PayloadTooLarge(elided(header), size, MAX_DATA_BYTES)
        return fields, size
    word = header.split(b" ", 1)[0]
    if word in (b"ID", b"ENDSTREAM"):
        return (word, header[3:]), 0
    if word in _FORMS:
        raise MalformedReply(elided(header), _FORMS[word])
    raise UnknownReply(elided(header))


def decode(header: Header, data: bytes) -> Reply:
    """Return the reply with this *header* and *data*.

    Raises:
        MalformedReply: the value of OK or ERROR is no number.
    """
    if len(header) == _PACKET_WORDS:
        packet_us, start_us, end_us = (int(time_us) * NS_PER_US for time_us in header[2:5])
        stream_id = header[0].decode("utf-8", "surrogateescape")
        return DataPacket(stream_id, int(header[1]), packet_us, start_us, end_us, data)
    word, value = header[:2]
    if word == b"ID":
        return Identity.of(_text(value))
    if word == b"ENDSTREAM":
        return StreamEnded()
    if word == b"INFO":
        return InfoReply(_text(value), data)
    if not value.isdigit():
        raise MalformedReply(elided(b" ".join(header)), _FORMS[word])
    return Ok(int(value), _text(data)) if word == b"OK" else Refused(_text(data).strip(), int(value))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def encode(reply: Reply) -> bytes:
    """Return the packet that says *reply*.

    Raises:
        HeaderTooLong: its words do not fit into a header.
    """
    match reply:
        case DataPacket():
            return reply.wire
        case Identity():
            return frame(f"ID {reply.text}".encode())
        case Ok(value, text):
            return _with_text(f"OK {value}", text.encode())
        case Refused(text, value):
            return _with_text(f"ERROR {value}", text.encode())
        case InfoReply(kind, xml):
            return _with_text(f"INFO {kind}", xml)
        case _:
            return frame(b"ENDSTREAM")


def _with_text(words: str, data: bytes) -> bytes:
    return frame(f"{words} {len(data)}".encode(), data)
