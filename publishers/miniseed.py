"""MiniSeedPublisher: a miniSEED archive on disk."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.archive.archive import RETRY_S, Archive
from rawdaq.archive.layout import LAYOUTS, ArchiveLayout
from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.threads import Arguments, DiskThread, disk_thread, in_new_thread
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.miniseed.format import V3_MAX_BYTES, V3_MIN_BYTES, Encoding, RecordFormat, RecordRun, why_not
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import NO_CURSOR_MARKS, CursorMarks, HeldItems, Publisher, PublisherUnavailable
from rawdaq.stream_id import StreamId


def _checked_layout(text: str) -> str:
    ArchiveLayout(text)
    return text


class MiniSeedPublisher(Publisher):
    """Appends miniSEED records to files below a folder.

    Whole records only, each once. Records wait up to half a second, so that those of all archives on a disk are written
    together, by threads that serve this disk alone: one that hangs stops nothing else. A full disk or a lost mount
    pauses this publisher until it is cured. What a crash has torn off the end of a file is kept beside it. Two
    publishers cannot write the same file. Behind a journal each sample is written once, also after a crash.

    Args:
        path: the archive's folder; it is created.
        layout: ``sds``, ``bud``, or a pattern of file names. In it ``%n``, ``%s``, ``%l`` and ``%c`` are network,
            station, location and channel; ``%Y``, ``%j``, ``%H``, ``%M`` and ``%S`` year, day of year, hour, minute and
            second of the first sample; `ArchiveLayout` has more.
        version: 2 or 3, the version of miniSEED.
        record_length: bytes of a record, for miniSEED 2 a power of two from 128 to 131072; the longest one for 3.
        encoding: ``auto``, ``steim1``, ``steim2``, ``int16``, ``int32``, ``float32`` or ``float64``. ``auto`` is STEIM2
            for integers and the samples' own for others; what does not fit is stored otherwise, and logged.
        flush_after_s: how long a sample waits at most for its record to fill; by default 10 s, of streams below 20 Hz
            200 sampling intervals.
        fsync_s: how long after it was written a record is safe on the disk at the latest; 0: a batch counts as
            delivered only then. A disk that refuses that is asked again, see ``docs/decisions/archive-files.md``.
        max_open_files: how many files stay open, best as many as there are streams; where the process may open too
            few, those of some streams are opened for each batch.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    takes_runs = True
    takes_records = True
    must_deliver = True
    gather_bytes = 4_000_000
    gather_s = 0.5

    def __init__(
        self,
        path: Path,
        layout: Annotated[str, AfterValidator(_checked_layout)] = "sds",
        version: Literal[2, 3] = 2,
        record_length: Annotated[int, Field(ge=V3_MIN_BYTES, le=V3_MAX_BYTES)] = 512,
        encoding: Encoding = Encoding.AUTO,
        flush_after_s: Annotated[float, Field(ge=0, le=86_400)] | None = None,
        fsync_s: Annotated[float, Field(ge=0, le=3600)] = 5.0,
        max_open_files: Annotated[int, Field(ge=1)] = 1024,
        name: str = "MiniSeedPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(name, logger)
        self.record_format = RecordFormat(version, record_length, encoding, flush_after_s)
        self._path = Path(path)
        self._archive = Archive(self._path, ArchiveLayout(layout), self.record_format, max_open_files, self.log)
        self._fsync_s = fsync_s
        self._late_sync = LateSync(fsync_s, lambda: self._submit(self._archive.sync), self.log)
        self._thread: DiskThread | None = None
        self._retrying: asyncio.TimerHandle | None = None
        self._is_closed = False

    @classmethod
    def check_streams(cls, streams: Sequence[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why *options* are invalid or such records cannot carry *streams*; None when all is well."""
        try:
            record_format = RecordFormat(options["version"], options["record_length"], options["encoding"])
        except InvalidValue as error:
            return str(error)
        reasons = (why_not(record_format, stream) for stream in streams)
        return next((reason for reason in reasons if reason), None)

    @classmethod
    def exclusive_by_stream(cls, options: Mapping[str, Any]) -> str | None:
        """Return the archive, in which only one publisher can write the files of a stream."""
        names = {pattern: name for name, pattern in LAYOUTS.items()}
        return f"archive {options['path']} ({names.get(options['layout'], options['layout'])})"

    async def open(self) -> None:
        """Create the folder and check that it can be written.

        Raises:
            ComponentError: it cannot; the text names cause and remedy.
        """
        self._archive.restart.begin(self.last_end)
        await in_new_thread(f"opening {self.name}", self._archive.open)
        self._thread = disk_thread(self._archive.device)

    async def deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> None:
        """Append the records to their files; return when they are written, with ``fsync_s`` 0 when they are safe.

        Raises:
            PublisherUnavailable: the disk does not take them now.
        """
        try:
            await self._submit(self._write, [run for run in batch if isinstance(run, RecordRun)])
        finally:
            if self._fsync_s:
                self._late_sync.schedule()
            self._retry_later()

    def _write(self, runs: Sequence[RecordRun]) -> None:
        self._archive.write(runs, must_sync=not self._fsync_s)

    async def recover(self, marks: CursorMarks, remember: Callable[[CursorMarks], None]) -> None:
        """Take note that a journal gives again what is not settled: its files are asked which samples they have."""
        self._archive.is_repeated = True

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        """Return when all that is delivered is safe.

        Raises:
            PublisherUnavailable: the disk refuses it, or records are held because their file cannot be written.
        """
        if at_once:
            await self._submit(self._archive.sync)
        elif self._fsync_s:
            await self._late_sync.covered()
        if self._archive.held_bytes:
            raise PublisherUnavailable(f"records of files that cannot be written are held ({self._path})")
        return NO_CURSOR_MARKS

    def retry(self) -> None:
        """Try at once to write what is held because its file cannot be written."""
        if self._retrying is not None:
            self._retrying.cancel()
            self._retry_now()

    def _retry_later(self) -> None:
        """Try what is held again, also when nothing more comes."""
        if self._retrying is None and not self._is_closed and self._archive.held_bytes:
            self._retrying = asyncio.get_running_loop().call_later(RETRY_S, self._retry_now)

    def _retry_now(self) -> None:
        self._retrying = None
        self._submit(lambda: self._archive.retry_held(at_once=True)).add_done_callback(self._end_retry)

    def _end_retry(self, done: "asyncio.Future[None]") -> None:
        done.result()  # what cannot be written stays held, and raises nothing
        self._retry_later()

    def undelivered(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return what of *batch* is in no file."""
        failed = self._archive.failed
        return batch if failed is None else failed

    def _submit(self, function: Callable[[*Arguments], None], *args: *Arguments) -> "asyncio.Future[None]":
        """Let the thread of the disk call *function*; return the future of its end."""
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        return self._thread.submit(function, *args)

    async def aclose(self) -> None:
        """Make all records safe and close all files; a disk that does not answer is given up in time.

        Raises:
            ComponentError: records are lost, or may be; the text says why.
        """
        if self._is_closed:
            return
        self._is_closed = True
        await super().aclose()
        self._late_sync.close()
        if self._retrying is not None:
            self._retrying.cancel()
        if self._thread is None:
            return
        closing = self._thread.submit(self._archive.close)
        self._thread.give_back()
        while not closing.done():
            calls_done = self._thread.calls_done
            await asyncio.wait([closing], timeout=self.close_timeout_s)
            if not closing.done() and self._thread.calls_done == calls_done:
                raise ComponentError(f"the disk of {self._path} does not answer: the last records may not be on it")
        closing.result()

    @property
    def held(self) -> HeldItems | None:
        """Records of files that cannot be written, while others can."""
        held = self._archive.held
        return None if held is None else HeldItems(*held)

    @property
    def problem(self) -> str | None:
        """Why what was written may not be safe on the disk."""
        return self._late_sync.problem

    def status(self) -> dict[str, object]:
        """Return what `status` shows besides the counters of the queue."""
        return {"path": str(self._path), **self._archive.status(), "sync_error": self._late_sync.error}
