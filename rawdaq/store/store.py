"""A log on disk: entries with positions that are never used twice, to be read from any of them and found by time."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Self

from rawdaq.errors import InvalidValue
from rawdaq.store.cursors import Cursor, CursorBook, CursorMove
from rawdaq.store.durability import Durability
from rawdaq.store.errors import StoreClosed, StoreUnavailable, typed_errors
from rawdaq.store.folder import File, Folder, boot_identity
from rawdaq.store.lookups import Lookups
from rawdaq.store.opening import Opening
from rawdaq.store.retention import Retention, Trimmer
from rawdaq.store.segments.catalog import Catalog
from rawdaq.store.values import Entry, Report, StoreStatus
from rawdaq.store.writer import Parts, Writer

SEGMENT_BYTES = 16 << 20
MIN_SEGMENT_BYTES = 1 << 10
_MAX_SEGMENT_BYTES = 1 << 30
_MIN_SEGMENTS = 4  # that fit in a store, so that a full one still keeps most of it

_SLOW_BYTES = 64 << 10  # written between two syncs: below it, a growing file costs more than its data
_URGENT_BYTES = 16 << 20  # written and not synced
_log = logging.getLogger("rawdaq.store")


def log_report(report: Report) -> None:
    """Log what a store reports."""
    _log.warning("%s", report)


class Store(Lookups):
    """A log in a folder, written by one process. It is opened once; another one is made to open it again.

    Plain threads may use it: one appends, another calls `sync` and `maintain`, any number read and look things up.
    None of them waits for another one's disk but an append for a sync when too much is not synced yet.

    Args:
        path: the folder; it is made when it is missing.
        retention: what is kept.
        segment_bytes: how large one file becomes.
        report: called with what is lost, removed or burnt, from the thread that notices; by default it is logged.
        clock: the time in nanoseconds.
        identity: returns what names this start of the machine.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention: Retention | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        report: Callable[[Report], None] = log_report,
        clock: Callable[[], int] = time.time_ns,
        identity: Callable[[], str] = boot_identity,
    ) -> None:
        if not MIN_SEGMENT_BYTES <= segment_bytes <= _MAX_SEGMENT_BYTES:
            raise InvalidValue(f"segment_bytes {segment_bytes} is not in {MIN_SEGMENT_BYTES}-{_MAX_SEGMENT_BYTES}")
        self.path = path
        self._rules = retention or Retention()
        least = _MIN_SEGMENTS * segment_bytes
        if self._rules.max_bytes is not None and self._rules.max_bytes < least:
            raise InvalidValue(f"max_bytes {self._rules.max_bytes} is less than {least}, four segments")
        self._segment_bytes = segment_bytes
        self._report = report
        self._clock = clock
        self._identity = identity
        folder = Folder(path)
        book = CursorBook(clock)
        super().__init__(Catalog(folder, report))
        self._parts = Parts(folder, self._catalog, book, Durability(folder, clock), clock)
        self._trimmer = Trimmer(self._parts, self._rules, report)
        self._writer: Writer | None = None
        self._lock: File | None = None
        self._maintained_bytes = 0

    def open(self) -> None:
        """Lock the folder, find the end of the log, and cut off what was not written to its end.

        Raises:
            StoreLocked: another process writes it.
            StoreUnavailable: the disk refuses.
            UnknownFormat: another version has written it.
        """
        with typed_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._parts.folder.lock()
            try:
                start = Opening(self._parts, self._identity(), self._report).run()
            except BaseException:
                self._unlock()
                raise
        self._writer = Writer(self._parts, start, self._segment_bytes, self._make_room, self._free_space)

    def close(self) -> None:
        """Write that the log ends here, sync, and give the folder back; may be called twice.

        Raises:
            StoreUnavailable: the disk refuses; the store is closed even so, as after a kill.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            with writer.lock:
                writer.finish()
            self._parts.durability.sync()
        finally:
            self._unlock()
            self._catalog.close()
            self._parts.durability.close()

    def __enter__(self) -> Self:
        """Open it."""
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def next_position(self) -> int:
        """What the next entry gets."""
        return self._open_writer().next_position

    @property
    def synced_position(self) -> int:
        """Entries below it survive a power cut."""
        return self._parts.durability.position

    @property
    def wants_sync(self) -> bool:
        """Whether a sync should not wait: much is held in memory, or few positions are left that may be given out."""
        writer = self._writer
        return writer is not None and (self._parts.durability.waiting_bytes > _URGENT_BYTES or writer.is_near_limit)

    def append(self, entries: Sequence[Entry], cursors: Sequence[CursorMove] = ()) -> range:
        """Write *entries* as one group, and return their positions when a kill of the process cannot undo that.

        After a crash all of a group is there, or nothing. For a power cut, `sync` must have been called since.

        Args:
            entries: what to append.
            cursors: moves that are made if, and only if, the entries are written.

        Raises:
            InvalidValue: an entry or a move is not what a store can hold.
            StoreUnavailable: the disk refuses; nothing has changed, so the same call may be made again.
            StoreFull: cursors need all that may be kept.
        """
        writer = self._open_writer()
        with writer.lock:
            self._return(writer)
            return writer.append(entries, cursors)

    def skip_to(self, position: int) -> None:
        """Let the next entry get *position*; those between are never used.

        Raises:
            InvalidValue: that was used already, or is beyond what a position can be.
            StoreUnavailable: the disk refuses.
        """
        writer = self._open_writer()
        with writer.lock:
            writer.skip_to(position)

    def sync(self) -> int:
        """Return when all that was appended before, and every cursor that was moved, survives a power cut.

        Returns:
            The position below which all entries do.

        Raises:
            StoreUnavailable: the disk refuses; what is not synced is held, and written again by the next call.
        """
        writer = self._open_writer()
        if self._parts.durability.is_gone or self._parts.book.has_waiting:
            with writer.lock:
                self._return(writer)
                writer.append((), ())
        self._parts.durability.sync()
        return self._parts.durability.position

    def maintain(self) -> None:
        """Write indexes of full segments, remove what retention says, prepare what comes next; call it now and then.

        Raises:
            StoreUnavailable: the disk refuses; call it again later.
        """
        writer, durability = self._open_writer(), self._parts.durability
        with typed_errors(self.path):
            for segment in self._catalog.segments[:-1]:
                if segment.lacks_index and not durability.holds(segment):
                    self._parts.folder.write_index(segment.first, segment.index_bytes())
                    segment.index_written()
        self._trimmer.trim(self._clock())
        with writer.lock:
            written, self._maintained_bytes = writer.written_bytes - self._maintained_bytes, writer.written_bytes
            if 0 < written < _SLOW_BYTES:
                writer.extend(_SLOW_BYTES)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StoreClosed(f"the store in {self.path} is not open")
        return self._writer

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _return(self, writer: Writer) -> None:
        """Open the files anew where the folder had gone."""
        if self._parts.durability.is_gone:
            self._unlock()
            self._lock, files = self._parts.durability.reopen()
            writer.reopened(files)
            self._catalog.reopened()
            self._parts.durability.sync()

    def _make_room(self, size_bytes: int, is_for_data: bool) -> None:
        """See that a segment may be begun; how cursors move is always written, because only that makes room."""
        make_room = self._trimmer.make_room if is_for_data else self._trimmer.trim
        make_room(self._clock(), size_bytes)

    def _free_space(self) -> bool:
        try:
            return self._trimmer.free_space()
        except StoreUnavailable:
            return False

    def find_any(self, time_ns: int) -> int | None:
        """Return a position before which no entry ends at or after *time_ns*; None in an empty store.

        It is that of a segment, found without a look at its entries, however many streams there are. In the last one
        there may be no such entry.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        answers = self._catalog.ask_each(lambda index: None, self._catalog.segments, time_ns)
        return next((segment.first for segment, _ in answers), None)

    def segment_with(self, streams: Set[str], position: int) -> tuple[int, int]:
        """Return where entries of *streams* may be, from *position* on: the first position of it, and the one behind.

        What lies before is in segments without any of them. For the last segment the second one is above all positions.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        segment = self._catalog.locate_with(streams, position)
        return max(position, segment.first), segment.end

    def cursors(self) -> dict[str, Cursor]:
        """Return all cursors by name."""
        return self._parts.book.all()

    def move_cursor(self, name: str, position: int | None, marks: Mapping[bytes, bytes] | None = None) -> None:
        """Move a cursor, or make it; that is written with the next group or sync, and waits for no disk.

        A cursor is moved by one thread at a time.

        Args:
            name: of the cursor.
            position: of the first entry that it still needs; None for one that is about something else.
            marks: what changes of what else it keeps; an empty value removes a key.

        Raises:
            InvalidValue: the name is empty, or something is too long.
        """
        self._open_writer()
        self._parts.book.move(CursorMove(name, position, marks or {}))

    def mark_cursor(self, name: str, marks: Mapping[bytes, bytes]) -> None:
        """Change marks of a cursor that stays where it is; any thread may, also while another one moves it.

        That is written as a move is.

        Raises:
            InvalidValue: there is no such cursor, or something is too long.
        """
        self._open_writer()
        self._parts.book.mark(name, marks)

    def drop_cursor(self, name: str) -> None:
        """End a cursor; it keeps nothing any more. That is written as a move is."""
        self._open_writer()
        self._parts.book.drop(name)

    def size_bytes(self) -> int:
        """Return how much its files take.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        with typed_errors(self.path):
            return self._parts.folder.total_bytes()

    def status(self) -> StoreStatus:
        """Return what there is to say without touching a disk."""
        durability, losses = self._parts.durability, self._catalog.losses
        return StoreStatus(
            self.oldest_position,
            self.next_position,
            durability.position,
            durability.synced_ns,
            durability.waiting_bytes,
            len(self._catalog.segments),
            losses.count,
            dict(losses.by_stream),
            {cursor: dict(counts) for cursor, counts in self._trimmer.dropped.items()},
            self._trimmer.is_low,
        )
