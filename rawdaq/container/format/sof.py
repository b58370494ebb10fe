"""The bytes of ssdaq's files, SOF (ICF) version 0 and 1: read whatever was cut off them, and version 1 written.

Version 0 is a header, then length (u32), crc32 (u32) and data of each object. Version 1 has bunches: data of n objects,
compressed together or not, n crc32, n lengths, and a trailer of 34 bytes, which says where in the file it stands. By
that a bunch is found though the end of the file is gone.
"""

import bz2
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np

from rawdaq.container.errors import BlockDamaged, ContainerTooNew, NotContainer
from rawdaq.container.format.layout import MAX_OBJECT_BYTES
from rawdaq.container.format.scan import ReadAt

MAGIC: Final = b"SOF\0"
HEADER_BYTES: Final = 24
TRAILER_BYTES: Final = 34
#: A bunch is complete with the object by which it exceeds this.
BUNCH_BYTES: Final = 1_000_000
MAX_BUNCHES: Final = 1 << 16

_HEADER: Final = struct.Struct("<4s4sIQHH")  # magic marker version created_s compressor extension_bytes
_EXTENSION: Final = struct.Struct("<HHB")  # 1, content, length of the text that follows
_TRAILER: Final = struct.Struct("<QQQIIH")  # back to trailer, back to data, own position, 0, objects, number
_OBJECT: Final = struct.Struct("<II")  # length crc
_KNOWN: Final = 1
_BZ2: Final = 1
_MAX_BUNCH_BYTES: Final = 1 << 30
_SEARCH_BYTES: Final = 1 << 20
_OWN_POSITION: Final = 16  # offset in a trailer


class SofHeader(NamedTuple):
    """The beginning of a file.

    Attributes:
        version: 0 or 1.
        created_s: seconds since 1970; 0 in version 0.
        is_compressed: whether bunches are bz2.
        size_bytes: of the header, with its extension.
    """

    version: int
    created_s: int
    is_compressed: bool
    size_bytes: int

    @classmethod
    def unpack(cls, data: bytes) -> "SofHeader":
        """Return what the first `HEADER_BYTES` of a file say.

        Raises:
            NotContainer: no such file begins so.
            ContainerTooNew: its version is above 1.
            BlockDamaged: its compression is unknown.
        """
        if len(data) < HEADER_BYTES:
            raise NotContainer("it is shorter than the header of a SOF file")
        magic, _, version, created_s, compressor, extension_bytes = _HEADER.unpack_from(data)
        if version == 0:
            return cls(0, 0, is_compressed=False, size_bytes=HEADER_BYTES)
        if magic != MAGIC:
            raise NotContainer("it does not begin as a SOF file does")
        if version > _KNOWN:
            raise ContainerTooNew(version, _KNOWN)
        if compressor > _BZ2:
            raise BlockDamaged(f"its compression {compressor} is unknown")
        return cls(version, created_s, compressor == _BZ2, HEADER_BYTES + extension_bytes)


class Bunch(NamedTuple):
    """Where the objects of a bunch are.

    Attributes:
        number: of the bunch.
        data: offset of its data.
        crcs: offset of the crcs, behind which the lengths are.
        objects: how many it has.
    """

    number: int
    data: int
    crcs: int
    objects: int

    @property
    def trailer(self) -> int:
        """Offset of its trailer."""
        return self.crcs + 2 * 4 * self.objects

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.trailer + TRAILER_BYTES


def find_bunches(read: ReadAt, begin: int, size_bytes: int) -> Iterator[Bunch]:
    """Yield the bunches that are whole, in order, whatever stands between them.

    Args:
        read: reads the file.
        begin: offset of the first one.
        size_bytes: of the file.
    """
    number, offset = 0, begin
    while (bunch := _next(read, offset, begin, size_bytes, number)) is not None:
        yield bunch
        number, offset = bunch.number + 1, bunch.end


def _next(read: ReadAt, offset: int, begin: int, size_bytes: int, number: int) -> Bunch | None:
    """Return the next bunch from *offset* on: with a trailer that names its own position and does not contradict it."""
    while offset + TRAILER_BYTES <= size_bytes:
        window = read(offset, _SEARCH_BYTES + TRAILER_BYTES)
        for at in _candidates(window, offset):
            position = offset + at
            bunch = _bunch(window[at : at + TRAILER_BYTES], position)
            if bunch is not None and bunch.number >= number and bunch.data >= begin:
                return bunch
        offset += max(1, len(window) - TRAILER_BYTES + 1)
    return None


