"""The bodies of the entries that a store writes for itself: boots, limits, declarations and cursors."""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from rawdaq.store.values import Declared

FORMAT_VERSION = 1

_BOOT = struct.Struct("<HQI")
_LIMIT = struct.Struct("<Q")
_DECLARATION = struct.Struct("<B")
_CURSOR = struct.Struct("<BIQB")
_MARK = struct.Struct("<HI")

_IS_WHOLE = 1
_IS_DROPPED = 2
_HAS_POSITION = 4


class Boot(NamedTuple):
    """How a segment begins.

    Args:
        identity: which start of the machine wrote it; empty when that is not known.
        previous_end: the position behind the last entry of the segment before. What that one holds beyond was cut,
            and what lies between this and the first position of this segment was burnt.
        cursors: how many cursors stand behind it.
        version: of the format.
    """

    identity: str
    previous_end: int
    cursors: int
    version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        """Return the body."""
        return _BOOT.pack(self.version, self.previous_end, self.cursors) + self.identity.encode()

    @classmethod
    def unpack(cls, body: bytes) -> "Boot":
        """Return what *body* says."""
        version, previous_end, cursors = _BOOT.unpack_from(body)
        return cls(body[_BOOT.size :].decode(errors="replace"), previous_end, cursors, version)


def pack_limit(limit: int) -> bytes:
    """Return the body that says that positions below *limit* may have been given out."""
    return _LIMIT.pack(limit)


def unpack_limit(body: bytes) -> int:
    """Return the limit that *body* says."""
    limit: int = _LIMIT.unpack_from(body)[0]
    return limit


def pack_declaration(declared: Declared) -> bytes:
    """Return the body that declares a stream."""
    name = declared.stream.encode()
    return _DECLARATION.pack(len(name)) + name + declared.facts


def unpack_declaration(body: bytes) -> Declared:
    """Return the stream that *body* declares."""
    end = _DECLARATION.size + _DECLARATION.unpack_from(body)[0]
    return Declared(body[_DECLARATION.size : end].decode(errors="replace"), body[end:])


class CursorBody(NamedTuple):
    """A cursor, or how it has changed.

    Args:
        name: of the cursor.
        sequence: one more than that of the change before; a change is only good behind the one that it follows.
        position: in the log that it is kept in; None when it is about something else.
        marks: keys and values; an empty value removes a key.
        is_whole: whether this is all of it, not a change.
        is_dropped: whether the cursor ends with this.
    """

    name: str
    sequence: int
    position: int | None
    marks: Mapping[bytes, bytes]
    is_whole: bool = False
    is_dropped: bool = False

    def pack(self) -> bytes:
        """Return the body."""
        flags = self.is_whole * _IS_WHOLE | self.is_dropped * _IS_DROPPED | (self.position is not None) * _HAS_POSITION
        name = self.name.encode()
        parts = [_CURSOR.pack(flags, self.sequence, self.position or 0, len(name)), name]
        for key, value in self.marks.items():
            parts += (_MARK.pack(len(key), len(value)), key, value)
        return b"".join(parts)

    @classmethod
    def unpack(cls, body: bytes) -> "CursorBody":
        """Return what *body* says."""
        flags, sequence, position, length = _CURSOR.unpack_from(body)
        offset = _CURSOR.size + length
        name = body[_CURSOR.size : offset].decode(errors="replace")
        marks: dict[bytes, bytes] = {}
        while offset < len(body):
            key_bytes, value_bytes = _MARK.unpack_from(body, offset)
            offset += _MARK.size
            marks[body[offset : offset + key_bytes]] = body[offset + key_bytes : offset + key_bytes + value_bytes]
            offset += key_bytes + value_bytes
        is_whole, is_dropped = bool(flags & _IS_WHOLE), bool(flags & _IS_DROPPED)
        return cls(name, sequence, position if flags & _HAS_POSITION else None, marks, is_whole, is_dropped)
