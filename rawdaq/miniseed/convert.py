"""Records that came whole, as they are wanted: as they are, as miniSEED 3, or as packets.

From miniSEED 2 to 3 libmseed copies times, samples and their encoding.
"""

import sys
from typing import Any

import numpy as np
from pymseed import clib
from pymseed.logging import begin_operation

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.miniseed.format import RecordFormat, RecordRun
from rawdaq.miniseed.header import read_header
from rawdaq.miniseed.reader import RecordUnreadable, read_content, read_info, to_packet
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId

# The compiled half of pymseed carries no types.
_untyped: Any = clib
_ffi = _untyped.ffi
_lib = _untyped.clibmseed

# Of the encodings that miniSEED 3 has in little-endian order only, by their codes; libmseed copies samples as they are.
_SAMPLE_BYTES = {1: 2, 3: 4, 4: 4, 5: 8}
_DATA_OFFSET = slice(44, 46)
_YEAR = slice(20, 22)
_FIRST_YEAR, _LAST_YEAR = 1900, 2262  # by which the byte order of a header is told

_MORE_BYTES = 1024  # than the old record: source identifier and extra headers


class NotConvertible(RawdaqError):
    """A record that cannot be one of the other version."""

    def __str__(self) -> str:
        return "libmseed cannot read it, or cannot write it so"


def to_version_3(record: bytes) -> bytes:
    """Return the miniSEED 2 *record* as miniSEED 3.

    Raises:
        NotConvertible: it cannot be that.
    """
    begin_operation()  # or libmseed would write to stderr
    parsed = _parsed(record)
    try:
        size = _SAMPLE_BYTES.get(parsed[0].encoding)
        if size is not None and _is_big_endian(parsed[0]):
            swapped = _swapped(record, size, parsed[0].samplecnt)
            _lib.msr3_free(parsed)
            parsed = _parsed(swapped)
        room = _ffi.new("char[]", len(record) + _MORE_BYTES)
        length: int = _lib.msr3_repack_mseed3(parsed[0], room, len(record) + _MORE_BYTES, 0)
        if length <= 0:
            raise NotConvertible
        return bytes(_ffi.buffer(room, length))
    finally:
        _lib.msr3_free(parsed)


def _parsed(record: bytes) -> Any:
    parsed = _ffi.new("MS3Record **")
    source = _ffi.from_buffer(record)
    if _lib.msr3_parse(source, len(record), parsed, _lib.MSF_ATENDOFFILE, 0) != _lib.MS_NOERROR:
        _lib.msr3_free(parsed)
        raise NotConvertible
    return parsed


def _is_big_endian(header: Any) -> bool:
    is_foreign = bool(header.swapflag & _lib.MSSWAP_PAYLOAD)
    return is_foreign == (sys.byteorder == "little")


def _swapped(record: bytes, size: int, count: int) -> bytes:
    """Return *record* with its samples, each of *size* bytes, in the other byte order."""
    order = "big" if _FIRST_YEAR < int.from_bytes(record[_YEAR], "big") < _LAST_YEAR else "little"
    begin = int.from_bytes(record[_DATA_OFFSET], order)  # type: ignore[arg-type]  # one of the two words
    end = begin + size * count
    if end > len(record):
        raise NotConvertible
    return record[:begin] + np.frombuffer(record[begin:end], f"u{size}").byteswap().tobytes() + record[end:]


def whole_record(data: bytes, wanted: RecordFormat) -> RecordRun | Packet | None:
    """Return the record *data*: as it is when it has the version and length of *wanted*, else what it holds.

    The encoding does not matter: samples would not be other ones. None: it is no record, or holds no waveform.
    """
    header = read_header(data)
    if header is None or header.length_bytes != len(data):
        return None
    try:
        info = read_info(data)
        if not info.rate_hz or not info.sample_count:
            return None
        if _is_as(header.version, len(data), wanted):
            return RecordRun(StreamId.parse(info.name), [info.start_ns], [info.sample_count], info.rate_hz, data)
        return to_packet(info, read_content(data))
    except (RecordUnreadable, InvalidValue):
        return None


def _is_as(version: int, length_bytes: int, wanted: RecordFormat) -> bool:
    if version != wanted.version:
        return False
    return length_bytes == wanted.length_bytes if version == 2 else length_bytes <= wanted.length_bytes
