"""JsonLinesPublisher: JSON packets of a DataLink server as files with one JSON value a line."""

import asyncio
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rawdaq.disk.files import sync_file
from rawdaq.disk.late_sync import LateSync
from rawdaq.disk.mounts import check_mounted
from rawdaq.disk.remedies import describe, describe_write
from rawdaq.disk.threads import Arguments, DiskThread, Result, disk_thread, in_new_thread
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.publisher import CursorMarks, Publisher, PublisherUnavailable
from rawdaq.publishers.jsonl.files import LineFiles
from rawdaq.publishers.jsonl.found import Delivered, FoundLines
from rawdaq.publishers.jsonl.layout import JsonLinesLayout
from rawdaq.publishers.jsonl.lines import BAD, Line, LineMaker
from rawdaq.publishers.jsonl.progress import Place, Progress

_MANY = 1000
_MARKS_BYTES = 256 << 10


class JsonLinesPublisher(Publisher):
    """Appends the JSON packets that a `DataLinkReceiver` (with ``other: json``) publishes to files, one a line.

    It takes the place of dali2jsonl, and its files are the same line by line. A payload of several lines becomes one;
    one that is no JSON goes, with its name and times, to a file beside the other whose name ends in ``.bad``. Whole
    lines only: what a crash tore off is taken away, and comes again. Each packet is in the files once, also after
    ``kill -9``. The messages of any receiver (events, logs, telemetry and others) are lines too: their headers, with
    the payload, where there is one, as ``payload_base64``. Behind a journal all lines are written once, also after a
    power cut; but those of a file that is moved or removed within twice `fsync_s` before a crash are written again, so
    times in the names are better than logrotate.

    Args:
        write: pattern of the files' path names. ``%n``, ``%s``, ``%l`` and ``%c`` are network, station, location and
            channel; ``%Y``, ``%j``, ``%H``, ``%M`` and ``%S`` year, day of year, hour, minute and second, UTC. Of
            messages ``%n`` and ``%s`` are those of the topic, ``%l`` is the component and ``%c`` the kind.
        bandwrite: patterns of their own for some band codes, or the letter of another band.
        folder: what relative patterns start from.
        state: the file that knows what is in the files.
        max_open_files: how many files stay open; those that are not written for a minute are closed.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before a batch counts as delivered.
    """

    must_deliver = True
    takes_messages = True
    gather_bytes = 1_000_000
    gather_s = 0.05

    def __init__(
        self,
        write: str,
        bandwrite: dict[str, str] = {},  # noqa: B006 - it is never changed
        folder: Path = Path("."),
        state: Path = Path("jsonl-state.json"),
        max_open_files: Annotated[int, Field(ge=1, le=100_000)] = 50,
        name: str = "JsonLinesPublisher",
        logger: logging.Logger | None = None,
        fsync_s: Annotated[float, Field(ge=0, le=3600)] = 5.0,
    ) -> None:
        super().__init__(name, logger)
        self._maker = LineMaker(folder, JsonLinesLayout(write, bandwrite))
        self._folder = folder
        self._state_file = state
        self._progress = Progress(state)
        self._files = LineFiles(max_open_files, self._set_aside)
        self._thread: DiskThread | None = None
        self._may_repeat = True  # whether packets that came before the start may come once more
        self._counts: Counter[str] = Counter()
        self._fsync_s = fsync_s
        self._late_sync = LateSync(fsync_s, lambda: self._submit(self._sync), self.log)
        self._delivered = Delivered()
        self._settled: dict[Path, int] = {}  # sizes as of the last time that all was safe
        self._found: FoundLines | None = None
        self._begun: dict[Path, int] = {}  # files that the delivery that goes on has begun, and where
        # What follows is used in the thread of the disk alone.
        self._unsynced: set[Path] = set()
        self._remember: Callable[[CursorMarks], None] | None = None
        self._marked: dict[Path, int] = {}  # files whose beginning a journal knows, and their sizes

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a pattern; None when all is well."""
        try:
            JsonLinesLayout(options["write"], options["bandwrite"])
        except InvalidValue as error:
            return str(error)
        return None

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the file of the state, which only one publisher can write."""
        return f"file {options['state']}"

    async def open(self) -> None:
        """Take out of the files what a crash left there of a batch that was not finished.

        Raises:
            ComponentError: the state cannot be read or written.
        """
        try:
            device = await in_new_thread(f"opening {self.name}", self._open)
        except (OSError, ValueError) as error:
            reason = describe(error) if isinstance(error, OSError) else f"{error}; repair it"
            remedy = "or remove it: packets that come again are then written again"
            raise ComponentError(f"cannot use the state in {self._state_file}: {reason}, {remedy}") from error
        self._thread = disk_thread(device)

    def _open(self) -> int:
        for folder in (self._folder, self._state_file.parent):
            check_mounted(folder)
        self._files.cut(self._progress.open())
        self._delivered.last = self._progress.last
        return os.stat(self._state_file.parent).st_dev

    async def deliver(self, batch: Sequence[Packet | Message | bytes]) -> None:
        """Append the lines of *batch*, all of them or none; behind a journal, those of as many files as it can know.

        Raises:
            PublisherUnavailable: a disk does not take them now, or files must be synced before there are more.
        """
        count, sizes, last = await self._submit(self._write, batch)
        if self._found is not None:  # there is a journal
            self._delivered.sizes |= sizes
            for path in sizes:
                self._begun.pop(path, None)
        if last is not None and not last.came_before(self._delivered.last):
            self._delivered.last = last
        if self._fsync_s and sizes:
            self._late_sync.schedule()
        if count < len(batch):
            raise PublisherUnavailable("thousands of files have grown since the last sync, which comes first", count)

    async def recover(self, marks: CursorMarks, remember: Callable[[CursorMarks], None]) -> FoundLines:
        """Return the lines that are in files beyond the cursor: they are not written once more.

        Raises:
            PublisherUnavailable: a file cannot be read.
        """
        if marks:
            self._delivered = Delivered.unpack(marks)
        self._found = FoundLines(self._delivered, self._maker)
        await self._submit(self._find, self._found, remember, dict(self._delivered.sizes))
        return self._found

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        """Return the sizes of the files as of this call, when all that is delivered is safe.

        Files that were not written since this was called before are left out; all are, where there are many.

        Raises:
            PublisherUnavailable: the disk refuses it.
        """
        delivered = Delivered(dict(self._delivered.sizes), self._delivered.last)
        idle = self._idle()
        begun = self._begun.copy()  # by a delivery that has not returned: where it begins stays as it is
        if at_once or not self._fsync_s:
            await self._submit(self._sync)
        else:
            await self._late_sync.covered()
        self._settled = dict(delivered.sizes)
        for path in await self._submit(self._leave_out, idle):
            del delivered.sizes[path]
            self._delivered.sizes.pop(path, None)
        delivered.sizes |= begun
        return delivered.pack()

    def _idle(self) -> dict[Path, int]:
        """Return the files that a journal need not know when all that they hold is safe: all where there are many."""
        sizes, found = self._delivered.sizes, self._found
        idle = dict(sizes) if len(sizes) > _MANY else dict(sizes.items() & self._settled.items())
        return {path: size for path, size in idle.items() if found is None or not found.has_left(path)}

    def _submit(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> "asyncio.Future[Result]":
        """Let the thread of the disk call *function*; return the future of its end."""
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        return self._thread.submit(function, *args)

    # What follows runs in the thread of the disk.

    def _find(self, found: FoundLines, remember: Callable[[CursorMarks], None], marked: Mapping[Path, int]) -> None:
        try:
            self._unsynced |= found.read()
        except OSError as error:
            raise PublisherUnavailable(f"cannot read {error.filename}: {describe(error)}") from error
        self._remember, self._marked = remember, dict(marked)

    def _write(self, batch: Sequence[Packet | Message | bytes]) -> tuple[int, dict[Path, int], Place | None]:
        """Append the lines of *batch*; return how many items that were, the sizes of their files, and the last packet.

        It is not all of them when a journal would have to know too many files.
        """
        lines: dict[Path, list[bytes]] = {}
        last, sizes = self._delivered.last, dict[Path, int]()
        counts, may_repeat = self._counts.copy(), self._may_repeat
        left_bytes, count = _MARKS_BYTES - sum(len(str(path)) for path in self._marked), 0
        for line in map(self._maker.line, batch):
            if line.path is not None and line.path not in self._marked and line.path not in lines:
                left_bytes -= len(str(line.path))
                if left_bytes < 0 and self._found is not None:
                    break
            count += 1
            if line.place is not None:
                if self._is_there(line.place, last):
                    continue
                last = line.place
            self._count(line)
            if line.path is not None:
                lines.setdefault(line.path, []).append(line.data)
        try:
            if lines:
                sizes = self._append({path: b"".join(some) for path, some in lines.items()}, last)
        except (OSError, PublisherUnavailable) as error:
            self._counts, self._may_repeat = counts, may_repeat
            if isinstance(error, OSError):
                raise PublisherUnavailable(describe_write(error, error.filename or self._folder)) from error
            raise
        self._files.close_idle()
        return count, sizes, last

    def _count(self, line: Line) -> None:
        if line.counted_as == "refused" and not self._counts["refused"]:
            self.log.error("not written as a line, counted as refused: %s; is it a DataLinkReceiver's?", line.reason)
        self._counts[line.counted_as] += 1

    def _is_there(self, place: Place, last: Place | None) -> bool:
        """Whether a packet is in the files already; the first new one behind the start ends that."""
        if not self._may_repeat:
            return False
        if place.came_before(last):
            self._counts["again"] += 1
            return True
        found = self._found
        self._may_repeat = found is not None and not (found.is_over and found.first_new in (None, place))
        return False

    def _append(self, data: Mapping[Path, bytes], last: Place | None) -> dict[Path, int]:
        """Append *data* to their files, a part of the files at a time, as so many may be open; return their sizes."""
        self._cut_found()
        sizes = self._files.sizes(data)
        self._mark({path: sizes[str(path)] for path in data})
        self._progress.begin(sizes)
        try:
            for path, some in data.items():
                self._files.append(path, some)
            self._unsynced |= data.keys()
            if not self._fsync_s:
                self._sync_files()
            self._progress.end(last)
        except OSError:
            self._files.cut(sizes)
            self._progress.end(None)
            raise
        after = {path: sizes[str(path)] + len(some) for path, some in data.items()}
        if self._remember is not None:
            self._marked |= after
        return after

    def _cut_found(self) -> None:
        """Cut off what a crash has left and what comes again now."""
        if self._found is not None and self._found.to_cut:
            self._files.cut({str(path): size for path, size in self._found.to_cut.items()})
            self._found.to_cut = {}

    def _mark(self, sizes: Mapping[Path, int]) -> None:
        """Have the journal keep where files begin to grow, of those that it does not know, or that were replaced."""
        new = {path: size for path, size in sizes.items() if size < self._marked.get(path, math.inf)}
        if new and self._remember is not None:
            self._begun |= new  # first, so that `settled` does not leave them out
            self._remember(Delivered(new).pack())

    def _leave_out(self, idle: Mapping[Path, int]) -> list[Path]:
        """Forget the files that still have these sizes; return them."""
        left_out = [path for path, size in idle.items() if self._marked.get(path) == size]
        for path in left_out:
            del self._marked[path]
        return left_out

    def _sync(self) -> None:
        try:
            self._sync_files()
            self._progress.sync()
        except OSError as error:
            raise PublisherUnavailable(describe_write(error, error.filename or self._folder)) from error

    def _sync_files(self) -> None:
        for path in tuple(self._unsynced):
            sync_file(path)
            self._unsynced.discard(path)

    def _set_aside(self, path: Path, torn: bytes) -> None:
        """Keep a torn line of *path* beside it, where it harms no reader."""
        self.log.warning(
            "%s did not end with a whole line: its last %d bytes are in %s%s", path, len(torn), path.name, BAD
        )
        text = torn.decode("utf-8", "backslashreplace")
        with path.with_name(path.name + BAD).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"torn": text}) + "\n")

    # What follows runs in the event loop again.

    async def aclose(self) -> None:
        """Close all files."""
        await super().aclose()
        self._late_sync.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            closing: asyncio.Future[None] = thread.submit(self._close)
            thread.give_back()
            await closing

    def _close(self) -> None:
        try:
            self._sync()
        except PublisherUnavailable as error:
            self.log.error("what was written last may not be on the disk: %s", error)
        self._files.close()
        self._progress.close()

    @property
    def problem(self) -> str | None:
        """Why what was written may not be safe on the disk."""
        return self._late_sync.problem

    def status(self) -> dict[str, object]:
        """Return what `status` shows besides the queue's counters."""
        return {
            "path": str(self._folder),
            **{name: self._counts[name] for name in ("lines", "bad", "again", "skipped", "refused")},
            "written_bytes": self._files.written_bytes,
            "open_files": len(self._files),
            "sync_error": self._late_sync.error,
        }
