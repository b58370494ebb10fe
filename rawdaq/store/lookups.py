"""What is found in a store by position, stream and time: by the process that writes it, and by others."""

import numpy as np

from rawdaq.store.segments.catalog import Catalog
from rawdaq.store.segments.reading import Reader
from rawdaq.store.segments.table import merged
from rawdaq.store.values import Extent, TimeRange


class Lookups:
    """Looks things up in a store.

    Args:
        catalog: its segments.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @property
    def end_position(self) -> int:
        """Behind the last entry that can be read."""
        return self._catalog.end.position

    @property
    def oldest_position(self) -> int:
        """The first position that is kept."""
        return self._catalog.oldest_position

    def reader(self, position: int | None = None) -> Reader:
        """Return a reader for one thread.

        Args:
            position: where it begins; None: at the oldest entry.
        """
        return Reader(self._catalog, self.oldest_position if position is None else position)

    def describe(self, position: int) -> tuple[str, int, int] | None:
        """Return stream, first and last instant of the entry at *position*; None when it is not there.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        if not self.oldest_position <= position < self.end_position:
            return None
        catalog = self._catalog
        answers = catalog.ask_each(lambda index: index.describe(position), [catalog.locate(position)])
        return next((described for _, described in answers), None)

    def find(self, stream: str, time_ns: int) -> int | None:
        """Return the position of the first entry of *stream*, by position, that ends at or after *time_ns*.

        Late entries and clocks that were set back do not mislead it. None: there is none.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        answers = self._catalog.ask_each(lambda index: index.find(stream, time_ns), self._catalog.segments, time_ns)
        return next((position for _, position in answers if position is not None), None)

    def newest(self, stream: str) -> int | None:
        """Return the position of the last entry of *stream*; None when there is none.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        answers = self._catalog.ask_each(lambda index: index.newest(stream), reversed(self._catalog.segments))
        return next((position for _, position in answers if position is not None), None)

    def ranges(self, stream: str, tolerance_ns: int = 0) -> list[TimeRange]:
        """Return the times of *stream* that are held, in order of time, with the gaps between them.

        Args:
            stream: the stream.
            tolerance_ns: an entry that begins so long after the end of what came before continues it.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        spans = self._catalog.ask_all(lambda index: index.spans(stream))
        starts = np.concatenate([each.starts_ns for each in spans]) if spans else np.zeros(0, np.int64)
        if not len(starts):
            return []
        order = np.argsort(starts, kind="stable")
        starts = starts[order]
        ends = np.maximum.accumulate(np.concatenate([each.ends_ns for each in spans])[order])
        begins = np.flatnonzero(starts[1:] > ends[:-1] + tolerance_ns) + 1
        firsts, lasts = [0, *begins.tolist()], [*(begins - 1).tolist(), len(starts) - 1]
        return [TimeRange(int(starts[a]), int(ends[b])) for a, b in zip(firsts, lasts, strict=True)]

    def extents(self) -> dict[str, Extent]:
        """Return what is held of each stream.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        found: dict[str, Extent] = {}
        for extents in self._catalog.ask_all(lambda index: index.extents()):
            for stream, extent in extents.items():
                found[stream] = merged(found.get(stream), extent)
        return found
