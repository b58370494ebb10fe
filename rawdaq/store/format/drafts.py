"""A group of entries as it is written: all of it with one call, the last entry marked."""

import struct
from collections.abc import Mapping, Sequence

from rawdaq.errors import InvalidValue
from rawdaq.store.format import control, frames
from rawdaq.store.format.checksum import crc32
from rawdaq.store.format.frames import FORMAT_SHIFT, LAST_OF_GROUP, MAGIC, Kind
from rawdaq.store.values import MAX_BODY_BYTES, MAX_FACTS_BYTES, MAX_FORMAT, MAX_STREAM_BYTES, Declared, Entry

#: The number of each stream with its facts.
Numbers = Mapping[tuple[str, bytes], int]
Piece = bytes | memoryview


class Draft:
    """The bytes of a group.

    Args:
        position: of its first data entry.
        numbers: of the streams that are declared already.
        next_number: what the next stream gets.

    Attributes:
        position: behind its last entry.
        declared: the streams that it declares.
    """

    def __init__(self, position: int, numbers: Numbers, next_number: int) -> None:
        self.position = position
        self.declared: list[Declared] = []
        self._begin = position
        self._numbers = numbers
        self._next_number = next_number
        self._new: dict[tuple[str, bytes], int] = {}
        self._control: list[tuple[bytes, bytes]] = []
        self._headers: list[bytes] = []
        self._contents: list[Piece] = []  # in two pieces each

    def add_control(self, kind: Kind, body: bytes, start_ns: int = 0, stream: int = 0, copies: int = 1) -> None:
        """Add an entry of the store itself; two copies of what a flipped bit must not cost."""
        header = frames.pack_header(kind, body, self._begin, start_ns, 0, stream)
        self._control += [(header, body)] * copies

    def add_cursors(self, bodies: Sequence[control.CursorBody], now_ns: int) -> None:
        """Add how cursors change. A lost change leaves a cursor too old; a lost cursor begins at the newest entry."""
        for body in bodies:
            self.add_control(Kind.CURSOR, body.pack(), now_ns, copies=2 if body.is_whole or body.is_dropped else 1)

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Add data.

        Raises:
            InvalidValue: an entry is not what the store can hold.
        """
        position, pack, check = self.position, frames.FIELDS.pack, frames.CHECK.pack
        headers, contents, known, new = self._headers, self._contents, self._numbers.get, self._new.get
        try:
            for stream, start_ns, end_ns, body, form, facts, head in entries:
                number = known((stream, facts))
                if number is None:
                    number = new((stream, facts))
                    if number is None:
                        number = self._declare(Declared(stream, facts))
                size = len(head) + len(body)
                if start_ns > end_ns or size > MAX_BODY_BYTES or not 0 <= form <= MAX_FORMAT:
                    raise InvalidValue(_complaint(start_ns, end_ns, size, form))
                sum_ = crc32(body, crc32(head)) if head else crc32(body)
                fields = pack(MAGIC, form << FORMAT_SHIFT, size, position, start_ns, end_ns, number, sum_)
                headers.append(fields + check(crc32(fields)))
                contents += head, body
                position += 1
        except struct.error as error:
            raise InvalidValue(f"time or number of an entry does not fit in 64 bits: {error}") from error
        self.position = position

    def _declare(self, declared: Declared) -> int:
        if not 0 < len(declared.stream.encode()) <= MAX_STREAM_BYTES or len(declared.facts) > MAX_FACTS_BYTES:
            raise InvalidValue(f"name or facts of stream {declared.stream[:80]!r} are empty or too long")
        number = self._next_number + len(self.declared)
        self.declared.append(declared)
        self._new[declared] = number
        self.add_control(Kind.DECLARATION, control.pack_declaration(declared), stream=number, copies=2)
        return number

    def close(self) -> tuple[bytes, list[Piece]]:
        """Return all its headers, and all of it in pieces, which are written one behind the other."""
        headers = [header for header, _ in self._control] + self._headers
        if headers:
            headers[-1] = _marked(headers[-1])
        contents = [piece for _, body in self._control for piece in (b"", body)] + self._contents
        pieces: list[Piece] = [b""] * (3 * len(headers))
        pieces[::3], pieces[1::3], pieces[2::3] = headers, contents[::2], contents[1::2]
        return b"".join(headers), pieces


def _marked(header: bytes) -> bytes:
    """Return *header* with the mark of the last of a group."""
    magic, kind, *rest = frames.FIELDS.unpack_from(header)
    fields = frames.FIELDS.pack(magic, kind | LAST_OF_GROUP, *rest)
    return fields + frames.CHECK.pack(crc32(fields))


def _complaint(start_ns: int, end_ns: int, size_bytes: int, form: int) -> str:
    if start_ns > end_ns:
        return f"an entry ends at {end_ns} before it starts at {start_ns}"
    if size_bytes > MAX_BODY_BYTES:
        return f"body of {size_bytes} bytes, limit is {MAX_BODY_BYTES}"
    return f"format {form} is not in 0-{MAX_FORMAT}"
