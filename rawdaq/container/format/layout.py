"""The bytes of a container file: its header, the headers of its blocks, and the footer of a finished one.

All numbers are little-endian. The layout stands in ``docs/container.md``.

>>> BlockHeader.unpack(BlockHeader(Compression.ZLIB, 7, 700, 100, 2000, 5000, 1).pack()).first
700
"""

import json
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, cast
from zlib import crc32

from rawdaq.container.errors import BlockDamaged, ContainerTooNew, NotContainer

VERSION: Final = 1
FILE_MAGIC: Final = b"RDC1\r\n\x1a\0"
BLOCK_MAGIC: Final = b"BLK1"
FOOTER_MAGIC: Final = b"END1"
END_MAGIC: Final = b"1CDR"

#: Bounds what a damaged or malicious file can make a reader hold; a frame of a large detector fits.
MAX_OBJECT_BYTES: Final = 1 << 28
#: Of a block before it was compressed: an object of the largest size, or many small ones.
MAX_BLOCK_BYTES: Final = MAX_OBJECT_BYTES + (1 << 20)
#: A station's name and a few settings: bounds what a header can make the JSON reader do.
MAX_INFO_BYTES: Final = 1 << 20

_FILE: Final = struct.Struct("<8sHHIQI")  # magic version flags info_bytes created_ns 0; then crc32
_BLOCK: Final = struct.Struct("<4sBBHQQIIII")  # magic compression 0 crc number first objects stored raw crc
_ENTRY: Final = struct.Struct("<QQQIqq")  # offset number first objects first_ns last_ns
_COUNT: Final = struct.Struct("<4sI")  # magic entries
_END: Final = struct.Struct("<QI4s")  # offset crc magic
_CRC: Final = struct.Struct("<I")

FILE_HEADER_BYTES: Final = _FILE.size + _CRC.size
BLOCK_HEADER_BYTES: Final = _BLOCK.size
END_BYTES: Final = _END.size
ENTRY_BYTES: Final = _ENTRY.size


class Compression(IntEnum):
    """How the body of a block is compressed."""

    NONE = 0
    ZLIB = 1
    ZSTD = 2


class FileHeader(NamedTuple):
    """The beginning of a file.

    Attributes:
        created_ns: when it was made.
        info_bytes: length of the JSON that follows, which has a crc of its own behind it.
    """

    created_ns: int
    info_bytes: int

    @property
    def size_bytes(self) -> int:
        """Length of header, JSON and its crc: where the first block begins."""
        return FILE_HEADER_BYTES + self.info_bytes + _CRC.size

    @classmethod
    def unpack(cls, data: bytes) -> "FileHeader":
        """Return what the first `FILE_HEADER_BYTES` of a file say.

        Raises:
            NotContainer: it does not begin as a container does.
            BlockDamaged: it does, and the rest is damaged.
            ContainerTooNew: its version is a higher one.
        """
        if data[: len(FILE_MAGIC)] != FILE_MAGIC:
            raise NotContainer("it does not begin as a container file does")
        if len(data) < FILE_HEADER_BYTES or crc32(data[: _FILE.size]) != _CRC.unpack_from(data, _FILE.size)[0]:
            raise BlockDamaged("the header of the file is damaged")
        _, version, _, info_bytes, created_ns, _ = _FILE.unpack_from(data)
        if version > VERSION:
            raise ContainerTooNew(version, VERSION)
        if info_bytes > MAX_INFO_BYTES:
            raise BlockDamaged(f"the header of the file announces {info_bytes} bytes, limit is {MAX_INFO_BYTES}")
        return cls(created_ns, info_bytes)


def pack_file_header(info: Mapping[str, Any], created_ns: int) -> bytes:
    """Return the beginning of a file that says *info*."""
    text = json.dumps(dict(info), separators=(",", ":")).encode()
    head = _FILE.pack(FILE_MAGIC, VERSION, 0, len(text), created_ns, 0)
    return head + _CRC.pack(crc32(head)) + text + _CRC.pack(crc32(text))


