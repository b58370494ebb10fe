"""A group of entries as it is written: all of it with one call, the last entry marked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.store.format import control, frames
from rawdaq.store.format.checksum import crc32, crc32_at_once
from rawdaq.store.format.frames import CHECK, FIELDS, FORMAT_SHIFT, HEADER_BYTES, LAST_OF_GROUP, MAGIC, Kind
from rawdaq.store.values import MAX_BODY_BYTES, MAX_FACTS_BYTES, MAX_FORMAT, MAX_STREAM_BYTES, Content, Declared, Entry

_FIRST_NS, _LAST_NS = -(1 << 63), (1 << 63) - 1

#: The number of each stream with its facts.
Numbers = Mapping[tuple[str, bytes], int]


class _Placed(NamedTuple):
    """A data entry whose stream has a number."""

    kind: int
    size_bytes: int
    start_ns: int
    end_ns: int
    number: int
    head: bytes
    body: Content


class Draft:
    """The bytes of a group.

    Args:
        position: of its first data entry.
        numbers: of the streams that are declared already.
        next_number: what the next stream gets.

    Attributes:
        position: behind its last entry.
        declared: the streams that it declares.
        size_bytes: how long it is.
    """

    def __init__(self, position: int, numbers: Numbers, next_number: int) -> None:
        self.position = position
        self.declared: list[Declared] = []
        self.size_bytes = 0
        self._begin = position
        self._numbers = numbers
        self._next_number = next_number
        self._new: dict[tuple[str, bytes], int] = {}
        self._control: list[tuple[bytes, bytes]] = []
        self._entries: list[_Placed] = []

    def add_control(self, kind: Kind, body: bytes, start_ns: int = 0, stream: int = 0, copies: int = 1) -> None:
        """Add an entry of the store itself; two copies of what a flipped bit must not cost."""
        header = frames.pack_header(kind, body, self._begin, start_ns, 0, stream)
        self._control += [(header, body)] * copies
        self.size_bytes += copies * (len(header) + len(body))

    def add_cursors(self, bodies: Sequence[control.CursorBody], now_ns: int) -> None:
        """Add how cursors change. A lost change leaves a cursor too old; a lost cursor begins at the newest entry."""
        for body in bodies:
            self.add_control(Kind.CURSOR, body.pack(), now_ns, copies=2 if body.is_whole or body.is_dropped else 1)

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Add data.

        Raises:
            InvalidValue: an entry is not what the store can hold.
        """
        known, new = self._numbers.get, self._new.get
        for entry in entries:
            stream, start_ns, end_ns, body, form, facts, head = entry
            number = known((stream, facts))
            if number is None:
                number = new((stream, facts))
                if number is None:
                    number = self._declare(Declared(stream, facts))
            size = entry.size_bytes
            if start_ns > end_ns or size > MAX_BODY_BYTES or not 0 <= form <= MAX_FORMAT:
                raise InvalidValue(_complaint(start_ns, end_ns, size, form))
            if start_ns < _FIRST_NS or end_ns > _LAST_NS:
                raise InvalidValue(f"{start_ns} or {end_ns}, the time of an entry, does not fit in 64 bits")
            self._entries.append(_Placed(form << FORMAT_SHIFT, size, start_ns, end_ns, number, head, body))
            self.size_bytes += HEADER_BYTES + size
        self.position += len(entries)

    def _declare(self, declared: Declared) -> int:
        if not 0 < len(declared.stream.encode()) <= MAX_STREAM_BYTES or len(declared.facts) > MAX_FACTS_BYTES:
            raise InvalidValue(f"name or facts of stream {declared.stream[:80]!r} are empty or too long")
        number = self._next_number + len(self.declared)
        self.declared.append(declared)
        self._new[declared] = number
        self.add_control(Kind.DECLARATION, control.pack_declaration(declared), stream=number, copies=2)
        return number

    def write(self, target: npt.NDArray[np.uint8]) -> bytes:
        """Write all of it to *target*, which has `size_bytes`; return its headers.

        Content is copied once, and checked while it is still in the processor's cache.
        """
        data, at, last = target.data, 0, 0
        headers: list[bytes] = []
        for header, content in self._control:
            data[at : at + HEADER_BYTES] = header
            data[at + HEADER_BYTES : at + HEADER_BYTES + len(content)] = content
            headers.append(header)
            last, at = at, at + HEADER_BYTES + len(content)
        for position, entry in enumerate(self._entries, self.position - len(self._entries)):
            headers.append(_write_entry(target, data, at, position, entry))
            last, at = at, at + HEADER_BYTES + entry.size_bytes
        if headers:
            headers[-1] = data[last : last + HEADER_BYTES] = _marked(headers[-1])
        return b"".join(headers)


def _write_entry(target: npt.NDArray[np.uint8], data: memoryview, at: int, position: int, entry: _Placed) -> bytes:
    """Write *entry* at *at* of *target*, whose memory is *data*; return its header.

    Other threads get no turn for a single entry: that costs more than to copy it.
    """
    kind, size_bytes, start_ns, end_ns, number, head, body = entry
    begin, end = at + HEADER_BYTES, at + HEADER_BYTES + size_bytes
    rest = begin + len(head)
    data[begin:rest] = head
    if isinstance(body, np.ndarray):
        _copy_rows(body, target[rest:end])
    else:
        data[rest:end] = body
    fields = FIELDS.pack(MAGIC, kind, size_bytes, position, start_ns, end_ns, number, crc32_at_once(data[begin:end]))
    header = data[at:begin] = fields + CHECK.pack(crc32(fields))
    return header


def _copy_rows(rows: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8]) -> None:
    """Copy *rows*, each of which is one piece of memory, as so many items: numpy gives no turn for less than 500."""
    if rows.size:
        row = np.dtype((np.void, rows.shape[-1]))
        target.view(row)[...] = rows.view(row).reshape(-1)


def _marked(header: bytes) -> bytes:
    """Return *header* with the mark of the last of a group."""
    magic, kind, *rest = FIELDS.unpack_from(header)
    fields = FIELDS.pack(magic, kind | LAST_OF_GROUP, *rest)
    return fields + CHECK.pack(crc32(fields))


def _complaint(start_ns: int, end_ns: int, size_bytes: int, form: int) -> str:
    if start_ns > end_ns:
        return f"an entry ends at {end_ns} before it starts at {start_ns}"
    if size_bytes > MAX_BODY_BYTES:
        return f"body of {size_bytes} bytes, limit is {MAX_BODY_BYTES}"
    return f"format {form} is not in 0-{MAX_FORMAT}"
