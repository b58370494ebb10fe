"""Removes the oldest segments: those that are too much or too old, and never silently what a cursor needs."""

import threading
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from rawdaq.store.errors import StoreFull, typed_errors
from rawdaq.store.segments.segment import Segment
from rawdaq.store.values import Extent, LowSpace, Report, Trimmed
from rawdaq.store.writer import Parts
from rawdaq.times import from_calendar

_LOW_SHARE = 0.05
_LOW_BYTES = 256_000_000
_CLOCK_WAS_SET_NS = from_calendar(2020, 1, 1, 0, 0, 0)  # what was written before was written without a clock


class Retention(NamedTuple):
    """What a store keeps.

    Args:
        max_bytes: how large it may be; None: as large as its disk.
        max_age_ns: how long ago what is kept may have been written; None: for ever.
        drops_needed: whether what a cursor still needs is removed when the store is full; it is counted and reported.
            Otherwise an append raises `StoreFull` then.
        droppable: cursors of which that holds in any case, when no other one needs it.
    """

    max_bytes: int | None = None
    max_age_ns: int | None = None
    drops_needed: bool = False
    droppable: frozenset[str] = frozenset()

    def drops(self, behind: Collection[str]) -> bool:
        """Return whether what the cursors *behind* need is removed when the store is full."""
        return self.drops_needed or self.droppable.issuperset(behind)


class Trimmer:
    """Applies a `Retention`.

    Args:
        parts: of the store; what is not on the disk yet stays.
        rules: what is kept.
        report: called with each segment that is removed.

    Attributes:
        dropped: how many entries were removed that a cursor still needed, by cursor and stream.
        is_low: whether the disk is nearly full.
    """

    def __init__(self, parts: Parts, rules: Retention, report: Callable[[Report], None]) -> None:
        self.dropped: dict[str, dict[str, int]] = {}
        self.is_low = False
        self._folder, self._catalog, self._book, self._durability, _ = parts
        self._rules = rules
        self._report = report
        self._lock = threading.Lock()

    def trim(self, now_ns: int, room_bytes: int = 0) -> None:
        """Remove what is too old, and what nobody needs when the disk is nearly full.

        Args:
            now_ns: the time.
            room_bytes: how much more is to be written; what is too much then is removed, too.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        with self._lock, typed_errors(self._folder.path):
            self._look_for_space()
            while (oldest := self._removable()) is not None:
                is_full = room_bytes > 0 and self._is_full(room_bytes)
                if not (is_full or self.is_low or self._is_old(oldest, now_ns)):
                    return
                behind = self._behind(oldest)
                if behind and not (is_full and self._rules.drops(behind)):
                    return
                self._remove(oldest, behind, is_kept=room_bytes > 0)

    def make_room(self, now_ns: int, room_bytes: int) -> None:
        """Let *room_bytes* be written.

        Raises:
            StoreFull: cursors need all that there is.
            StoreUnavailable: the disk refuses.
        """
        self.trim(now_ns, room_bytes)
        oldest = self._removable()
        with typed_errors(self._folder.path):
            is_full = oldest is not None and self._is_full(room_bytes)
        # What was synced since the look above goes the next time: it is no cursor that keeps it.
        behind = self._behind(oldest) if oldest is not None and is_full else {}
        if behind and not self._rules.drops(behind):
            raise StoreFull(str(self._folder.path), tuple(behind), self._rules.max_bytes or 0)

    def free_space(self) -> bool:
        """Remove something that nobody needs because the disk is full; return whether there was something."""
        with self._lock, typed_errors(self._folder.path):
            if self._folder.remove_spares():
                return True
            oldest = self._removable()
            if oldest is None or self._behind(oldest):
                return False
            self._remove(oldest, {}, is_kept=False)
            return True

    def _removable(self) -> Segment | None:
        """Return the oldest segment, unless it is the last one or not on the disk yet."""
        segments = self._catalog.segments
        return segments[0] if len(segments) > 1 and not self._durability.holds(segments[0]) else None

    def _is_full(self, room_bytes: int) -> bool:
        return self._rules.max_bytes is not None and self._folder.total_bytes() + room_bytes > self._rules.max_bytes

    def _is_old(self, segment: Segment, now_ns: int) -> bool:
        """Return whether all of *segment* is too old; when it was written is what the one behind it begins with."""
        if self._rules.max_age_ns is None or segment.following is None:
            return False
        head = segment.following.head()
        return head is not None and _CLOCK_WAS_SET_NS < head.created_ns < now_ns - self._rules.max_age_ns

    def _behind(self, segment: Segment) -> dict[str, int]:
        """Return the cursors that still need something of *segment*."""
        return {name: position for name, position in self._book.needed().items() if position < segment.end}

    def _remove(self, segment: Segment, behind: Mapping[str, int], is_kept: bool) -> None:
        undelivered: dict[str, Mapping[str, Extent]] = {}
        for name, position in behind.items():
            undelivered[name] = extents = _extents_from(segment, position)
            counts = self.dropped.setdefault(name, {})
            for stream, extent in extents.items():
                counts[stream] = counts.get(stream, 0) + extent.entries
        first, last = segment.first, segment.end - 1
        self._catalog.remove_oldest()
        self._folder.retire(first, is_kept)
        self._report(Trimmed(first, last, undelivered))

    def _look_for_space(self) -> None:
        free_bytes, size_bytes = self._folder.free_bytes()
        was_low, self.is_low = self.is_low, free_bytes < min(size_bytes * _LOW_SHARE, _LOW_BYTES)
        if self.is_low:
            self._folder.remove_spares()
            if not was_low:
                self._report(LowSpace(free_bytes))


def _extents_from(segment: Segment, position: int) -> dict[str, Extent]:
    return segment.ask(lambda index: index.extents(position))
