"""What a store says of itself."""

from collections.abc import Mapping
from typing import NamedTuple


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
