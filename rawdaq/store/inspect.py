"""A store as another process sees it, without touching anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from rawdaq.store.cursors import Cursor, CursorBook
from rawdaq.store.errors import typed_errors
from rawdaq.store.folder import Folder
from rawdaq.store.format import frames
from rawdaq.store.format.scan import Scan, cut_tail, scan
from rawdaq.store.lookups import Lookups
from rawdaq.store.opening import Content, read_content, recall
from rawdaq.store.segments.catalog import Catalog, End
from rawdaq.store.segments.reading import READ_BYTES, Reader
from rawdaq.store.segments.segment import ENDLESS, Segment, declarations
from rawdaq.store.segments.table import HeaderTable
from rawdaq.store.store import log_report
from rawdaq.store.values import Batch, Loss


class StoreView(Lookups):
    """Reads a store that another process may be writing; `refresh` shows what has come since.

    A group is seen when it is complete. What is not complete is taken for a write that has not ended.

    Args:
        path: the folder.
        report: called with what is damaged; by default it is logged.
    """

    def __init__(self, path: Path, report: Callable[[Loss], None] = log_report) -> None:
        self.path = path
        self._folder = Folder(path)
        super().__init__(Catalog(self._folder, report))
        self._catalog.shared.recheck = self.refresh
        self._table = HeaderTable(0)  # of the last segment

    @classmethod
    def of(cls, path: Path, report: Callable[[Loss], None] = log_report) -> Self:
        """Return a view of what is there now.

        Raises:
            StoreUnavailable: the folder cannot be read.
        """
        view = cls(path, report)
        view.refresh()
        return view

    def close(self) -> None:
        """Hold no file any more; may be called twice."""
        self._catalog.close()

    def __enter__(self) -> Self:
        """Use it until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def refresh(self) -> None:
        """Look for what was written and removed since.

        Raises:
            StoreUnavailable: the folder cannot be read.
        """
        catalog = self._catalog
        with typed_errors(self.path):
            firsts = self._folder.segments()
            while catalog.segments and (not firsts or catalog.segments[0].first < firsts[0]):
                catalog.remove_oldest()
            newest = -1
            if catalog.segments:
                newest = catalog.segments[-1].first
                self._read_on(catalog.segments[-1])
            self._add([Segment(catalog.shared, first) for first in firsts if first > newest])

    def _add(self, segments: list[Segment]) -> None:
        """Add what follows; in the last of them something must be written."""
        catalog, content = self._catalog, None
        while segments and not len((content := read_content(segments[-1])).kept.rows):
            segments.pop()
        if content is None or not segments:
            return
        if catalog.segments:
            catalog.segments[-1].index_written()
        for segment in segments:
            catalog.append(segment)
        self._use(segments[-1], content)

    def _use(self, segment: Segment, content: Content) -> None:
        kept = content.kept
        self._table = HeaderTable.of_scan(segment.first, kept, declarations(content.data, kept))
        segment.use_table(self._table)
        self._catalog.end = End(segment, kept.end, kept.next_position, ENDLESS)

    def _read_on(self, segment: Segment) -> None:
        """Add to the last segment what was written behind it."""
        end, size = self._catalog.end, READ_BYTES
        while True:
            data = segment.read(size, end.offset)
            found = cut_tail(scan(data, end.position, ENDLESS), data)
            if found.holes:  # which the table can only have when it is made from all
                self._use(segment, read_content(segment))
                return
            if len(found.rows):
                end = self._add_rows(end, data, found)
            elif len(data) < size or frames.parse_header(data) is None:
                return
            else:
                size *= 4  # the group is longer

    def _add_rows(self, end: End, data: bytes, found: Scan) -> End:
        for declared in declarations(data, found)[len(self._table.declared) :]:
            self._table.declare(declared)
        self._table.add(found.rows.tobytes())
        self._catalog.end = new = End(end.segment, end.offset + found.end, found.next_position, ENDLESS)
        return new

    def read(self, reader: Reader, max_bytes: int = READ_BYTES) -> Batch:
        """Return the next entries of *reader*; look for new ones when there are none.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        if reader.position >= self.end_position:
            self.refresh()
        return reader.read(max_bytes)

    def cursors(self) -> dict[str, Cursor]:
        """Return all cursors by name, as they were written last.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        book = CursorBook(lambda: 0)
        segments = list(self._catalog.segments)
        with typed_errors(self.path):
            if segments:
                recall(segments, read_content(segments[-1]), book)
        return book.all()
