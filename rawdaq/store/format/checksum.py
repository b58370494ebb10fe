"""The checksum of entries: CRC-32 as zlib has it, by a library that is ten times as fast where there is one.

Of what a journal costs in a flood, the checksum was a third with zlib.
"""

from typing import Final, Protocol, cast

try:
    from isal import isal_zlib as _library
except ImportError:  # it has no wheel for this kind of processor
    import zlib as _library  # type: ignore[no-redef]

#: Of more than this both libraries give other threads a turn. To get the interpreter back then costs more than the
#: checksum of some pieces of this size.
_NO_TURN_BYTES = 5 * 1024
_SOME_PIECES_BYTES = 16 * _NO_TURN_BYTES


class _Checksum(Protocol):
    def __call__(self, data: bytes | memoryview, value: int = 0, /) -> int:
        """Return the checksum of *data* behind what has the checksum *value*."""
        ...


crc32: Final = cast(_Checksum, _library.crc32)


def crc32_at_once(data: memoryview) -> int:
    """Return the checksum of *data*, of less than 80 KB without a turn of other threads."""
    size = len(data)
    if not _NO_TURN_BYTES < size <= _SOME_PIECES_BYTES:
        return crc32(data)
    value = 0
    for begin in range(0, size, _NO_TURN_BYTES):
        value = crc32(data[begin : begin + _NO_TURN_BYTES], value)
    return value
