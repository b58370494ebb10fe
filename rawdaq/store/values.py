"""What goes into a store, what comes out of it, and what it reports."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rawdaq.times import to_iso

MAX_BODY_BYTES = 64 << 20  # bounds what one damaged length field can make a reader take
MAX_STREAM_BYTES = 255
MAX_FACTS_BYTES = 4096
MAX_FORMAT = 255


#: What is written: bytes, or an array of bytes of two dimensions.
Content: TypeAlias = bytes | memoryview | npt.NDArray[np.uint8]


class Entry(NamedTuple):
    """What is appended: a body that the store does not look into, its stream and its time.

    Args:
        stream: the name of the stream, up to 255 bytes as UTF-8.
        start_ns: its first instant.
        end_ns: its last instant, not before the first.
        body: the content: bytes one after the other, or rows of bytes of an array, which need not be.
        format: a number from 0 to 255 that says how to read the body.
        facts: what does not change from entry to entry; kept once per segment and stream, not with each entry.
        head: what the content begins with, where it is in two pieces: they are joined when they are written.
    """

    stream: str
    start_ns: int
    end_ns: int
    body: Content
    format: int = 0
    facts: bytes = b""
    head: bytes = b""

    @property
    def size_bytes(self) -> int:
        """How long the content is."""
        body = self.body
        return len(self.head) + (len(body) if isinstance(body, bytes) else body.nbytes)


class Stored(NamedTuple):
    """An `Entry` as it is read, with its position."""

    position: int
    stream: str
    start_ns: int
    end_ns: int
    body: bytes
    format: int
    facts: bytes


class Declared(NamedTuple):
    """What a segment says once about a stream."""

    stream: str
    facts: bytes


class Extent(NamedTuple):
    """How many entries of a stream there are, and their first and last instant."""

    entries: int
    start_ns: int
    end_ns: int

    def __str__(self) -> str:
        """Return it for a log line."""
        return f"{self.entries} from {to_iso(self.start_ns)} to {to_iso(self.end_ns)}"


class TimeRange(NamedTuple):
    """Instants of a stream without a gap between them, both included."""

    start_ns: int
    end_ns: int


class LossReason(StrEnum):
    """Why entries are not in the store any more."""

    TORN = "the write of the group was not complete"
    DAMAGED = "the bytes on the disk are not those that were written"
    MISSING = "the file was shortened or removed"


class Loss(NamedTuple):
    """Entries that cannot be read.

    Args:
        first: position of the first.
        last: position of the last.
        entries: how many of the stream are lost from the first to the last.
        stream: the stream; None when that is not known any more.
        start_ns: their first instant; where the stream is not known, that of the entry before.
        end_ns: their last instant; where the stream is not known, that of the entry behind. None: not known.
        reason: what happened to them.
    """

    first: int
    last: int
    entries: int
    stream: str | None
    start_ns: int | None
    end_ns: int | None
    reason: LossReason

    def __str__(self) -> str:
        """Return it for a log line."""
        where = self.stream if self.stream is not None else "a stream that is not known"
        times = [to_iso(time_ns) if time_ns is not None else "?" for time_ns in (self.start_ns, self.end_ns)]
        extent = f"{self.entries} entries of {where}, {times[0]} to {times[1]} (position {self.first})"
        return f"lost {extent}: {self.reason}"


class Trimmed(NamedTuple):
    """A segment that retention has removed.

    Args:
        first: its first position.
        last: its last position.
        undelivered: for each cursor that was still behind, what of each stream it had not read.
    """

    first: int
    last: int
    undelivered: Mapping[str, Mapping[str, Extent]]

    def __str__(self) -> str:
        """Return it for a log line."""
        parts = [
            f"{cursor} had not read {stream}: {extent}"
            for cursor, streams in self.undelivered.items()
            for stream, extent in streams.items()
        ]
        return f"removed positions {self.first} to {self.last}" + "".join(f"; {part}" for part in parts)


class LowSpace(NamedTuple):
    """The disk is nearly full.

    Args:
        free_bytes: what is left.
    """

    free_bytes: int

    def __str__(self) -> str:
        """Return it for a log line."""
        return f"the disk of the store is nearly full: {self.free_bytes / 1e6:.0f} MB are left"


class Burnt(NamedTuple):
    """Positions that will never be used: some may have been given out before the machine stopped.

    Args:
        first: the first of them.
        last: the last of them.
    """

    first: int
    last: int

    def __str__(self) -> str:
        """Return it for a log line."""
        return (
            f"the machine stopped without closing the store: what was written last, after the last sync, may be "
            f"missing; positions {self.first} to {self.last} are not used again"
        )


Report = Loss | Trimmed | LowSpace | Burnt


class Batch(NamedTuple):
    """What one read brings.

    Args:
        entries: in order of position.
        next_position: where to read on.
        skipped: how many positions were jumped because they are not kept.
        losses: what lay between the entries and cannot be read.
    """

    entries: list[Stored]
    next_position: int
    skipped: int
    losses: list[Loss]


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
