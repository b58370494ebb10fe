"""Columns of the past: computed from archives by threads, remembered, and brought up to date by what was appended."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.archive.reading import files_of, segments, size_bytes
from rawdaq.control.machine.columns import Columns, Extremes, extremes
from rawdaq.control.rest.routes import Refused
from rawdaq.control.web.components.shown import ArchivePlace
from rawdaq.control.web.live.blocks import block
from rawdaq.control.web.live.samples import Run
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

MAX_COLUMNS = 100_000
MAX_SPAN_NS = 31 * 86_400 * NS_PER_S

_JOBS = 2  # at the same time: they take a core each
_MOST_WAITING = 20
_CACHE_BYTES = 64 << 20


class Grid(NamedTuple):
    """Columns of equal width.

    Attributes:
        start_ns: beginning of the first one.
        width_ns: of each.
        columns: how many there are.
    """

    start_ns: int
    width_ns: int
    columns: int

    @property
    def end_ns(self) -> int:
        """End of the last one."""
        return self.start_ns + self.columns * self.width_ns

    @classmethod
    def over(cls, start_ns: int, end_ns: int, columns: int) -> "Grid":
        """Return at most *columns* columns from *start_ns* to *end_ns*; the last one may reach a little beyond."""
        width_ns = -(-(end_ns - start_ns) // columns)
        return cls(start_ns, width_ns, -(-(end_ns - start_ns) // width_ns))


class Answer(NamedTuple):
    """The answer to a question for columns.

    Attributes:
        etag: changes when they do.
        data: the block; None: the client has it.
    """

    etag: str
    data: bytes | None


class _Entry:
    """Columns as far as files were read."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.values: Columns = np.full((grid.columns, 2), np.nan, np.float32)
        self.read: dict[Path, tuple[int, int]] = {}  # inode and size up to which
        self.lock = Lock()

    def update(self, stream: StreamId, files: Sequence[Path]) -> None:
        """Read what was appended to *files* since the last time, all of those that are new."""
        now = dict(_sizes(files))
        if any(
            path not in now or now[path][0] != seen[0] or now[path][1] < seen[1] for path, seen in self.read.items()
        ):
            self.values[:] = np.nan  # a file was removed or written anew
            self.read.clear()
        for path, (inode, size) in now.items():
            begin = self.read.get(path, (inode, 0))[1]
            if size > begin:
                for each in segments(path, stream, self.grid.start_ns, self.grid.end_ns, begin):
                    merge(self.values, self.grid, each.start_ns, each.rate_hz, each.samples)
                self.read[path] = inode, size


class PastColumns:
    """Computes columns, two at a time, and remembers them."""

    def __init__(self) -> None:
        self._jobs = asyncio.Semaphore(_JOBS)
        self._waiting = 0
        self._entries: OrderedDict[tuple[StreamId, Grid], _Entry] = OrderedDict()

    async def answer(
        self,
        stream: StreamId,
        grid: Grid,
        places: Iterable[ArchivePlace],
        memory: Sequence[Run],
        rate_hz: float,
        known: str,
    ) -> Answer:
        """Return the columns of *stream*.

        Args:
            stream: which.
            grid: the columns.
            places: its archives.
            memory: what is in memory of it, and may be newer than all that is archived.
            rate_hz: the rate of that.
            known: ETags that the client has.

        Raises:
            Refused: too many such questions are being answered.
        """
        if self._waiting >= _MOST_WAITING:
            raise Refused(503, "too many columns are being computed; ask again in a few seconds")
        self._waiting += 1
        try:
            async with self._jobs:
                live = [Run(run.start_ns, run.values.copy()) for run in memory]
                entry = self._entry(stream, grid)
                return await asyncio.to_thread(_compute, entry, stream, list(places), live, rate_hz, known)
        finally:
            self._waiting -= 1

    def _entry(self, stream: StreamId, grid: Grid) -> _Entry:
        key = stream, grid
        entry = self._entries.pop(key, None) or _Entry(grid)
        self._entries[key] = entry
        while len(self._entries) > 1 and sum(each.values.nbytes for each in self._entries.values()) > _CACHE_BYTES:
            self._entries.popitem(last=False)
        return entry


def _compute(
    entry: _Entry, stream: StreamId, places: list[ArchivePlace], live: list[Run], rate_hz: float, known: str
) -> Answer:
    grid = entry.grid
    files = [
        file
        for place in places
        for file in files_of(Path(place.path), place.layout, stream, grid.start_ns, grid.end_ns)
    ]
    with entry.lock:  # two clients may ask for the same
        newest = [run.start_ns + len(run.values) for run in live]
        mark = repr((str(stream), grid, sorted(_sizes(files)), newest))
        etag = f'"{hashlib.sha256(mark.encode()).hexdigest()[:32]}"'
        if etag in known:
            return Answer(etag, None)
        entry.update(stream, files)
        values = entry.values.copy()
    for run in live:
        merge(values, grid, run.start_ns, rate_hz, run.values)
    return Answer(etag, block(0, grid.start_ns, NS_PER_S / grid.width_ns, values))


def merge(values: Columns, grid: Grid, start_ns: int, rate_hz: float, samples: npt.NDArray[Any]) -> None:
    """Add *samples* to the columns *values* of *grid*."""
    if not len(samples) or rate_hz <= 0:
        return
    made: Extremes = extremes(start_ns - grid.start_ns, rate_hz, samples, grid.width_ns)
    begin, end = max(0, made.first), min(grid.columns, made.first + len(made.values))
    if begin < end:
        new, old = made.values[begin - made.first : end - made.first], values[begin:end]
        np.fmin(old[:, 0], new[:, 0], out=old[:, 0])
        np.fmax(old[:, 1], new[:, 1], out=old[:, 1])


def _sizes(files: Iterable[Path]) -> Iterator[tuple[Path, tuple[int, int]]]:
    for file in files:
        try:
            yield file, size_bytes(file)
        except OSError:  # it was removed just now
            continue
