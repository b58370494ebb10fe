"""Records of the past, as they are archived: collected by a thread while they are sent."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rawdaq.archive.reading import files_of, records
from rawdaq.control.logs import size_bytes
from rawdaq.control.rest.routes import Refused
from rawdaq.control.web.components.shown import ArchivePlace
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY

MAX_SPAN_NS = NS_PER_DAY
MAX_BYTES = 100_000_000

_PIECE_BYTES = 1 << 18


class Records(NamedTuple):
    """What a download has.

    Attributes:
        pieces: the records, several in each.
    """

    pieces: Iterator[bytes]

    async def first(self) -> bytes | None:
        """Return the first piece, or the next one; None: there is none."""
        return await asyncio.to_thread(next, self.pieces, None)

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        """Yield *first*, then all that follows."""
        yield first
        while (piece := await self.first()) is not None:
            yield piece


async def collect(stream: StreamId, start_ns: int, end_ns: int, places: Iterable[ArchivePlace]) -> Records:
    """Return the records of *stream* between two times; of several archives those of the first that has some.

    Raises:
        Refused: they have more than `MAX_BYTES`.
    """
    return await asyncio.to_thread(_collect, stream, start_ns, end_ns, list(places))


def _collect(stream: StreamId, start_ns: int, end_ns: int, places: list[ArchivePlace]) -> Records:
    for place in places:
        files = files_of(Path(place.path), place.layout, stream, start_ns, end_ns)
        if sum(map(size_bytes, files)) > MAX_BYTES:  # of which only a part may be wanted
            total = sum(map(len, _records(files, stream, start_ns, end_ns)))
            if total > MAX_BYTES:
                raise Refused(413, f"these are {total} bytes, more than {MAX_BYTES}; ask for a shorter time")
        if (piece := next(pieces := _pieces(_records(files, stream, start_ns, end_ns)), None)) is not None:
            return Records(itertools.chain([piece], pieces))
    return Records(iter(()))


def _pieces(found: Iterator[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for data in found:
        waiting += data
        if len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _records(files: Iterable[Path], stream: StreamId, start_ns: int, end_ns: int) -> Iterator[bytes]:
    for file in files:
        with suppress(OSError):  # it was removed just now
            yield from records(file, stream, start_ns, end_ns)
