"""One file of entries, and its index: in memory while it is written, beside it when it is full."""

import errno
import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from rawdaq.store.folder import File, Folder
from rawdaq.store.format import control, frames
from rawdaq.store.format.frames import HEADER_BYTES, Kind, column
from rawdaq.store.format.scan import Scan, scan
from rawdaq.store.format.sidecar import IndexDamaged
from rawdaq.store.segments.index import SidecarIndex
from rawdaq.store.segments.table import HeaderTable
from rawdaq.store.values import Declared, Loss, LossReason

Index = HeaderTable | SidecarIndex
ReportLoss = Callable[[Loss], None]
Answer = TypeVar("Answer")

ENDLESS = 1 << 63  # above every position
_HEAD_READ_BYTES = 4096
_WHOLE_READ_BYTES = 1 << 24
_uses = itertools.count()


class Head(NamedTuple):
    """What stands at the beginning of a segment.

    Args:
        boot: what wrote it, and where the segment before ends.
        created_ns: when.
    """

    boot: control.Boot
    created_ns: int


def know_already() -> None:
    """Do nothing: the process that removes segments knows which."""


class Shared:
    """What all segments of a store share.

    Args:
        folder: where they are.
        report_loss: called with what is found to be damaged.

    Attributes:
        recheck: called before something is taken for damaged; sets `Segment.is_retired` where it is only gone.
        loads: how many files and indexes have been opened.
    """

    def __init__(self, folder: Folder, report_loss: ReportLoss) -> None:
        self.folder = folder
        self.report_loss = report_loss
        self.recheck: Callable[[], None] = know_already
        self.loads = 0


