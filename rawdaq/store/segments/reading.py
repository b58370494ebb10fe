"""Reads entries in order of position, from any position on, while they are written."""

import struct

from rawdaq.errors import InvalidValue
from rawdaq.store.errors import typed_errors
from rawdaq.store.format import frames
from rawdaq.store.format.checksum import crc32
from rawdaq.store.format.frames import FIELD_BYTES, FORMAT_SHIFT, HEADER_BYTES, KIND_MASK, MAGIC, Kind
from rawdaq.store.segments.catalog import Catalog, End
from rawdaq.store.segments.segment import Segment
from rawdaq.store.values import Batch, Declared, Loss, LossReason, Stored

READ_BYTES = 256 << 10

_ALL = struct.Struct(frames.FIELDS.format + "I")
_DATA = int(Kind.DATA)


class Reader:
    """Gives the entries from a position on, batch by batch; any number of them read one store.

    Args:
        catalog: the segments.
        position: of the first entry; below the oldest one that is kept, reading begins there.

    Attributes:
        position: of the entry that comes next.
    """

    def __init__(self, catalog: Catalog, position: int) -> None:
        self.position = position
        self._catalog = catalog
        self._segment: Segment | None = None
        self._offset: int = 0
        self._declared: dict[int, Declared | None] = {}

    def seek(self, position: int) -> None:
        """Go on at *position*."""
        self.position = position
        self._segment = None

    def read(self, max_bytes: int = READ_BYTES) -> Batch:
        """Return the next entries; none when there are no more yet.

        Args:
            max_bytes: about how many bytes to read; one entry is read however large it is.

        Raises:
            InvalidValue: the position is above what the next entry will have.
            StoreUnavailable: the disk cannot be read.
        """
        self._catalog.check_open()
        end = self._catalog.end
        if self.position > end.next_position:
            raise InvalidValue(f"position {self.position} has not been used; the next one is {end.next_position}")
        batch = Batch([], self.position, 0, [])
        with typed_errors(self._catalog.path):
            while self.position < end.position and not batch.entries and not batch.losses:
                batch = self._read_once(end, max_bytes, batch.skipped)
        for loss in batch.losses:
            self._catalog.losses.add(loss)
        self._catalog.unload()
        return batch

    def _read_once(self, end: End, max_bytes: int, skipped: int) -> Batch:
        """Return what one look at the disk brings: perhaps nothing, but then the place has moved."""
        before = self.position
        if not self._catalog.segments:
            self.position = end.position
            return Batch([], end.position, skipped + end.position - before, [])
        segment, jumped = self._find_place()
        if self.position >= end.position:
            return Batch([], self.position, skipped + jumped, [])
        piece = _Piece(segment, self.position, self._offset, self._declared)
        try:
            piece.read(end, max_bytes)
            if piece.losses:
                self._catalog.shared.recheck()
        except FileNotFoundError:
            self._catalog.shared.recheck()
            if not segment.is_retired:
                raise
        if segment.is_retired:  # what was read may be of another use of its file
            self.position, self._segment = before, None
            return Batch([], before, skipped, [])
        self.position, self._offset = piece.position, piece.offset
        return Batch(piece.entries, self.position, skipped + jumped, piece.losses)

    def _find_place(self) -> tuple[Segment, int]:
        """Return where the next entry is, and how many positions had to be jumped because they are gone."""
        segment = self._segment
        if segment is not None and not segment.is_retired and self.position < segment.end:
            return segment, 0
        skipped = 0
        segment = self._catalog.locate(self.position)
        if self.position < segment.first:
            skipped = segment.first - self.position
            self.position = segment.first
        while segment.following is not None and self.position >= segment.end:  # burnt, or nothing in it
            segment = segment.following
            self.position = segment.first
        self._segment, self._offset = segment, 0
        self._declared = {}
        return segment, skipped