def _candidates(window: bytes, offset: int) -> list[int]:
    """Return where in *window*, which stands at *offset*, a trailer may be: it names its own position."""
    found: list[int] = []
    for shift in range(8):
        count = (len(window) - _OWN_POSITION - shift) // 8
        if count > 0:
            named = np.frombuffer(window, "<u8", count, _OWN_POSITION + shift)
            own = np.arange(count, dtype=np.uint64) * np.uint64(8) + np.uint64(offset + shift)
            found += (np.flatnonzero(named == own) * 8 + shift).tolist()
    return sorted(at for at in found if at + TRAILER_BYTES <= len(window))


def _bunch(trailer: bytes, position: int) -> Bunch | None:
    to_trailer, to_data, own, zero, objects, number = _TRAILER.unpack(trailer)
    index = position - 2 * 4 * objects
    if own != position or zero or not objects or to_data > position or to_trailer > position:
        return None
    data = position - to_data
    return Bunch(number, data, index, objects) if data <= index <= data + _MAX_BUNCH_BYTES else None


def unpack_bunch(read: ReadAt, bunch: Bunch, *, is_compressed: bool) -> tuple[list[int], list[memoryview]]:
    """Return the crcs and the objects of *bunch*.

    Raises:
        BlockDamaged: it cannot be decompressed, or has other lengths.
    """
    index = read(bunch.crcs, 2 * 4 * bunch.objects)
    crcs: list[int] = np.frombuffer(index, "<u4", bunch.objects).tolist()
    ends: list[int] = np.cumsum(np.frombuffer(index, "<u4", bunch.objects, 4 * bunch.objects), dtype=np.int64).tolist()
    total = ends[-1]
    if total > _MAX_BUNCH_BYTES:
        raise BlockDamaged(f"its objects have {total} bytes, limit is {_MAX_BUNCH_BYTES}")
    data = read(bunch.data, bunch.crcs - bunch.data)
    if is_compressed:
        try:
            data = bz2.BZ2Decompressor().decompress(data, total + 1)
        except (OSError, ValueError, EOFError) as error:
            raise BlockDamaged(f"its objects cannot be decompressed ({error})") from None
    if len(data) != total:
        raise BlockDamaged(f"its objects have {len(data)} bytes, not {total}")
    view = memoryview(data)
    return crcs, [view[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


class Place(NamedTuple):
    """Where an object of a file of version 0 is."""

    offset: int
    size_bytes: int
    crc: int


def find_objects(read: ReadAt, size_bytes: int) -> Iterator[Place]:
    """Yield where the objects of a file of version 0 are that are all there; such a file shows no more of a damage."""
    offset = HEADER_BYTES
    while offset + _OBJECT.size <= size_bytes:
        length, crc = _OBJECT.unpack(read(offset, _OBJECT.size))
        if length > MAX_OBJECT_BYTES or offset + _OBJECT.size + length > size_bytes:
            return
        yield Place(offset + _OBJECT.size, length, crc)
        offset += _OBJECT.size + length


def pack_header(created_s: int, version_text: str, *, is_compressed: bool, content: int = 0) -> bytes:
    """Return the beginning of a file of version 1.

    Args:
        created_s: when it was made, in seconds since 1970.
        version_text: what wrote it.
        is_compressed: with bz2.
        content: what its objects are in ssdaq: 1 logs, 2 timestamps, 3 triggers, 4 frames; 0: none of these.
    """
    text = version_text.encode("ascii", "replace")[:255]
    extension = _EXTENSION.pack(1, content, len(text)) + text
    return _HEADER.pack(MAGIC, bytes(4), 1, created_s, _BZ2 if is_compressed else 0, len(extension)) + extension


def pack_bunch(objects: Sequence[bytes], number: int, offset: int, last_trailer: int, *, is_compressed: bool) -> bytes:
    """Return a bunch with its trailer.

    Args:
        objects: at least one.
        number: of the bunch, from 0.
        offset: where in the file it begins.
        last_trailer: offset of the trailer before; 0 for the first bunch.
        is_compressed: as the header says.
    """
    data = b"".join(objects)
    data = bz2.compress(data) if is_compressed else data
    crcs = np.fromiter((crc32(each) for each in objects), "<u4", len(objects)).tobytes()
    lengths = np.fromiter((len(each) for each in objects), "<u4", len(objects)).tobytes()
    trailer = offset + len(data) + len(crcs) + len(lengths)
    end = _TRAILER.pack(trailer - last_trailer, trailer - offset, trailer, 0, len(objects), number)
    return data + crcs + lengths + end
