"""The checksum of entries: CRC-32 as zlib has it, by a library that is four times as fast where there is one.

Of what a journal costs in a flood, the checksum was a third with zlib.
"""

from typing import Final, Protocol, cast

try:
    from isal import isal_zlib as _library
except ImportError:  # it has no wheel for this kind of processor
    import zlib as _library  # type: ignore[no-redef]


class _Checksum(Protocol):
    def __call__(self, data: bytes | memoryview, value: int = 0, /) -> int:
        """Return the checksum of *data* behind what has the checksum *value*."""
        ...


crc32: Final = cast(_Checksum, _library.crc32)