class _Piece:
    """What is read of one segment at once.

    Args:
        segment: the segment.
        position: of the entry that comes next.
        offset: where that stands; 0 when that is not known.
        declared: what is known of the numbers of streams.
    """

    def __init__(self, segment: Segment, position: int, offset: int, declared: dict[int, Declared | None]) -> None:
        self.entries: list[Stored] = []
        self.losses: list[Loss] = []
        self.position = position
        self.offset = offset
        self._segment = segment
        self._declared = declared

    def read(self, end: End, max_bytes: int) -> None:
        """Read about *max_bytes*; stop before what is damaged, or deal with that when it comes first."""
        segment, position = self._segment, self.position
        self.offset = self.offset or segment.ask(lambda index: index.offset(position))
        if not self.offset:
            self._pass_gap(min(segment.end, end.position))
            return
        limit = end.offset if segment is end.segment else segment.data_end
        data = segment.read(max(min(max_bytes, limit - self.offset), HEADER_BYTES), self.offset)
        header = frames.parse_header(data)
        if header is None:
            fixed = frames.repaired(data, 0, position)
            if fixed is None:
                self._pass_damage(data, min(segment.end, end.position))
                return
            data, header = fixed + data[HEADER_BYTES:], frames.parse_header(fixed)
        size = HEADER_BYTES + (header.length if header is not None else 0)
        if len(data) < size:
            data = data[:HEADER_BYTES] + segment.read(size - HEADER_BYTES, self.offset + HEADER_BYTES)
        if len(data) < size or not self._take(data):
            self._pass_damage(data, min(segment.end, end.position))

    def _take(self, data: bytes) -> bool:
        """Take the entries of *data* up to the first that is damaged or not whole; return whether there were some."""
        at, size, position, begin = 0, len(data), self.position, self.position
        unpack = _ALL.unpack_from
        while (body_at := at + HEADER_BYTES) <= size:
            magic, kind, length, borne, start_ns, end_ns, stream, body_crc, check = unpack(data, at)
            if magic != MAGIC or crc32(data[at : at + FIELD_BYTES]) != check or borne != position:
                break
            behind = body_at + length
            if behind > size:
                break
            if kind & KIND_MASK == _DATA:
                body = data[body_at:behind]
                declared = self._declared.get(stream) or self._look_up(stream)
                if crc32(body) != body_crc or declared is None:
                    name = declared and declared.stream
                    self.losses.append(Loss(position, position, 1, name, start_ns, end_ns, LossReason.DAMAGED))
                else:
                    name, facts = declared
                    kind >>= FORMAT_SHIFT
                    self.entries.append(Stored(position, name, start_ns, end_ns, body, kind, facts))
                position += 1
            at = behind
        self.position = position
        self.offset += at
        return at > 0 or position > begin

    def _look_up(self, number: int) -> Declared | None:
        self._declared[number] = found = self._segment.ask(lambda index: index.declaration(number))
        return found

    def _pass_gap(self, end: int) -> None:
        """Go on behind positions of which no header was found."""
        position = self.position
        first, behind = self._segment.ask(lambda index: index.gap_around(position))
        behind = end if behind is None else behind
        before = self._segment.ask(lambda index: index.describe(first - 1))
        after = self._segment.ask(lambda index: index.describe(behind))
        times = (before and before[2], after and after[1])
        reason = LossReason.MISSING if after is None else LossReason.DAMAGED
        self.losses.append(Loss(first, behind - 1, behind - first, None, *times, reason))
        self.position, self.offset = behind, 0

    def _pass_damage(self, data: bytes, end: int) -> None:
        """Go on behind a header that is damaged, or behind the end of a file that was shortened."""
        segment, position = self._segment, self.position
        offset = segment.ask(lambda index: index.offset(position))
        if offset != self.offset:  # what is damaged is an entry of the store itself
            self.offset = offset
            return
        if not data:
            for stream, extent in segment.ask(lambda index: index.extents(position)).items():
                times = (extent.start_ns, extent.end_ns)
                self.losses.append(Loss(position, end - 1, extent.entries, stream, *times, LossReason.MISSING))
            self.position, self.offset = end, 0
            return
        self.losses.append(one_loss(position, segment.ask(lambda index: index.describe(position))))
        self.position, self.offset = position + 1, 0


def one_loss(position: int, described: tuple[str, int, int] | None) -> Loss:
    """Return the loss of one entry of which this is known."""
    if described is None:
        return Loss(position, position, 1, None, None, None, LossReason.DAMAGED)
    stream, start_ns, end_ns = described
    return Loss(position, position, 1, stream, start_ns, end_ns, LossReason.DAMAGED)
