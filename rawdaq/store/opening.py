"""Finds out, from the files alone, how a log ended, and where it goes on."""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rawdaq.store.cursors import CursorBook
from rawdaq.store.durability import NO_MEMORY, Group
from rawdaq.store.errors import UnknownFormat
from rawdaq.store.folder import File
from rawdaq.store.format import control, frames
from rawdaq.store.format.frames import Kind, column
from rawdaq.store.format.scan import Scan, cut_tail, scan
from rawdaq.store.segments.catalog import End
from rawdaq.store.segments.reading import one_loss
from rawdaq.store.segments.segment import ENDLESS, Segment, body_of, declarations, losses
from rawdaq.store.segments.table import HeaderTable
from rawdaq.store.values import Burnt, Loss, LossReason
from rawdaq.store.writer import Parts, Place, Start
from rawdaq.times import NS_PER_S

_FIRST_SHIFT = 20  # the positions of a new store lie above those of one that was deleted
_WRITTEN_BEFORE = 1  # not at the beginning of a file
_UNSURE_STEP = 1 << 21  # burnt when what says the limit may itself be damaged


class Content(NamedTuple):
    """What was found in a segment.

    Args:
        data: its bytes.
        found: all its entries.
        kept: those without a group whose write was not complete.
    """

    data: bytes
    found: Scan
    kept: Scan


class Memory(NamedTuple):
    """What the entries of the store itself say.

    Args:
        boot: which start of the machine has written last; None when that is damaged.
        limit: positions below it may have been given out; None when that is damaged.
    """

    boot: control.Boot | None
    limit: int | None


def read_content(segment: Segment) -> Content:
    """Return what is in the last segment."""
    data = segment.whole()
    found = scan(data, segment.first, ENDLESS)
    return Content(data, found, cut_tail(found, data))


def recall(segments: list[Segment], last: Content, book: CursorBook) -> Memory:
    """Load the cursors from the last segment; from earlier ones too, where the beginning of that is damaged."""
    contents = [last]
    while not _has_head(contents[-1]) and len(contents) < len(segments):
        contents.append(read_content(segments[-1 - len(contents)]))
    boot, limit = None, None
    for content in reversed(contents):
        for kind, row in _control_rows(content):
            body = body_of(content.data, content.kept, row)
            if kind == Kind.BOOT:
                boot = _known_boot(body)
            elif kind == Kind.LIMIT:
                limit = control.unpack_limit(body)
            elif kind == Kind.CURSOR:
                book.load(control.CursorBody.unpack(body), int(content.kept.rows[row]["start_ns"]))
    return Memory(boot, limit)


def _control_rows(content: Content) -> list[tuple[int, int]]:
    """Return kind and number of the intact rows that are not data."""
    kept = content.kept
    rows = np.flatnonzero(~frames.is_data(kept.rows)).tolist()
    kinds = (column(kept.rows, "kind") & frames.KIND_MASK).tolist()
    return [(kinds[row], row) for row in rows if kept.body_is_intact(content.data, row)]


def _known_boot(body: bytes) -> control.Boot:
    boot = control.Boot.unpack(body)
    if boot.version != control.FORMAT_VERSION:
        raise UnknownFormat(
            f"the store has format {boot.version}, this version knows {control.FORMAT_VERSION}: use another version, "
            "or another folder"
        )
    return boot


def _has_head(content: Content) -> bool:
    """Return whether all that a segment begins with is there."""
    boot: control.Boot | None = None
    names: set[str] = set()
    has_limit = False
    for kind, row in _control_rows(content):
        body = body_of(content.data, content.kept, row)
        if kind == Kind.BOOT:
            boot = _known_boot(body)
        elif kind == Kind.LIMIT:
            has_limit = True
        elif kind == Kind.CURSOR:
            cursor = control.CursorBody.unpack(body)
            names |= {cursor.name} if cursor.is_whole else set()
    return boot is not None and has_limit and len(names) >= boot.cursors


