"""As much of a miniSEED header as SeedLink 3 needs: how long the record is that follows a packet's eight bytes.

The station, the kind of record and the text of an INFO record stand in it, too. `rawdaq.miniseed` reads records.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.errors import PayloadTooLarge, RecordWrong

#: A record without a blockette that says its length has that of old files.
USUAL_RECORD_BYTES = 512
#: No record is longer than this (libmseed's limit), and slinktool reads no more.
MAX_RECORD_BYTES = 10_485_760
#: A header of miniSEED 2 with the blockette that says the length.
MIN_RECORD_BYTES = 64

_V2_SEQUENCE = frozenset(b"0123456789 \0")
_V2_QUALITIES = frozenset(b"DRQM")
_V2_NAME = slice(8, 20)  # station, location, channel, network
_FIRST_BLOCKETTE_AT = 46
_YEARS = range(1900, 2263)
_U16 = {order: struct.Struct(f"{order}H") for order in "<>"}
_BLOCKETTE = {order: struct.Struct(f"{order}HH") for order in "<>"}
_TEXT_SIZE = {order: struct.Struct(f"{order}30xH12xH") for order in "<>"}  # number of samples, data offset
_TEXT_ENCODING = 0
_BLOCKETTE_BYTES = 8  # as many as are read of one
_MAX_BLOCKETTES = 64
_KINDS = {2: "E", 3: "C", 5: "T", 20: "O"}  # by the hundreds of the first blockette that says it

_V3_MARK = b"MS\x03"
_V3_SIZES = struct.Struct("<33xBHI")  # source identifier, extra headers, samples
_V3_HEADER_BYTES = 40


class RecordHead(NamedTuple):
    """What a record says of itself.

    Attributes:
        format: ``2`` or ``3``, as packets of version 4 call it.
        subformat: the kind of record: data, event, calibration, timing, log or opaque.
        length_bytes: how long it is.
    """

    format: str
    subformat: str
    length_bytes: int


def read_head(data: bytes | bytearray, begin: int = 0) -> RecordHead | None:
    """Return what the record at *begin* of *data* says of itself, None when too little of it is there.

    As long as the record is not all there only its length counts: what says its kind may still come.

    Raises:
        RecordWrong: there is no miniSEED record.
        PayloadTooLarge: it says that it is longer than any record can be.
    """
    there = len(data) - begin
    if there < _V3_HEADER_BYTES:
        return None
    if data[begin : begin + 3] == _V3_MARK:
        head: RecordHead | None = RecordHead("3", "D", _V3_HEADER_BYTES + sum(_V3_SIZES.unpack_from(data, begin)))
    elif not _V2_SEQUENCE.issuperset(data[begin : begin + 6]) or data[begin + 6] not in _V2_QUALITIES:
        raise RecordWrong(elided(data[begin : begin + MIN_RECORD_BYTES]))
    else:
        head = _read_v2(data, begin) if there >= MIN_RECORD_BYTES else None
    if head is not None and head.length_bytes > MAX_RECORD_BYTES:
        raise PayloadTooLarge("a miniSEED record", head.length_bytes, MAX_RECORD_BYTES)
    return head


def _order(data: bytes | bytearray, begin: int) -> str:
    """Return the byte order in which the year makes sense; INFO records may have none."""
    return "<" if _U16["<"].unpack_from(data, begin + 20)[0] in _YEARS else ">"


def _read_v2(data: bytes | bytearray, begin: int) -> RecordHead | None:
    """Return what blockettes say, None when one that may say the length is not there yet."""
    order = _order(data, begin)
    kind, length_bytes, encoding = "", 0, -1
    offset: int
    (offset,) = _U16[order].unpack_from(data, begin + _FIRST_BLOCKETTE_AT)
    for _ in range(_MAX_BLOCKETTES):
        if not 48 <= offset <= (length_bytes or USUAL_RECORD_BYTES) - _BLOCKETTE_BYTES:
            break
        if begin + offset + _BLOCKETTE_BYTES > len(data):
            if not length_bytes:
                return None
            break
        blockette, following = _BLOCKETTE[order].unpack_from(data, begin + offset)
        if blockette == 1000 and not length_bytes:
            encoding, length_bytes = data[begin + offset + 4], 1 << min(data[begin + offset + 6], 31)
        kind = kind or _KINDS.get(blockette // 100, "")
        if following <= offset:
            break
        offset = following
    if 0 < length_bytes < MIN_RECORD_BYTES:
        raise RecordWrong(elided(data[begin : begin + MIN_RECORD_BYTES]))
    kind = kind or ("L" if encoding == _TEXT_ENCODING else "D")
    return RecordHead("2", kind, length_bytes or USUAL_RECORD_BYTES)


@lru_cache(1 << 12)
def _v2_station(name: bytes) -> str:
    return f"{_ascii(name[10:12])}_{_ascii(name[:5])}"


def _ascii(code: bytes) -> str:
    return code.decode("ascii", "replace").strip(" \0")


def record_station(record: bytes) -> str:
    """Return ``NET_STA`` of a whole record."""
    if record[:3] != _V3_MARK:
        return _v2_station(record[_V2_NAME])
    identifier = _ascii(record[_V3_HEADER_BYTES : _V3_HEADER_BYTES + record[33]])
    return "_".join(identifier.removeprefix("FDSN:").split("_")[:2])


def record_channel(record: bytes) -> str:
    """Return the channel of a whole miniSEED 2 record: ``ERR`` marks an INFO record that reports an error."""
    return _ascii(record[15:18])


def record_text(record: bytes) -> bytes:
    """Return the text that a whole miniSEED 2 record holds."""
    size, offset = _TEXT_SIZE[_order(record, 0)].unpack_from(record)
    return record[offset : offset + size]
