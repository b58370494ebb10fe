"""Reads files in a thread of its own, one batch of packets ahead, so that no disk and no ObsPy stops the event loop."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rawdaq.miniseed.file import Extent
from rawdaq.packet import Packet
from rawdaq.replay.merge import BEGINNING_NS, Merge
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Problems, Source, find_files, open_source

_BATCH_PACKETS = 500
_BATCH_BYTES = 4_000_000

T = TypeVar("T")


class ReplayReader:
    """The packets of files, as often as wanted and from whatever time on.

    Args:
        patterns: files, folders and globs.
        folder: what relative ones start from.
        names: which streams are wanted and what they are called.
        packet_s: the length of a packet; 0 leaves the pieces as the files have them.
        problems: told of what cannot be read.

    Attributes:
        files: how many files there are, known after `find`.
        extent: the time that they cover, known after `scan`.
    """

    def __init__(
        self, patterns: Sequence[str | Path], folder: Path, names: StreamNames, packet_s: float, problems: Problems
    ) -> None:
        self.files = 0
        self.extent: Extent | None = None
        self._patterns, self._folder = patterns, folder
        self._names, self._packet_s, self._problems = names, packet_s, problems
        self._paths: list[Path] = []
        self._sources: list[Source] = []
        self._merge = Merge([], packet_s)
        self._executor: ThreadPoolExecutor | None = None
        self._ahead: asyncio.Future[list[Packet]] | None = None

    async def find(self) -> int:
        """Return how many files there are.

        Raises:
            FileRefused: a pattern names nothing, and that was not to be passed over.
        """
        self._paths = await asyncio.to_thread(find_files, self._patterns, self._problems, self._folder)
        self.files = len(self._paths)
        return self.files

    async def scan(self) -> Extent | None:
        """Look at every file, and return the time that they cover; None when none of them can be played.

        Raises:
            FileRefused: a file is not what it says, and that was not to be passed over.
        """
        self._sources = await self._in_thread(self._open_sources)
        if self._sources:
            starts_ns, ends_ns = zip(*(source.extent for source in self._sources), strict=True)
            self.extent = Extent(min(starts_ns), max(ends_ns))
        return self.extent

    def _open_sources(self) -> list[Source]:
        paths = itertools.takewhile(lambda _: self._executor is not None, self._paths)  # there may be thousands
        opened = (open_source(path, self._names, self._problems) for path in paths)
        return [source for source in opened if source is not None]

    def rewind(self, begin_ns: int = BEGINNING_NS) -> None:
        """Let the next batch begin at *begin_ns*, without it at the beginning."""
        self._forget_ahead()
        self._merge = Merge(self._sources, self._packet_s, begin_ns)

    async def batch(self) -> list[Packet]:
        """Return the next packets; none at the end.

        Raises:
            FileRefused: a file is not what it says, and that was not to be passed over.
        """
        batch = await (self._ahead or self._start())
        self._ahead = self._start() if batch else None
        return batch

    def _start(self) -> "asyncio.Future[list[Packet]]":
        merge = self._merge
        return self._in_thread(lambda: merge.batch(_BATCH_PACKETS, _BATCH_BYTES))

    def _in_thread(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="replay")
        return asyncio.get_running_loop().run_in_executor(self._executor, function)

    def _forget_ahead(self) -> None:
        if self._ahead is not None and not self._ahead.cancel() and not self._ahead.cancelled():
            self._ahead.exception()  # whatever it was, it concerns nobody any more
        self._ahead = None

    def close(self) -> None:
        """End the thread, as soon as it has read what it is reading; twice is fine."""
        self._forget_ahead()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
