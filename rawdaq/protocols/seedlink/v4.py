"""What only version 4 has: packet headers with a station and a format, sequence numbers of 64 bits, its way to ask."""

import re
import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.errors import PacketWrong, PayloadTooLarge
from rawdaq.protocols.seedlink.records import MAX_RECORD_BYTES
from rawdaq.protocols.seedlink.requests import Start, StationRequest
from rawdaq.protocols.seedlink.words import Word
from rawdaq.times import to_iso

#: Signature, format, subformat, payload bytes, sequence, bytes of the station id; the id follows.
HEADER = struct.Struct("<2sccIQB")
SIGNATURE = b"SE"

#: libslink ends the whole program at a longer station id.
MAX_STATION_BYTES = 21
#: slinktool reads no more of a payload.
MAX_PAYLOAD_BYTES = MAX_RECORD_BYTES
#: An INFO answer may be longer: 100 000 streams of 300 bytes.
MAX_INFO_BYTES = 32 << 20
#: The two numbers above it mean something else to libslink, which closes the connection at them.
MAX_SEQUENCE = 2**64 - 3

_SEQUENCE = re.compile(r"\d{1,20}", re.ASCII)
_FORMATS = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Format(StrEnum):
    """The formats of packets that have a meaning; others are free."""

    MINISEED_2 = "2"
    MINISEED_3 = "3"
    JSON = "J"
    XML = "X"


#: The subformats of `Format.JSON`.
JSON_INFO, JSON_ERROR = "I", "E"


class PacketHeader(NamedTuple):
    """The fixed part of a packet's header.

    Attributes:
        format: what the payload is, one letter or digit.
        subformat: what kind of it.
        payload_bytes: its length.
        sequence: the packet's number among those of its station.
        station_bytes: length of the station id, which follows the header.
    """

    format: str
    subformat: str
    payload_bytes: int
    sequence: int
    station_bytes: int


def packet_header(sequence: int, station: str, packet_format: str, subformat: str, payload_bytes: int) -> bytes:
    """Return the header of a packet, the station id included.

    Raises:
        LocalProtocolError: no packet can say one of the values; the text names it.

    >>> packet_header(1000, "XX_ABC", "2", "D", 512).hex(" ")
    '53 45 32 44 00 02 00 00 e8 03 00 00 00 00 00 00 06 58 58 5f 41 42 43'
    """
    name, kind = station.encode("ascii", "replace"), (packet_format + subformat).encode("ascii", "replace")
    limit = MAX_INFO_BYTES if packet_format == Format.JSON else MAX_PAYLOAD_BYTES
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise LocalProtocolError(f"sequence number {sequence} is not in 0-{MAX_SEQUENCE}")
    if len(name) > MAX_STATION_BYTES or not station.isascii():
        raise LocalProtocolError(f"station {station!r} is not ASCII of at most {MAX_STATION_BYTES} characters")
    if len(packet_format) != 1 or len(subformat) != 1 or not _FORMATS.issuperset(kind):
        raise LocalProtocolError(f"format {packet_format!r} {subformat!r} is not two characters of 0-9 A-Z")
    if payload_bytes > limit:
        raise LocalProtocolError(f"payload of {payload_bytes} bytes, limit is {limit}")
    return HEADER.pack(SIGNATURE, kind[:1], kind[1:], payload_bytes, sequence, len(name)) + name


def read_header(data: bytes | bytearray | memoryview, begin: int) -> PacketHeader:
    """Return the fixed part of the header at *begin* of *data*, all of which is there.

    Raises:
        PacketWrong: a field has a value that cannot be.
        PayloadTooLarge: the payload is longer than is taken.
    """
    signature, packet_format, subformat, size_bytes, sequence, station_bytes = HEADER.unpack_from(data, begin)
    if signature != SIGNATURE:
        raise PacketWrong("the signature", elided(signature))
    if packet_format[0] not in _FORMATS or subformat[0] not in _FORMATS:
        raise PacketWrong("the format", elided(packet_format + subformat))
    if sequence > MAX_SEQUENCE:
        raise PacketWrong("the sequence number", str(sequence))
    limit_bytes = MAX_INFO_BYTES if packet_format == b"J" else MAX_PAYLOAD_BYTES
    if size_bytes > limit_bytes:
        raise PayloadTooLarge("the payload of a SeedLink packet", size_bytes, limit_bytes)
    return PacketHeader(packet_format.decode(), subformat.decode(), size_bytes, sequence, station_bytes)


def parse_sequence(text: str) -> int:
    """Return the sequence number that a client asks for.

    Raises:
        InvalidValue: it is not a decimal number of 64 bits.
    """
    if not _SEQUENCE.fullmatch(text) or int(text) >= 2**64:
        raise InvalidValue(f"sequence {text[:30]!r} is not a decimal number of 64 bits")
    return int(text)


def request_lines(request: StationRequest) -> Iterator[str]:
    """Yield the lines by which a client asks for a station: STATION, SELECT, DATA."""
    yield f"{Word.STATION} {request.station}"
    for selector in request.selectors:
        yield f"{Word.SELECT} {selector.v4}"
    yield " ".join([Word.DATA, *_start_words(request)])


def _start_words(request: StationRequest) -> Iterator[str]:
    window = [each for each in (request.begin_ns, request.end_ns) if each is not None]
    if isinstance(request.start, int):
        yield str(request.start)
    elif request.start is Start.OLDEST or window:
        yield "ALL"
    if request.end_ns is not None and request.begin_ns is None:
        yield to_iso(0)  # an end alone cannot be said
    yield from map(to_iso, window)
