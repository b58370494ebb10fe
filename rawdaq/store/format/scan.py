"""The entries of a segment, found from its bytes alone, whatever has happened to them.

Headers bear dense positions that only rise. So what an earlier use of a file has left is recognised by its position,
and behind a damaged header the next one is found again.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.store.format import frames
from rawdaq.store.format.checksum import crc32
from rawdaq.store.format.frames import HEADER_BYTES, Rows, column

_STEP_FRAMES = 4096  # walked before they are checked, so that a damaged length leads astray for so long at most
_MAGIC = frames.MAGIC.to_bytes(2, "little")

Offsets = npt.NDArray[np.int64]


class Hole(NamedTuple):
    """Bytes in which no intact header stands, with intact ones before and behind.

    Args:
        row: the number of the intact header behind it.
        first: the position that it should begin with.
        last: the last position in it; below *first* when only entries of the store itself are gone.
    """

    row: int
    first: int
    last: int


class Scan(NamedTuple):
    """What a segment holds.

    Args:
        begin: where the scan began, and the position that was to come there.
        rows: the intact headers in order.
        offsets: where each stands.
        holes: what is damaged between them.
    """

    begin: tuple[int, int]
    rows: Rows
    offsets: Offsets
    holes: list[Hole]

    @property
    def end(self) -> int:
        """Where the bytes behind the last entry begin."""
        return int(self.offsets[-1]) + HEADER_BYTES + int(self.rows[-1]["length"]) if len(self.rows) else self.begin[0]

    @property
    def next_position(self) -> int:
        """The position behind the last entry."""
        if not len(self.rows):
            return self.begin[1]
        return int(self.rows[-1]["position"]) + int(frames.is_data(self.rows[-1:])[0])

    def up_to(self, count: int) -> "Scan":
        """Return the same without the rows from number *count* on."""
        holes = [hole for hole in self.holes if hole.row < count]
        return Scan(self.begin, self.rows[:count], self.offsets[:count], holes)

    def body_is_intact(self, data: bytes, row: int) -> bool:
        """Return whether the body behind the header number *row* is what was written."""
        begin = int(self.offsets[row]) + HEADER_BYTES
        body = data[begin : begin + int(self.rows[row]["length"])]
        return crc32(body) == int(self.rows[row]["body_crc"])

    def damaged_bodies(self, data: bytes) -> list[int]:
        """Return the numbers of the rows whose bodies are not what was written."""
        begins = (self.offsets + HEADER_BYTES).tolist()
        ends = (self.offsets + HEADER_BYTES + column(self.rows, "length")).tolist()
        found = [crc32(data[begin:end]) for begin, end in zip(begins, ends, strict=True)]
        wrong = np.array(found, np.uint32) != column(self.rows, "body_crc")
        numbers: list[int] = np.flatnonzero(wrong).tolist()
        return numbers


def scan(data: bytes, position: int, below: int, offset: int = 0) -> Scan:
    """Return what the bytes of a segment hold.

    Args:
        data: the bytes, from its beginning.
        position: what the first entry bears.
        below: no entry bears this position or a later one.
        offset: where to begin.
    """
    begin = (offset, position)
    parts: list[tuple[Rows, list[int]]] = []
    holes: list[Hole] = []
    count = 0
    while True:
        rows, offsets = _run(data, offset, position, below)
        parts.append((rows, offsets))
        count += len(offsets)
        if offsets:
            position += int(frames.is_data(rows).sum())
            offset = offsets[-1] + HEADER_BYTES + int(rows[-1]["length"])
            if len(offsets) == _STEP_FRAMES:
                continue
        found = _repair(data, offset, position, below)
        if found is None:
            found = _next_intact(data, offset, position, below)
            if found is None:
                break
            first, (header, offset) = position, found
            position = int(frames.as_rows(header)["position"][0])
            holes.append(Hole(count, first, position - 1))
        row = frames.as_rows(found[0])
        parts.append((row, [offset]))
        count += 1
        position += int(frames.is_data(row)[0])
        offset += HEADER_BYTES + int(row["length"][0])
    rows = np.concatenate([rows for rows, _ in parts])
    offsets_found = np.array([each for _, offsets in parts for each in offsets], np.int64)
    return Scan(begin, rows, offsets_found, holes)


def _run(data: bytes, offset: int, position: int, below: int) -> tuple[Rows, list[int]]:
    """Return the next headers up to the first that is not intact, or does not bear the position that it should."""
    offsets: list[int] = []
    length_at = frames.LENGTH.unpack_from
    end = len(data) - HEADER_BYTES
    while offset <= end and len(offsets) < _STEP_FRAMES:
        offsets.append(offset)
        offset += HEADER_BYTES + length_at(data, offset + frames.LENGTH_AT)[0]
    rows = frames.as_rows(b"".join([data[each : each + HEADER_BYTES] for each in offsets]))
    checks = np.array([crc32(data[each : each + frames.FIELD_BYTES]) for each in offsets], np.uint32)
    data_rows = frames.is_data(rows)
    expected = position + np.cumsum(data_rows) - data_rows
    positions = column(rows, "position").astype(np.int64)
    right = (column(rows, "magic") == frames.MAGIC) & (column(rows, "header_crc") == checks)
    right &= (positions == expected) & (positions + data_rows <= below)
    count = len(offsets) if right.all() else int(right.argmin())
    return rows[:count], offsets[:count]


def _repair(data: bytes, offset: int, position: int, below: int) -> tuple[bytes, int] | None:
    header = frames.repaired(data, offset, position)
    if header is None or position + int(frames.is_data(frames.as_rows(header))[0]) > below:
        return None
    return header, offset


def _next_intact(data: bytes, offset: int, position: int, below: int) -> tuple[bytes, int] | None:
    """Return the next intact header behind *offset* that can follow, and where it stands."""
    found = offset
    while (found := data.find(_MAGIC, found + 1)) >= 0 and found + HEADER_BYTES <= len(data):
        borne = frames.POSITION.unpack_from(data, found + frames.POSITION_AT)[0]
        most = position + (found - offset) // HEADER_BYTES + 1
        if position <= borne <= min(most, below) and frames.parse_header(data, found) is not None:
            header = data[found : found + HEADER_BYTES]
            if borne + int(frames.is_data(frames.as_rows(header))[0]) <= below:
                return header, found
    return None


def cut_tail(found: Scan, data: bytes) -> Scan:
    """Return *found* without the group at its end whose write was not complete, if there is such a one.

    Only the last group can be that: the next is written when the one before was. A group is whole when its last entry
    is there with the mark of the last, and all its bodies are what was written.
    """
    ends = np.flatnonzero(column(found.rows, "kind") & frames.LAST_OF_GROUP) + 1
    if not len(ends) or ends[-1] < len(found.rows):
        return found.up_to(int(ends[-1]) if len(ends) else 0)
    begin = int(ends[-2]) if len(ends) > 1 else 0
    is_whole = all(found.body_is_intact(data, row) for row in range(begin, len(found.rows)))
    return found if is_whole and not any(begin <= hole.row for hole in found.holes) else found.up_to(begin)
