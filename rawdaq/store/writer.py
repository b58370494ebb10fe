"""Appends groups of entries to the last segment, and begins the next when that is full."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.store.cursors import NO_CURSORS, CursorBook, CursorGroup, CursorMove
from rawdaq.store.durability import Durability, Group
from rawdaq.store.errors import DiskFull, DiskGone, typed_errors, unavailable
from rawdaq.store.folder import File, Folder
from rawdaq.store.format.control import Boot, pack_limit
from rawdaq.store.format.drafts import Draft
from rawdaq.store.format.frames import Kind
from rawdaq.store.segments.catalog import Catalog, End
from rawdaq.store.segments.segment import ENDLESS, Segment
from rawdaq.store.segments.table import HeaderTable
from rawdaq.store.values import Entry

MAX_GROUP_ENTRIES = 1 << 20
MAX_GROUP_BYTES = 256 << 20
_LIMIT_STEP = 1 << 16
_LIMIT_MAX_STEP = 1 << 21  # so that what is burnt stays below half of 24 bits
_LIMIT_S = 10.0
_MAX_WAITING_BYTES = 64 << 20  # written and not synced: held in memory
_INDEXED_BYTES = 36  # of an entry in the index that is written when its segment is full
_INDEX_HEAD_BYTES = 1024
_ZEROS = bytes(256 << 10)


class Place(NamedTuple):
    """Where the next group goes.

    Args:
        segment: the last one.
        file: its file.
        table: its index.
        offset: where the bytes behind its last entry begin.
    """

    segment: Segment
    file: File
    table: HeaderTable
    offset: int


class Parts(NamedTuple):
    """What a writer works with."""

    folder: Folder
    catalog: Catalog
    book: CursorBook
    durability: Durability
    clock: Callable[[], int]


class Start(NamedTuple):
    """Where a writer begins.

    Args:
        identity: of this start of the machine.
        place: where to go on; None: with a new segment.
        next_position: what the next entry gets.
        previous_end: the position behind the last entry that there is.
        limit: positions below it may have been given out.
        is_clean: whether the log ends as a close leaves it.
    """

    identity: str
    place: Place | None
    next_position: int
    previous_end: int
    limit: int
    is_clean: bool


class Writer:
    """The one that appends. Its methods are called by one thread at a time, which holds `lock`.

    Args:
        parts: of the store.
        start: where to begin.
        segment_bytes: how large a segment becomes.
        make_room: called before a segment is begun, with its size and whether it is for data.
        free_space: called when the disk is full; returns whether it has freed some.

    Attributes:
        next_position: what the next entry gets.
        written_bytes: how much it has written.
    """

    def __init__(
        self,
        parts: Parts,
        start: Start,
        segment_bytes: int,
        make_room: Callable[[int, bool], None],
        free_space: Callable[[], bool],
    ) -> None:
        self.next_position = start.next_position
        self.written_bytes = 0
        self.lock = threading.Lock()
        self._parts = parts
        self._segment_bytes = segment_bytes
        self._make_room = make_room
        self._free_space = free_space
        self._identity = start.identity
        self._place = start.place
        self._previous_end = start.previous_end
        self._limit = start.limit
        self._near = start.limit - _LIMIT_STEP // 2  # from here on the limit is moved
        self._limit_set = (time.monotonic(), start.next_position)
        self._is_clean = start.is_clean
        self._fresh: Place | None = None  # in a segment that nothing could be written to yet
        self._begun: int | None = None  # the first position of a file that is in no catalog
        self._is_torn = False
        self._ready_to = start.place.file.size() if start.place is not None else 0
        self._created_ns = 0
        self._skips = False  # whether positions in front of the next one are left out

    @property
    def is_near_limit(self) -> bool:
        """Whether few positions are left that may be given out before the next sync."""
        return self.next_position > self._parts.durability.limit - _LIMIT_STEP // 2

    def append(self, entries: Sequence[Entry], moves: Sequence[CursorMove]) -> range:
        """Write a group with one call of the system; return the positions of its entries.

        Raises:
            InvalidValue: an entry or a move is not what the store can hold.
            StoreUnavailable: the disk refuses; nothing has changed.
            StoreFull: all that may be kept is kept for cursors.
        """
        if len(entries) > MAX_GROUP_ENTRIES:
            raise InvalidValue(f"group of {len(entries)} entries, limit is {MAX_GROUP_ENTRIES}")
        cursors = self._parts.book.group(moves)
        if entries or cursors.bodies:
            end = self.next_position + len(entries)
            self._reserve(len(entries))
            self._write(entries, cursors, end + self._limit_step() if end > self._near else 0)
        return range(self.next_position - len(entries), self.next_position)  # one in front of them may be burnt

    def skip_to(self, position: int) -> None:
        """Let the next entry get *position*, in a new segment: positions in one segment have no holes.

        Raises:
            InvalidValue: that was used already, or is beyond what a position can be.
        """
        if not self.next_position <= position < ENDLESS >> 1:
            raise InvalidValue(f"position {position} cannot follow {self.next_position - 1}")
        if position > self.next_position:
            self._remove_begun()
            self.next_position, self._skips = position, self._place is not None

    def finish(self) -> None:
        """Write that the log ends here, so that no position is burnt when it is opened again.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        cursors = self._parts.book.group(())
        if self._place is not None and not (self._is_clean and not cursors.bodies):
            self._write((), cursors, self.next_position)

    def _limit_step(self) -> int:
        """Return how many positions may be given out before the limit must be moved again."""
        since_s, position = self._limit_set
        rate = (self.next_position - position) / max(time.monotonic() - since_s, 1.0)
        return min(max(_LIMIT_STEP, int(rate * _LIMIT_S)), _LIMIT_MAX_STEP)

    def _reserve(self, count: int) -> None:
        """Return when *count* positions may be given out: no power cut can let them be given out again."""
        needed = self.next_position + count + 1  # one may be burnt
        if needed > self._parts.durability.limit:
            if needed > self._limit:
                self._write((), NO_CURSORS, needed + self._limit_step())
            self._parts.durability.sync()

    def _write(self, entries: Sequence[Entry], cursors: CursorGroup, limit: int) -> None:
        """Write a group behind the last one, or into a new segment; *limit* is 0 when it stays as it is."""
        place = self._place
        if place is not None and not self._skips:
            draft = self._draft(place.table, entries, cursors, limit)
            if place.offset + draft.size_bytes <= self._segment_bytes:
                self._remove_begun()
                self._put(place, [draft], limit)
                self._parts.book.written(cursors)
                return
            if place.segment.first == self.next_position:  # nothing in it uses up a position: no two files of one name
                self.next_position += 1
        place = self._fresh = self._fresh or self._begin(bool(entries))
        self._put(place, [self._head(limit), self._draft(place.table, entries, cursors, 0)], limit)
        self._fresh = self._begun = None
        self._skips = False
        self._parts.book.written(cursors)

    def _draft(self, table: HeaderTable, entries: Sequence[Entry], cursors: CursorGroup, limit: int) -> Draft:
        draft = Draft(self.next_position, table.numbers, len(table.declared))
        if limit:
            draft.add_control(Kind.LIMIT, pack_limit(limit), copies=2)
        draft.add_cursors(cursors.bodies, self._parts.clock())
        draft.add_entries(entries)
        return draft

    def _head(self, limit: int) -> Draft:
        """Return what a segment begins with: all that must be known to go on behind it."""
        cursors = self._parts.book.wholes()
        self._created_ns = max(self._created_ns, self._parts.clock())
        head = Draft(self.next_position, {}, 0)
        boot = Boot(self._identity, self._previous_end, len(cursors)).pack()
        head.add_control(Kind.BOOT, boot, self._created_ns, copies=2)
        head.add_control(Kind.LIMIT, pack_limit(limit or self._limit), copies=2)
        head.add_cursors(cursors, self._created_ns)
        return head

    def _begin(self, is_for_data: bool) -> Place:
        """Make the file of a new segment."""
        first, parts = self.next_position, self._parts
        ended = 0 if self._place is None else self._previous_end - self._place.segment.first
        try:
            with typed_errors(parts.folder.path):
                self._remove_begun()
                self._make_room(self._segment_bytes + ended * _INDEXED_BYTES + _INDEX_HEAD_BYTES, is_for_data)
                self._begun = first
                file = parts.folder.create(first)
                self._ready_to = file.size()
        except DiskGone:
            parts.durability.is_gone = True
            raise
        table = HeaderTable(first)
        return Place(Segment(parts.catalog.shared, first, table), file, table, 0)

    def _remove_begun(self) -> None:
        """Remove the file of a segment that was not begun after all: positions that it would begin with come before."""
        if self._begun is not None:
            with typed_errors(self._parts.folder.path):
                self._parts.folder.retire(self._begun)
            self._fresh = self._begun = None

    def _put(self, place: Place, drafts: Sequence[Draft], limit: int) -> None:
        """Write *drafts*; when that has worked, let them be read."""
        durability, catalog, draft = self._parts.durability, self._parts.catalog, drafts[-1]
        size = sum(each.size_bytes for each in drafts)
        if size > MAX_GROUP_BYTES:
            raise InvalidValue(f"group of {size} bytes, limit is {MAX_GROUP_BYTES}")
        if durability.waiting_bytes and durability.waiting_bytes + size > _MAX_WAITING_BYTES:
            durability.sync()
        memory, headers = durability.memory(size), b""
        for each, at in zip(drafts, accumulate((each.size_bytes for each in drafts), initial=0), strict=False):
            headers += each.write(memory[at : at + each.size_bytes])
        self._write_bytes(place, memory.data)
        for declared in draft.declared:
            place.table.declare(declared)
        place.table.add(headers)
        self._is_clean = limit == draft.position
        if limit:
            self._limit, self._limit_set = limit, (time.monotonic(), draft.position)
            self._near = (draft.position + limit) // 2
        group = Group(place.segment, place.offset, memory, draft.position, self._limit)
        durability.add(group, place.file if place.offset == 0 else None)
        if place.offset == 0:
            if self._place is not None:
                self._place.segment.close_at(self._place.offset)
            catalog.append(place.segment, self._previous_end)
        self.written_bytes += size
        self._place = place._replace(offset=place.offset + size)
        self.next_position = self._previous_end = draft.position
        catalog.end = End(place.segment, self._place.offset, draft.position, draft.position)

    def _write_bytes(self, place: Place, data: memoryview) -> None:
        """Write *data*; when that fails, clean up behind it, and see whether it failed because the folder has gone."""
        try:
            if self._is_torn:
                self._cut(place)
            self._is_torn = True
            try:
                place.file.write(data, place.offset)
            except OSError as error:
                if not isinstance(unavailable(error, place.file.path), DiskFull) or not self._free_space():
                    raise
                place.file.write(data, place.offset)
            self._is_torn = False
        except OSError as error:
            with contextlib.suppress(OSError):
                self._cut(place)
            self._parts.durability.is_gone = not place.file.is_at_its_path()
            raise unavailable(error, self._parts.folder.path) from error

    def _cut(self, place: Place) -> None:
        """Remove what a write that failed has left: whole entries of it would stand behind what comes instead."""
        place.file.cut(place.offset)
        self._ready_to = 0
        self._is_torn = False

    def extend(self, ahead_bytes: int) -> None:
        """Write zeros behind the last entry, when there are not *ahead_bytes* of them.

        To overwrite them costs a sync less than to let the file grow. A disk that refuses does no harm.
        """
        place = self._place
        begin = max(self._ready_to, place.offset) if place is not None else 0
        if place is None or self._is_torn or begin >= min(place.offset + ahead_bytes, self._segment_bytes):
            return
        zeros = _ZEROS[: self._segment_bytes - begin]
        with contextlib.suppress(OSError):
            place.file.write(zeros, begin)
            self._ready_to = begin + len(zeros)

    def reopened(self, files: Mapping[Segment, File]) -> None:
        """Use other *files*: the folder has come back."""
        self._fresh = None
        if self._place is not None:
            self._place = self._place._replace(file=files[self._place.segment])
            self._ready_to, self._is_torn = 0, True
