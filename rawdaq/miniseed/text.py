"""Texts as miniSEED 2 records of encoding 0: log lines, and what servers answer in the form of records."""

import struct

from rawdaq.errors import InvalidValue
from rawdaq.times import to_calendar

_HEADER_BYTES = 64
#: What a record of 512 bytes holds of a text.
TEXT_BYTES = 448

# Sequence, quality, codes; time; number of samples, rate factor and multiplier, flags, blockettes, correction, offsets.
_FIXED = struct.Struct(">6sss5s2s3s2s HHBBBxH Hhh 3xB i HH")
_BLOCKETTE_1000 = struct.Struct(">HHBBBx")
_TEXT_ENCODING, _BIG_ENDIAN, _LENGTH_EXPONENT = 0, 1, 9


def text_record(
    text: bytes,
    channel: str = "LOG",
    *,
    network: str = "",
    station: str = "",
    location: str = "",
    time_ns: int = 0,
    sequence: int = 1,
) -> bytes:
    """Return a record of 512 bytes that holds *text*.

    Args:
        text: at most `TEXT_BYTES`.
        channel: its channel code; codes may be empty or shorter than SEED has room for.
        network: its network code.
        station: its station code.
        location: its location code.
        time_ns: the time that it bears.
        sequence: the number that it bears, up to 999999.

    Raises:
        InvalidValue: the text is too long, or a code has no room.

    >>> record = text_record(b"GPS locked", station="DEMO", network="XX")
    >>> len(record), record[:20], record[64:74]
    (512, b'000001D DEMO   LOGXX', b'GPS locked')
    """
    if len(text) > TEXT_BYTES:
        raise InvalidValue(f"a record has room for {TEXT_BYTES} bytes of text, not for {len(text)}")
    codes = [_code(station, 5), _code(location, 2), _code(channel, 3), _code(network, 2)]
    *calendar, nanosecond = to_calendar(time_ns)
    number = b"%06d" % (sequence % 1_000_000)
    time = (*calendar, nanosecond // 100_000)
    fixed = _FIXED.pack(number, b"D", b" ", *codes, *time, len(text), 0, 0, 1, 0, _HEADER_BYTES, _FIXED.size)
    blockette = _BLOCKETTE_1000.pack(1000, 0, _TEXT_ENCODING, _BIG_ENDIAN, _LENGTH_EXPONENT)
    return (fixed + blockette).ljust(_HEADER_BYTES, b"\0") + text.ljust(TEXT_BYTES, b"\0")


def _code(code: str, size: int) -> bytes:
    if len(code) > size or not code.isascii():
        raise InvalidValue(f"code {code!r} is not ASCII of at most {size} characters")
    return code.encode().ljust(size)


def text_records(text: bytes, channel: str, *, network: str = "", station: str = "", time_ns: int = 0) -> list[bytes]:
    """Return as many records as *text* needs, at least one.

    Raises:
        InvalidValue: a code has no room.
    """
    parts = [text[at : at + TEXT_BYTES] for at in range(0, len(text), TEXT_BYTES)] or [b""]
    return [
        text_record(part, channel, network=network, station=station, time_ns=time_ns, sequence=number)
        for number, part in enumerate(parts, 1)
    ]
