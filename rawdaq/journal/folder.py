"""The journal of another process, looked at from outside: its packets in order, and how far its cursors are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rawdaq.journal.entries import EntryUnreadable, Item, decode, number_of
from rawdaq.store.inspect import StoreView
from rawdaq.store.segments.reading import Reader
from rawdaq.store.values import Extent, Stored
from rawdaq.times import NS_PER_S

_SEGMENT = re.compile(r"[0-9a-f]{16}\.seg")


def is_journal(path: Path) -> bool:
    """Return whether *path* is a folder with a journal in it."""
    return path.is_dir() and any(_SEGMENT.fullmatch(each.name) for each in path.iterdir())


def items(view: StoreView) -> Iterator[Item | EntryUnreadable]:
    """Yield what a journal holds up to its end, in the order in which it came; what cannot be read as the reason.

    Raises:
        StoreUnavailable: the disk cannot be read.
    """
    reader = view.reader()
    while True:
        entries = view.read(reader).entries
        for stored in entries:
            try:
                yield decode(stored).item
            except EntryUnreadable as error:
                yield error
        if not entries and reader.position >= view.end_position:
            return


@dataclass(frozen=True, slots=True)
class CursorReport:
    """How far a publisher has come.

    Attributes:
        position: all below it is delivered.
        behind_packets: how many packets are not, as a whole.
        behind_s: from the first sample of the first of them to the newest sample.
        moved_ns: when the cursor was moved last.
    """

    position: int
    behind_packets: int
    behind_s: float
    moved_ns: int


@dataclass(frozen=True, slots=True)
class JournalReport:
    """What there is to say of a journal.

    Attributes:
        path: its folder.
        size_bytes: of its files.
        oldest_position: of the first entry that is kept.
        next_position: what the next entry gets.
        oldest_ns: the first sample of the first entry; None when there is none.
        newest_ns: the last sample of the last one.
        streams: what is held of each stream.
        cursors: of each publisher.
    """

    path: Path
    size_bytes: int
    oldest_position: int
    next_position: int
    oldest_ns: int | None
    newest_ns: int | None
    streams: Mapping[str, Extent]
    cursors: Mapping[str, CursorReport] = field(default_factory=dict[str, CursorReport])


def report(path: Path) -> JournalReport:
    """Return what there is to say of the journal in *path*, which a component may be writing.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    with StoreView.of(path) as view:
        oldest = _entry(view, view.oldest_position)
        newest = _entry(view, view.end_position - 1) if view.end_position > view.oldest_position else None
        cursors = {
            name: _cursor_report(view, cursor.position, newest, cursor.updated_ns)
            for name, cursor in view.cursors().items()
            if cursor.position is not None
        }
        return JournalReport(
            path,
            sum(each.stat().st_size for each in path.iterdir() if each.is_file()),
            view.oldest_position,
            view.end_position,
            None if oldest is None else oldest.start_ns,
            None if newest is None else newest.end_ns,
            view.extents(),
            cursors,
        )


def entry_at(reader: Reader, end: int) -> Stored | None:
    """Return the first entry of *reader* that can be read, None when there is none below position *end*.

    Raises:
        StoreUnavailable: the disk cannot be read.
    """
    while reader.position < end:
        if entries := reader.read(1).entries:
            return entries[0]
    return None


def _entry(view: StoreView, position: int) -> Stored | None:
    return entry_at(view.reader(position), view.end_position)


def _cursor_report(view: StoreView, position: int, newest: Stored | None, moved_ns: int) -> CursorReport:
    following = _entry(view, position) if position < view.end_position else None
    if following is None or newest is None:
        return CursorReport(position, 0, 0.0, moved_ns)
    try:
        last = decode(newest)
        count = 1 if isinstance(last.item, bytes) else last.item.count
        packets = last.number + count - number_of(following)
    except EntryUnreadable:
        packets = view.end_position - position
    return CursorReport(position, packets, max(0, newest.end_ns - following.start_ns) / NS_PER_S, moved_ns)
