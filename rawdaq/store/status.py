"""What a store says of itself, and how far its cursors are behind."""

from collections.abc import Mapping
from typing import NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.store.cursors import Cursor
from rawdaq.store.segments.catalog import Catalog


class Lag(NamedTuple):
    """How far a cursor is behind.

    Args:
        entries: how many entries it still has to read.
        time_ns: from the first instant of the next entry to the last instant of the newest; None: it has read all.
    """

    entries: int
    time_ns: int | None


class StoreStatus(NamedTuple):
    """What a store can say of itself without touching a disk.

    Args:
        oldest_position: the first that is kept.
        next_position: what the next entry gets.
        synced_position: entries below it are on the disk.
        synced_ns: when the last sync ended; 0 before the first.
        waiting_bytes: what is written and not synced.
        segments: how many files of entries there are.
        lost: how many entries were found to be lost.
        lost_by_stream: how many of each stream; "?" where it is not known.
        dropped: how many entries were removed that a cursor still needed, by cursor and stream.
        is_low: whether the disk is nearly full.
    """

    oldest_position: int
    next_position: int
    synced_position: int
    synced_ns: int
    waiting_bytes: int
    segments: int
    lost: int
    lost_by_stream: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    is_low: bool


def lag_of(catalog: Catalog, name: str, cursors: Mapping[str, Cursor]) -> Lag:
    """Return how far a cursor is behind the end of *catalog*.

    Raises:
        InvalidValue: there is no such cursor, or it is not about this log.
        StoreUnavailable: the disk cannot be read.
    """
    position = cursors[name].position if name in cursors else None
    if position is None:
        raise InvalidValue(f"{name!r} is not a cursor of this log; there are: {', '.join(cursors) or 'none'}")
    end = catalog.end.position
    position = max(position, catalog.oldest_position)
    if position >= end:
        return Lag(0, None)
    next_entry, newest = catalog.describe(position), catalog.describe(end - 1)
    return Lag(catalog.count(position), newest[2] - next_entry[1] if next_entry and newest else None)
