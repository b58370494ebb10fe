"""What the header of a miniSEED record says of the record, read without libmseed; and FDSN's extra headers."""

import json
import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.miniseed.format import USUAL_PUBLICATION
from rawdaq.packet import Marks
from rawdaq.times import NS_PER_S, from_calendar, to_calendar

#: The header of any record, as far as it is read here, lies in its first bytes.
MAX_HEADER_BYTES = 256
#: By so many a record is recognised.
RECORD_START_BYTES = 8

_START = re.compile(rb"MS\x03|[0-9 \0]{6}[DRQM][ \0]")  # of either version

# miniSEED 2, fixed section of the data header, from the year on (either byte order).
_V2_TIME = "HHBBBxH"  # year, day, hour, minute, second, 0.0001 s
_V2 = {order: struct.Struct(f"{order}20x{_V2_TIME}Hhh3xB4xHH") for order in "<>"}
_V2_START = {order: struct.Struct(f"{order}{_V2_TIME}") for order in "<>"}
_V2_BLOCKETTE = {order: struct.Struct(f"{order}HH") for order in "<>"}
_V2_RATE = {order: struct.Struct(f"{order}f") for order in "<>"}
_V2_SEQUENCE = frozenset(b"0123456789 \0")
_V2_QUALITIES = frozenset("DRQM")
_FRACTIONS_PER_S = 10_000
_BLOCKETTE_RATE, _BLOCKETTE_1000 = 100, 1000
_V2_HEADER_BYTES, _BLOCKETTE_1000_END = 48, 56  # where it is the only one
_NS_PER_FRACTION = NS_PER_S // _FRACTIONS_PER_S

# miniSEED 3: 40 bytes, always little-endian.
_V3 = struct.Struct("<2sB1x4xHHBBB1xdI4xBBHI")


#: FDSN's extra headers that stand for flags of a miniSEED 2 header.
_FLAG_HEADERS: Mapping[str, frozenset[str]] = {
    "Event": frozenset({"Begin", "End", "InProgress"}),
    "Time": frozenset({"LeapSecond"}),
    "Flags": frozenset(
        {
            "StationVolumeParityError",
            "LongRecordRead",
            "ShortRecordRead",
            "StartOfTimeSeries",
            "EndOfTimeSeries",
            "AmplifierSaturation",
            "DigitizerClipping",
            "Spikes",
            "Glitches",
            "MissingData",
            "TelemetrySyncError",
            "FilterCharging",
        }
    ),
}
_MAX_CACHED = 1 << 12


class RecordHeader(NamedTuple):
    """What a header says.

    Attributes:
        version: 2 or 3.
        length_bytes: length of the whole record.
        quality: data quality ``D``, ``R``, ``Q`` or ``M`` (miniSEED 2), publication version (miniSEED 3).
        rate_hz: sampling rate.
    """

    version: int
    length_bytes: int
    quality: str
    rate_hz: float


def find_record(data: bytes, begin: int) -> int | None:
    """Return where in *data*, from *begin* on, the next record seems to start; None when nowhere."""
    match = _START.search(data, begin)
    return match.start() if match else None


def read_header(data: bytes) -> RecordHeader | None:
    """Return what *data*, the first `MAX_HEADER_BYTES` of a record or all of it, says; None if it is no record."""
    if data[:3] == b"MS\x03":
        return _read_v3(data)
    return _read_v2(data)


def carry_fraction(data: bytes) -> bytes | None:
    """Return the miniSEED 2 record *data* with a fraction of 10000 or more carried over into its seconds.

    SEED allows 0 to 9999 ten-thousandths of a second; some digitizers write 10000 instead of the next second, which
    libmseed refuses. None when *data* is no such record.
    """
    if len(data) < 48 or data[:3] == b"MS\x03":
        return None
    for layout in _V2_START.values():
        *fields, fraction = layout.unpack_from(data, 20)
        if _is_time(*fields) and fraction >= _FRACTIONS_PER_S:
            try:
                return _later(data, layout, 0)
            except InvalidValue:
                return None
    return None


def later_v2(data: bytes, by_ns: int) -> bytes:
    """Return the miniSEED 2 record *data* that begins *by_ns* later, in whole ten-thousandths of a second.

    Raises:
        InvalidValue: its time, or the new one, cannot be.
    """
    for layout in _V2_START.values():
        if _is_time(*layout.unpack_from(data, 20)[:5]):
            return _later(data, layout, by_ns)
    raise InvalidValue("its time cannot be")


