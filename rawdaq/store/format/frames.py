"""One entry as bytes: a header of 44 bytes with two checksums, then the body.

``u16 magic | u16 kind | u32 length | u64 position | i64 start_ns | i64 end_ns | u32 stream | u32 body crc |
u32 header crc``, little-endian. The low four bits of *kind* are a `Kind`, bit 4 marks the last entry of a group, the
upper eight bits are the format of a body.
"""

import struct
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.store.format.checksum import crc32

MAGIC = 0xA75E
HEADER_BYTES = 44
FIELDS = struct.Struct("<HHIQqqII")
CHECK = struct.Struct("<I")
FIELD_BYTES = FIELDS.size
LENGTH = struct.Struct("<I")  # at byte 4
LENGTH_AT = 4
POSITION = struct.Struct("<Q")  # at byte 8
POSITION_AT = 8

KIND_MASK = 0x0F
LAST_OF_GROUP = 0x10
FORMAT_SHIFT = 8

#: A header as numpy sees it.
ROW = np.dtype(
    [
        ("magic", "<u2"),
        ("kind", "<u2"),
        ("length", "<u4"),
        ("position", "<u8"),
        ("start_ns", "<i8"),
        ("end_ns", "<i8"),
        ("stream", "<u4"),
        ("body_crc", "<u4"),
        ("header_crc", "<u4"),
    ]
)
Rows = npt.NDArray[np.void]


class Kind(IntEnum):
    """What an entry is; only data use up positions, the others bear the next one."""

    DATA = 0
    DECLARATION = 1
    CURSOR = 2
    LIMIT = 3
    BOOT = 4


class Header(NamedTuple):
    """The fields of a header whose checksum is right."""

    kind: int
    length: int
    position: int
    start_ns: int
    end_ns: int
    stream: int
    body_crc: int


def pack_header(kind: int, body: bytes, position: int, start_ns: int = 0, end_ns: int = 0, stream: int = 0) -> bytes:
    """Return the header of *body*.

    Raises:
        struct.error: a value does not fit its field.
    """
    fields = FIELDS.pack(MAGIC, kind, len(body), position, start_ns, end_ns, stream, crc32(body))
    return fields + CHECK.pack(crc32(fields))


def parse_header(data: bytes, offset: int = 0) -> Header | None:
    """Return the header at *offset*; None when there is no intact one."""
    if len(data) < offset + HEADER_BYTES:
        return None
    magic, *fields = FIELDS.unpack_from(data, offset)
    check = CHECK.unpack_from(data, offset + FIELD_BYTES)[0]
    if magic != MAGIC or crc32(data[offset : offset + FIELD_BYTES]) != check:
        return None
    return Header(*fields)


def repaired(data: bytes, offset: int, position: int) -> bytes | None:
    """Return the header at *offset* with the one bit that is wrong turned back; None when it is not that.

    The checksum finds every error of up to three bits in 44 bytes, so at most one bit can be the wrong one.

    Args:
        data: bytes of a segment.
        offset: where a header should be.
        position: what it should bear.
    """
    header = bytearray(data[offset : offset + HEADER_BYTES])
    if len(header) < HEADER_BYTES or not any(header):
        return None
    for bit in range(HEADER_BYTES * 8):
        header[bit >> 3] ^= 1 << (bit & 7)
        found = parse_header(bytes(header))
        if found is not None:
            return bytes(header) if found.position == position else None
        header[bit >> 3] ^= 1 << (bit & 7)
    return None


def as_rows(headers: bytes) -> Rows:
    """Return joined headers as rows of a table."""
    return np.frombuffer(headers, ROW)


def column(rows: Rows, name: str) -> npt.NDArray[Any]:
    """Return the field *name* of all *rows*."""
    values: npt.NDArray[Any] = rows[name]
    return values


def is_data(rows: Rows) -> npt.NDArray[np.bool_]:
    """Return which *rows* use up a position."""
    found: npt.NDArray[np.bool_] = (column(rows, "kind") & KIND_MASK) == Kind.DATA
    return found
