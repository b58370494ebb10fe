"""Reads the files of a replay in a thread, one batch of packets ahead, so that no disk stops the event loop."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

from rawdaq.disk.threads import DiskThread
from rawdaq.miniseed.file import Extent
from rawdaq.miniseed.format import RecordRun
from rawdaq.packet import Packet
from rawdaq.replay.merge import BEGINNING_NS, Merge
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Problems, Source, find_files, open_source

_BATCH_PACKETS = 500
_BATCH_BYTES = 4_000_000


class ReplayReader:
    """Returns the packets of files, any number of times and from any time on, and what is no waveform as records.

    Args:
        patterns: files, folders and globs.
        folder: the folder of relative ones.
        names: selects and renames the streams.
        packet_s: the length of a packet; 0 leaves the pieces as they are in the files.
        problems: logs and counts what cannot be read.

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
        self._thread: DiskThread | None = None
        self._ahead: asyncio.Future[list[Packet | RecordRun]] | None = None

    async def find(self) -> int:
        """Return how many files there are.

        Raises:
            FileRefused: a pattern names no file (strict).
        """
        self._paths = await asyncio.to_thread(find_files, self._patterns, self._problems, self._folder)
        self.files = len(self._paths)
        return self.files

    async def scan(self) -> Extent | None:
        """Look at every file, and return the time that they cover; None when none of them can be played.

        Raises:
            FileRefused: a file or a part of it cannot be read (strict).
        """
        self._sources = await self._open_thread().submit(self._open_sources)
        if self._sources:
            starts_ns, ends_ns = zip(*(source.extent for source in self._sources), strict=True)
            self.extent = Extent(min(starts_ns), max(ends_ns))
        return self.extent

    def _open_sources(self) -> list[Source]:
        paths = itertools.takewhile(lambda _: self._thread is not None, self._paths)  # `close` ends it
        opened = (open_source(path, self._names, self._problems, True) for path in paths)
        return [source for source in opened if source is not None]

    def rewind(self, begin_ns: int = BEGINNING_NS) -> None:
        """Let the next batch begin at *begin_ns*, by default at the beginning."""
        self._forget_ahead()
        self._merge = Merge(self._sources, self._packet_s, begin_ns)

    async def batch(self) -> list[Packet | RecordRun]:
        """Return the next packets; none at the end.

        Raises:
            FileRefused: a file or a part of it cannot be read (strict).
        """
        batch = await (self._ahead or self._start())
        self._ahead = self._start() if batch else None
        return batch

    def _start(self) -> "asyncio.Future[list[Packet | RecordRun]]":
        return self._open_thread().submit(self._merge.batch, _BATCH_PACKETS, _BATCH_BYTES)

    def _open_thread(self) -> DiskThread:
        if self._thread is None:
            self._thread = DiskThread("replay", asyncio.get_running_loop())
        return self._thread

    def _forget_ahead(self) -> None:
        if self._ahead is not None and not self._ahead.cancel() and not self._ahead.cancelled():
            self._ahead.exception()  # of what is not played: it is not reported
        self._ahead = None

    def close(self) -> None:
        """End the thread, as soon as it has read what it is reading; may be called twice."""
        self._forget_ahead()
        if self._thread is not None:
            self._thread.give_back()
            self._thread = None