class Segment:
    """Entries with positions from `first` on.

    Args:
        shared: what it shares with the others.
        first: its first position.
        table: its index, while it is written.

    Attributes:
        following: the segment behind it; None for the last.
        lacks_index: whether its index is not in a file.
        is_retired: whether retention has removed it; its file may be in use for something else.
        last_used: the number of its last lookup, so that the least used can be unloaded.
    """

    def __init__(self, shared: Shared, first: int, table: HeaderTable | None = None) -> None:
        self.first = first
        self.following: Segment | None = None
        self.lacks_index = table is not None
        self.is_retired = False
        self.last_used = 0
        self._shared = shared
        self._table = table
        self._file: File | None = None
        self._index: SidecarIndex | None = None
        self._head: Head | None = None
        self._end: int | None = None
        self._data_end: int | None = None
        self._largest_end_ns: int | None = None

    @property
    def end(self) -> int:
        """The position behind its last entry; `ENDLESS` for the last segment."""
        if self._end is None:
            following = self.following
            if following is None:
                return ENDLESS
            head = following.head()
            known = head is not None and self.first <= head.boot.previous_end <= following.first
            self._end = head.boot.previous_end if head is not None and known else following.first
        return self._end

    @property
    def data_end(self) -> int:
        """Where the bytes behind its last entry begin; not for the last segment."""
        if self._data_end is None:
            self._data_end = self.ask(lambda index: index.data_end)
        return self._data_end

    def use_table(self, table: HeaderTable) -> None:
        """Use *table* as its index until one is written."""
        self._table, self.lacks_index = table, True

    def close_at(self, data_end: int) -> None:
        """Say where its data end: nothing more is written to it."""
        self._data_end = data_end

    def follow(self, following: "Segment", end: int | None) -> None:
        """Let *following* be the next; *end* is the position behind the last entry of this one, where it is known."""
        self.following, self._end = following, end

    @property
    def is_loaded(self) -> bool:
        """Whether something of it is held that can be unloaded."""
        return self._table is None and (self._index is not None or self._file is not None)

    def unload(self) -> None:
        """Hold no file and no index of it."""
        if self._table is None:
            self._index = self._file = None

    def forget_file(self) -> None:
        """Open its file anew when it is read next."""
        self._file = None
        if self._table is None:
            self._index = None

    def read(self, size: int, offset: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end of its file."""
        file = self._file
        if file is None:
            self._file = file = File(self._shared.folder.segment_path(self.first))
            self._shared.loads += 1
        return file.read(size, offset)

    def head(self) -> Head | None:
        """Return how it begins; None when that is damaged."""
        if self._head is None:
            data = self.read(_HEAD_READ_BYTES, 0)
            found = scan(data, self.first, ENDLESS)
            for row in range(len(found.rows)):
                if found.rows[row]["kind"] & frames.KIND_MASK == Kind.BOOT and found.body_is_intact(data, row):
                    boot = control.Boot.unpack(body_of(data, found, row))
                    self._head = Head(boot, int(found.rows[row]["start_ns"]))
                    break
        return self._head

    def ask(self, question: Callable[[Index], Answer]) -> Answer:
        """Return what its index answers; an index that is missing or damaged is made anew first."""
        self.last_used = next(_uses)
        table = self._table  # which another thread may let go
        if table is not None:
            return question(table)
        try:
            self._index = index = self._index or self._load()
            return question(index)
        except IndexDamaged:
            self._index = index = self._rebuild()
            return question(index)

    def largest_end_ns(self) -> int:
        """Return the last instant of all its entries; while it is written, more than that."""
        if self.following is None:
            return ENDLESS
        if self._largest_end_ns is None:
            self._largest_end_ns = self.ask(lambda index: index.largest_end_ns())
        return self._largest_end_ns

    def index_bytes(self) -> bytes:
        """Return what belongs into the file of its index."""
        table = self._table
        if table is not None:
            return table.sidecar(self.end, self.data_end)
        self._index = self._index or self._rebuild()
        return self._index.content or b""

    def index_written(self) -> None:
        """Use the index that has been written instead of what is held in memory."""
        self.lacks_index = False
        self._index = self._table = None

    def _load(self) -> SidecarIndex:
        try:
            index = SidecarIndex(File(self._shared.folder.index_path(self.first)))
        except FileNotFoundError:
            raise IndexDamaged("missing") from None
        if (index.directory.first, index.directory.end) != (self.first, self.end):
            raise IndexDamaged("of something else")
        self._shared.loads += 1
        return index

    def _rebuild(self) -> SidecarIndex:
        data = self.whole()
        self._shared.recheck()
        if self.is_retired:  # and its file perhaps in use for something else
            raise FileNotFoundError(errno.ENOENT, "removed", str(self._shared.folder.path))
        found = scan(data, self.first, self.end)
        table = HeaderTable.of_scan(self.first, found, declarations(data, found))
        for loss in losses(found, self.end):
            self._shared.report_loss(loss)
        self._shared.loads += 1
        self.lacks_index = True
        return SidecarIndex(table.sidecar(self.end, found.end))

    def whole(self, offset: int = 0) -> bytes:
        """Return all bytes of its file from *offset* on."""
        parts: list[bytes] = []
        while part := self.read(_WHOLE_READ_BYTES, offset):
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def body_of(data: bytes, found: Scan, row: int) -> bytes:
    """Return the body behind the header number *row*."""
    begin = int(found.offsets[row]) + HEADER_BYTES
    return data[begin : begin + int(found.rows[row]["length"])]


def declarations(data: bytes, found: Scan) -> list[Declared | None]:
    """Return what each number of a stream means; None where the declaration is lost."""
    declared: dict[int, Declared] = {}
    kinds = column(found.rows, "kind") & frames.KIND_MASK
    for row in (kinds == Kind.DECLARATION).nonzero()[0].tolist():
        if found.body_is_intact(data, row):
            declared[int(found.rows[row]["stream"])] = control.unpack_declaration(body_of(data, found, row))
    return [declared.get(number) for number in range(max(declared, default=-1) + 1)]


def losses(found: Scan, end: int) -> list[Loss]:
    """Return what is missing in a segment that should hold everything below position *end*."""
    rows = np.flatnonzero(frames.is_data(found.rows))
    starts, ends = column(found.rows, "start_ns")[rows].tolist(), column(found.rows, "end_ns")[rows].tolist()
    lost: list[Loss] = []
    for hole in found.holes:
        if hole.last >= hole.first:
            at = int(np.searchsorted(rows, hole.row))
            before, after = ends[at - 1] if at else None, starts[at] if at < len(starts) else None
            count = hole.last - hole.first + 1
            lost.append(Loss(hole.first, hole.last, count, None, before, after, LossReason.DAMAGED))
    if found.next_position < end:
        count = end - found.next_position
        before = ends[-1] if ends else None
        lost.append(Loss(found.next_position, end - 1, count, None, before, None, LossReason.MISSING))
    return lost