class Opening:
    """Opens the log in a folder for writing.

    Args:
        parts: of the store, still empty; they are filled.
        identity: of this start of the machine.
        report: called when positions are burnt.
    """

    def __init__(self, parts: Parts, identity: str, report: Callable[[Burnt], None]) -> None:
        self._parts = parts
        self._identity = identity
        self._report = report
        self._floor = 0

    def run(self) -> Start:
        """Return where to go on.

        Raises:
            OSError: the disk refuses.
            UnknownFormat: another version has written the log.
        """
        folder, catalog = self._parts.folder, self._parts.catalog
        folder.tidy()
        segments = [Segment(catalog.shared, first) for first in folder.segments()]
        last = self._last(segments)
        for segment in segments:
            segment.lacks_index = not folder.index_path(segment.first).exists()
            catalog.append(segment)
        if last is None:
            return self._new()
        memory = recall(segments, last, self._parts.book)
        self._report_losses(segments[-1], last, self._is_same_boot(memory))
        start = self._start(segments[-1], last, memory)
        self._hold(segments, last, start)
        return start

    def _last(self, segments: list[Segment]) -> Content | None:
        """Return what is in the last segment; those behind it, in which nothing is, are removed from *segments*."""
        while segments:
            content = read_content(segments[-1])
            if len(content.kept.rows):
                return content
            segment = segments.pop()
            self._floor = max(self._floor, content.found.next_position)
            self._report_losses(segment, content, is_same_boot=False)
            self._parts.folder.retire(segment.first)
        return None

    def _new(self) -> Start:
        """Begin an empty store, above all that an earlier one in this place may have given out."""
        floor = self._floor + _UNSURE_STEP if self._floor else 0
        first = max(self._parts.clock() // NS_PER_S, 1) << _FIRST_SHIFT
        first = max(first, floor)
        self._parts.catalog.end = End(None, 0, first, first)
        return Start(self._identity, None, first, first, first, is_clean=True)

    def _start(self, segment: Segment, last: Content, memory: Memory) -> Start:
        end, seen = last.kept.next_position, max(last.found.next_position, self._floor)
        is_whole = len(last.kept.rows) == len(last.found.rows) and not last.kept.holes and not self._floor
        is_known = memory.boot is not None and memory.limit is not None
        is_clean = is_known and memory.limit == end and is_whole
        is_same_boot = self._is_same_boot(memory)
        limit = memory.limit if memory.limit is not None else seen
        next_position = seen
        if not is_clean and not is_same_boot:
            next_position = max(seen, limit) + (0 if is_whole and is_known else _UNSURE_STEP)
            self._report(Burnt(end, next_position - 1))
        catalog, folder = self._parts.catalog, self._parts.folder
        table = HeaderTable.of_scan(segment.first, last.kept, declarations(last.data, last.kept))
        segment.use_table(table)
        folder.remove_index(segment.first)
        if not (is_same_boot and is_whole and is_known):
            segment.close_at(last.kept.end)
            next_position = max(next_position, segment.first + 1)  # no two files of one name
            catalog.end = End(segment, last.kept.end, end, next_position)
            return Start(self._identity, None, next_position, end, limit, is_clean)
        catalog.end = End(segment, last.kept.end, end, end)
        file = File(folder.segment_path(segment.first), os.O_RDWR)
        return Start(self._identity, Place(segment, file, table, last.kept.end), next_position, end, limit, is_clean)

    def _is_same_boot(self, memory: Memory) -> bool:
        """Return whether the system still has all that was written; unless the machine has been off, it has."""
        return memory.boot is not None and self._identity != "" and memory.boot.identity == self._identity

    def _hold(self, segments: list[Segment], last: Content, start: Start) -> None:
        """Let the first sync bring to the disk what the process before this one may not have brought there.

        An index is written when its segment is on the disk.
        """
        durability, folder = self._parts.durability, self._parts.folder
        count = len(segments) - 1
        while count and segments[count - 1].lacks_index:
            count -= 1
        durability.position = segments[count].first
        for segment in segments[count:-1]:
            file = File(folder.segment_path(segment.first), os.O_RDWR)
            durability.add(Group(segment, _WRITTEN_BEFORE, NO_MEMORY, segment.end, start.limit), file)
        file = start.place.file if start.place else File(folder.segment_path(segments[-1].first), os.O_RDWR)
        durability.add(Group(segments[-1], _WRITTEN_BEFORE, NO_MEMORY, last.kept.next_position, start.limit), file)

    def _report_losses(self, segment: Segment, content: Content, is_same_boot: bool) -> None:
        """Report what was cut, and what a power cut has damaged before that; other damage is found when it is read."""
        kept, found = content.kept, content.found
        if is_same_boot and len(kept.rows) == len(found.rows) and not kept.holes:
            return
        add = self._parts.catalog.losses.add
        torn = HeaderTable.of_scan(segment.first, found, declarations(content.data, found))
        for stream, extent in torn.extents(kept.next_position).items():
            last = found.next_position - 1
            add(Loss(kept.next_position, last, extent.entries, stream, extent.start_ns, extent.end_ns, LossReason.TORN))
        for loss in losses(kept, kept.next_position):
            add(loss)
        for row in kept.damaged_bodies(content.data):
            if frames.is_data(kept.rows[row : row + 1])[0]:
                position = int(kept.rows[row]["position"])
                add(one_loss(position, torn.describe(position)))