def unpack_info(data: bytes) -> dict[str, Any]:
    """Return the JSON behind a file header; *data* ends with its crc.

    Raises:
        BlockDamaged: it is not what was written.
    """
    text = data[: -_CRC.size]
    if len(data) < _CRC.size or crc32(text) != _CRC.unpack(data[-_CRC.size :])[0]:
        raise BlockDamaged("what the file says of itself is damaged")
    try:
        info: object = json.loads(text)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        raise BlockDamaged("what the file says of itself is no JSON object")
    return cast("dict[str, Any]", info)


class BlockHeader(NamedTuple):
    """What stands before the body of a block.

    Attributes:
        compression: of the body.
        number: of the block in its file, from 0.
        first: number of its first object in the file, from 0.
        objects: how many it has.
        stored_bytes: length of the body as it stands in the file.
        raw_bytes: the same before it was compressed.
        body_crc: crc32 of the body as it stands in the file.
    """

    compression: Compression
    number: int
    first: int
    objects: int
    stored_bytes: int
    raw_bytes: int
    body_crc: int

    @property
    def size_bytes(self) -> int:
        """Length of header and body."""
        return _BLOCK.size + self.stored_bytes

    def pack(self) -> bytes:
        """Return the header."""
        rest = (self.number, self.first, self.objects, self.stored_bytes, self.raw_bytes, self.body_crc)
        crc = crc32(_BLOCK.pack(BLOCK_MAGIC, self.compression, 0, 0, *rest)) & 0xFFFF
        return _BLOCK.pack(BLOCK_MAGIC, self.compression, 0, crc, *rest)

    @classmethod
    def unpack(cls, data: bytes) -> "BlockHeader | None":
        """Return what *data* say; None when that is no header of a block, or a damaged one."""
        if len(data) != _BLOCK.size or data[:4] != BLOCK_MAGIC:
            return None
        _, compression, zero, crc, *rest = _BLOCK.unpack(data)
        if crc32(_BLOCK.pack(BLOCK_MAGIC, compression, zero, 0, *rest)) & 0xFFFF != crc:
            return None
        if zero or compression > max(Compression) or rest[4] > MAX_BLOCK_BYTES or rest[3] > 2 * MAX_BLOCK_BYTES:
            return None
        return cls(Compression(compression), *rest)


class Entry(NamedTuple):
    """What a footer says of a block.

    Attributes:
        offset: where its header begins.
        number: of the block.
        first: number of its first object.
        objects: how many it has.
        first_ns: the earliest time of an object in it.
        last_ns: the latest one.
    """

    offset: int
    number: int
    first: int
    objects: int
    first_ns: int
    last_ns: int


def pack_footer(entries: Sequence[Entry], offset: int) -> bytes:
    """Return the footer of a file, which begins at *offset* there."""
    body = _COUNT.pack(FOOTER_MAGIC, len(entries)) + b"".join([_ENTRY.pack(*entry) for entry in entries])
    checked = body + offset.to_bytes(8, "little")
    return body + _END.pack(offset, crc32(checked), END_MAGIC)


def footer_bytes(entries: int) -> int:
    """Return how long the footer is of so many blocks."""
    return _COUNT.size + entries * ENTRY_BYTES + _END.size


def footer_offset(end: bytes, size_bytes: int) -> int | None:
    """Return where the footer of a file of *size_bytes* begins, whose last `END_BYTES` are *end*; None: it has none."""
    if len(end) != _END.size:
        return None
    offset, _, magic = _END.unpack(end)
    if magic != END_MAGIC or offset + _COUNT.size + _END.size > size_bytes:
        return None
    return int(offset)


def unpack_footer(data: bytes, offset: int) -> list[Entry] | None:
    """Return the entries of the footer *data*, which begins at *offset*; None when it is damaged."""
    length = len(data) - _COUNT.size - _END.size
    if length < 0 or length % _ENTRY.size:
        return None
    magic, count = _COUNT.unpack_from(data)
    own_offset, crc, end = _END.unpack_from(data, len(data) - _END.size)
    checked = data[: _COUNT.size + length + 8]
    if (magic, count, own_offset, end) != (FOOTER_MAGIC, length // _ENTRY.size, offset, END_MAGIC):
        return None
    if crc32(checked) != crc:
        return None
    return [Entry(*fields) for fields in _ENTRY.iter_unpack(data[_COUNT.size : _COUNT.size + length])]