def _later(data: bytes, layout: struct.Struct, by_ns: int) -> bytes:
    *fields, fraction = layout.unpack_from(data, 20)
    *time, nanosecond = to_calendar(from_calendar(*fields) + fraction * _NS_PER_FRACTION + by_ns)
    return data[:20] + layout.pack(*time, nanosecond // _NS_PER_FRACTION) + data[30:]


def with_length_v2(data: bytes) -> bytes:
    """Return the miniSEED 2 record *data* with blockette 1000, which says its length and how its text is stored.

    Raises:
        InvalidValue: there is no room for it, or it has other blockettes, or no length that blockette 1000 can say.
    """
    exponent = len(data).bit_length() - 1
    for order, layout in _V2.items():
        *fields, data_offset, first = layout.unpack_from(data)
        has_room = not first and data_offset >= _BLOCKETTE_1000_END and len(data) == 1 << exponent
        if _is_time(*fields[:5]) and has_room:
            begins = struct.pack(f"{order}H", _V2_HEADER_BYTES)
            blockette = struct.pack(f"{order}HHBBBx", _BLOCKETTE_1000, 0, 0, order == ">", exponent)
            return data[:39] + b"\1" + data[40:46] + begins + blockette + data[_BLOCKETTE_1000_END:]
    raise InvalidValue("it does not say its length")


def _is_time(year: int, day: int, hour: int, minute: int, second: int) -> bool:
    return 1678 <= year <= 2262 and 1 <= day <= 366 and hour <= 23 and minute <= 59 and second <= 60


def _read_v3(data: bytes) -> RecordHeader | None:
    if len(data) < _V3.size:
        return None
    _, _, *time, rate, _, publication, sid_bytes, extra_bytes, data_bytes = _V3.unpack_from(data)
    if not _is_time(*time):
        return None
    length_bytes = _V3.size + sid_bytes + extra_bytes + data_bytes
    # A negative rate is a period in seconds.
    return RecordHeader(3, length_bytes, str(publication), rate if rate >= 0 else -1 / rate)


def _read_v2(data: bytes) -> RecordHeader | None:
    if len(data) < 64 or not _V2_SEQUENCE.issuperset(data[:6]) or chr(data[6]) not in _V2_QUALITIES:
        return None
    for order, layout in _V2.items():
        year, day, hour, minute, second, _, _, factor, multiplier, _, _, first = layout.unpack_from(data)
        if _is_time(year, day, hour, minute, second):
            return _read_blockettes(data, order, first, _nominal_rate(factor, multiplier))
    return None


def _nominal_rate(factor: int, multiplier: int) -> float:
    """Return the rate that SEED's factor and multiplier mean: above zero they multiply, below they divide."""
    if not factor or not multiplier:
        return 0.0
    rate = float(factor) if factor > 0 else -1.0 / factor
    return rate * multiplier if multiplier > 0 else rate / -multiplier


def _read_blockettes(data: bytes, order: str, offset: int, rate_hz: float) -> RecordHeader | None:
    """Return the header that blockettes 1000 (length) and 100 (exact rate) complete; None without the first."""
    length_bytes = 0
    while 48 <= offset <= len(data) - 8:
        kind, following = _V2_BLOCKETTE[order].unpack_from(data, offset)
        if kind == _BLOCKETTE_1000:
            length_bytes = 1 << min(data[offset + 6], 31)
        elif kind == _BLOCKETTE_RATE:
            (rate_hz,) = _V2_RATE[order].unpack_from(data, offset + 4)
        if following <= offset:
            break
        offset = following
    if length_bytes < 128:
        return None
    return RecordHeader(2, length_bytes, chr(data[6]), rate_hz)


# --- FDSN's extra headers, by which libmseed says and takes what has no field of its own


def read_headers(data: bytes) -> dict[str, Any]:
    """Return FDSN's part of extra headers; empty when they are not what they should be."""
    try:
        headers: dict[str, Any] | None = json.loads(data)["FDSN"]
    except (ValueError, LookupError, TypeError):  # they may hold anything
        return {}
    return headers if isinstance(headers, dict) else {}


def timing_quality(headers: Mapping[str, Any]) -> int | None:
    """Return the timing quality in percent, None when they do not say."""
    try:
        quality = headers["Time"]["Quality"]
        return round(quality) if 0 <= quality <= 100 else None
    except (LookupError, TypeError):
        return None


def marks_of(version: int, publication: int, flags: int, headers: Mapping[str, Any]) -> Marks | None:
    """Return what the fields and extra headers of a record say; None when that is what records usually say."""
    return _marks(version, publication, flags, _flags_text(headers) if headers else "")


@lru_cache(_MAX_CACHED)
def _marks(version: int, publication: int, flags: int, headers: str) -> Marks | None:
    marks = Marks(0 if publication == USUAL_PUBLICATION[version] else publication, flags, headers)
    return None if marks == Marks() else marks


def _flags_text(headers: Mapping[str, Any]) -> str:
    """Return those of *headers* that are flags, as JSON; empty when none is."""
    kept: dict[str, dict[str, Any]] = {}
    for group, names in _FLAG_HEADERS.items():
        values: Any = headers.get(group)
        if isinstance(values, dict):
            flags: dict[str, Any] = {
                name: values[name] for name in sorted(names & values.keys()) if isinstance(values[name], int)
            }
            if flags:
                kept[group] = flags
    return _text(kept) if kept else ""


def extra_headers(sequence: int | None, quality: int | None, flags: str) -> bytes:
    """Return extra headers for a record; empty when they would say nothing.

    Args:
        sequence: its number, None when that is said elsewhere.
        quality: its timing quality; None: it is not known, or said elsewhere.
        flags: `Marks.headers`.
    """
    if not flags and sequence is not None:
        time = b"" if quality is None else b',"Time":{"Quality":%d}' % quality
        return b'{"FDSN":{"Sequence":%d%b}}' % (sequence, time)
    headers: dict[str, Any] = json.loads(flags) if flags else {}
    if quality is not None:
        headers["Time"] = headers.get("Time", {}) | {"Quality": quality}
    if sequence is not None:
        headers["Sequence"] = sequence
    return _text({"FDSN": headers}).encode() if headers else b""


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
