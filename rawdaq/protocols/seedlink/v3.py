"""What only version 3 has: packet headers of eight bytes, sequence numbers of 24 bits, and its way to ask."""

import re
from collections.abc import Iterator
from typing import Final

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.errors import PacketWrong
from rawdaq.protocols.seedlink.requests import Start, StationRequest
from rawdaq.protocols.seedlink.times import comma_time
from rawdaq.protocols.seedlink.words import Word

HEADER_BYTES = 8
SIGNATURE: Final = b"SL"
INFO_MORE: Final = b"SLINFO *"
INFO_LAST: Final = b"SLINFO  "

#: The only length that all clients of version 3 read.
RECORD_BYTES = 512

SEQUENCES: Final = 1 << 24
_SEQUENCE = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,8})", re.ASCII)
_WIRE_SEQUENCE = re.compile(rb"[0-9A-Fa-f]{6}")


def packet_header(sequence: int) -> bytes:
    """Return the header of a data packet; of *sequence* it says the low 24 bits.

    >>> packet_header(0x1_00BEEF)
    b'SL00BEEF'
    """
    return b"SL%06X" % (sequence % SEQUENCES)


def read_sequence(header: bytes) -> int:
    """Return the sequence number that the header of a data packet says.

    Raises:
        PacketWrong: it says no number.
    """
    if not _WIRE_SEQUENCE.fullmatch(header, 2):
        raise PacketWrong("the sequence number", elided(header))
    return int(header[2:], 16)


def parse_sequence(text: str) -> int:
    """Return the sequence number that a client asks for; some write ``0x``, or more than 24 bits after a wrap.

    Raises:
        InvalidValue: it is not a hexadecimal number.

    >>> parse_sequence("0x1000000"), parse_sequence("00beef")
    (0, 48879)
    """
    match = _SEQUENCE.fullmatch(text)
    if match is None:
        raise InvalidValue(f"sequence {text[:20]!r} is not a hexadecimal number of up to 8 digits")
    return int(match[1], 16) % SEQUENCES


def full_sequence(asked: int, oldest: int, next_: int) -> int:
    """Return the number, of any size, from which a station is sent to a client that asked for 24 bits of one.

    Args:
        asked: the low 24 bits.
        oldest: the number of the oldest stored packet; *next_* when there is none.
        next_: the number that the next packet will get.

    Returns:
        The newest stored number with these bits; *oldest* when that was overwritten; *next_* when it is yet to come.

    >>> full_sequence(0xFFFFFE, oldest=0xFFFF00, next_=0x1000007) == 0xFFFFFE
    True
    >>> full_sequence(0x10, oldest=0x20, next_=0x30), full_sequence(0x40, oldest=0x20, next_=0x30)
    (32, 48)
    """
    behind = (next_ - asked) % SEQUENCES
    if next_ - behind >= oldest:
        return next_ - behind
    return oldest if behind < SEQUENCES // 2 else next_


def following(sequence: int) -> int:
    """Return the number after *sequence*, from which a client resumes.

    >>> following(0xFFFFFF)
    0
    """
    return (sequence + 1) % SEQUENCES


def distance(earlier: int, later: int) -> int:
    """Return how far *later* is after *earlier*, negative when it is before, the shorter way round.

    >>> distance(0xFFFFFF, 1), distance(1, 0xFFFFFF)
    (2, -2)
    """
    return (later - earlier + SEQUENCES // 2) % SEQUENCES - SEQUENCES // 2


def request_lines(request: StationRequest) -> Iterator[str]:
    """Yield the lines by which a client asks for a station: STATION, SELECT for each selector, and what starts it.

    Raises:
        LocalProtocolError: version 3 cannot say it.
    """
    network, has_both, station = request.station.partition("_")
    if not has_both and request.station.strip("*"):
        raise LocalProtocolError(f"station {request.station!r} is not NET_STA")
    if has_both:
        yield f"{Word.STATION} {station} {network}"
    else:
        yield f"{Word.STATION} * *"
    yield from selecting_lines(request)


def selecting_lines(request: StationRequest) -> Iterator[str]:
    """Yield what follows the line of the station; in uni-station mode there is no such line.

    Raises:
        LocalProtocolError: version 3 cannot say it.
    """
    for selector in request.selectors:
        yield f"{Word.SELECT} {selector.v3}"
    yield _start_line(request)


def _start_line(request: StationRequest) -> str:
    has_window = request.begin_ns is not None or request.end_ns is not None or request.start is Start.OLDEST
    if not has_window:
        return _from_sequence(request)
    if isinstance(request.start, int) or request.is_dial_up:
        raise LocalProtocolError("SeedLink 3 has no time window together with a sequence number or dial-up mode")
    end = "" if request.end_ns is None else f" {comma_time(request.end_ns)}"
    return f"{Word.TIME} {comma_time(request.begin_ns or 0)}{end}"


def _from_sequence(request: StationRequest) -> str:
    word = Word.FETCH if request.is_dial_up else Word.DATA
    if isinstance(request.start, Start):
        return word
    when = "" if request.last_packet_ns is None else f" {comma_time(request.last_packet_ns)}"
    return f"{word} {request.start % SEQUENCES:06X}{when}"
