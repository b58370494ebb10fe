"""What `status` shows of a journal: some of it only a look at the disk shows, which is made now and then."""

from collections.abc import Mapping
from typing import NamedTuple

from rawdaq.delivery.journal.outlet import Outlet
from rawdaq.journal.entries import EntryUnreadable, number_of
from rawdaq.journal.folder import entry_at
from rawdaq.store.async_store import AsyncStore
from rawdaq.store.store import Store
from rawdaq.store.values import Stored
from rawdaq.times import NS_PER_S, to_iso


class Newest(NamedTuple):
    """How many packets a journal has got, and the time of the last sample."""

    number: int
    end_ns: int


class Lag(NamedTuple):
    """How far a publisher is behind: so many packets, and the time from the next of them to the newest sample."""

    packets: int
    seconds: float


class Look(NamedTuple):
    """What a look at the disk showed.

    Attributes:
        size_bytes: of the files.
        oldest_ns: the first sample that is kept; None when there is none.
        lags: of each publisher.
    """

    size_bytes: int = 0
    oldest_ns: int | None = None
    lags: Mapping[str, Lag] = {}


def look_at(store: Store, positions: Mapping[str, int], newest: Newest) -> Look:
    """Return what the disk shows; this blocks.

    Args:
        store: the journal.
        positions: of each publisher.
        newest: what came last.

    Raises:
        StoreUnavailable: the disk cannot be read.
    """
    end = store.end_position
    oldest = entry_at(store.reader(), end)
    lags = {name: _lag(entry_at(store.reader(position), end), newest) for name, position in positions.items()}
    return Look(store.size_bytes(), None if oldest is None else oldest.start_ns, lags)


def _lag(following: Stored | None, newest: Newest) -> Lag:
    if following is None:
        return Lag(0, 0.0)
    try:
        packets = max(1, newest.number - number_of(following))
    except EntryUnreadable:
        packets = 1
    return Lag(packets, max(0, newest.end_ns - following.start_ns) / NS_PER_S)


def store_status(store: AsyncStore, look: Look) -> dict[str, object]:
    """Return what `status` shows of the store."""
    shown = store.store.status()
    return {
        "position": shown.next_position,
        "oldest_position": shown.oldest_position,
        "oldest_time": None if look.oldest_ns is None else to_iso(look.oldest_ns),
        "size_bytes": look.size_bytes,
        "last_sync": to_iso(shown.synced_ns) if shown.synced_ns else None,
        "sync_error": None if store.sync_error is None else str(store.sync_error),
        "is_disk_nearly_full": shown.is_low,
        "lost": shown.lost,
        "lost_by_stream": dict(shown.lost_by_stream),
    }


def cursor_status(outlet: Outlet, look: Look, dropped: Mapping[str, int]) -> dict[str, object]:
    """Return what `status` shows of one publisher; *dropped* is what retention took from it."""
    lag = look.lags.get(outlet.name, Lag(0, 0.0))
    return {
        "position": outlet.cursor.base,
        "behind_packets": lag.packets,
        "behind_s": round(lag.seconds, 3),
        "is_reading_journal": outlet.queue.is_behind,
        "packets_from_journal": outlet.queue.read_count,
        "unreadable": 0 if outlet.source is None else outlet.source.lost,
        "dropped": sum(dropped.values()),
        "dropped_by_stream": dict(dropped),
    }
