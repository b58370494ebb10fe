"""Hdf5Publisher: readouts in HDF5 files that follow each other."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from rawdaq import __version__
from rawdaq.container.format.readouts import Readout, read_readout, readout_identity
from rawdaq.container.readout_file import Hdf5Compression, ReadoutFile, load_h5py, recover_readouts
from rawdaq.container.stored_readouts import StoredReadouts
from rawdaq.disk.file_names import FileNames
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.file_output.found_objects import FileObjects
from rawdaq.file_output.rotating import RotatingPublisher, limits_of
from rawdaq.messages.message import Kind, Message
from rawdaq.outage import Outage

EXTENSION: Final = ".h5"
_REMIND_S: Final = 600.0


class Hdf5Publisher(RotatingPublisher[ReadoutFile]):
    """Appends readouts to HDF5 files: those of one assembler, as datasets that grow.

    Group ``/readouts`` has `number`, `epoch`, `time_ns`, `received_ns`, `reason`, `present` (a bit for each slot) and
    `data` [readouts, slots, channels(, samples)], NaN or 0 where a slot is absent; ``docs/hdf5.md`` has the layout. A
    file can be read while it is written, with ``h5py.File(path, "r", swmr=True)``; it is ``NAME.part`` then. What a
    crash leaves is copied to a whole file at the next start, up to the last flush. Behind a journal nothing is lost,
    and each readout is in the files once, also after ``kill -9``. The last readouts are written again only when their
    file was moved out of the folder before the next start, when it follows one that a power cut has torn, or when HDF5
    could not go on with it. A new file also begins with readout number 1, and with a readout of another shape or unit.
    Messages of other kinds and waveforms are passed over.

    Args:
        path: the folder; it is created.
        prefix: what the names of files begin with.
        suffix: what follows: ``date`` (UTC, to the second), ``order`` (001, 002...), a pattern of ``strftime`` such as
            ``%Y-%m-%d``, or ``none`` for a single file, which must not exist at the start.
        rotate_mb: a new file begins with the readout by which this one would become larger.
        rotate_s: a new file begins at each multiple of so many seconds, UTC: 86400 is midnight.
        rotate_count: a new file begins after so many readouts.
        flush_s: how long readouts wait at most for others to be written with.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before it counts as delivered.
        compression: of the values: ``gzip``, ``lzf`` or ``none``.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    takes_messages = True
    gather_bytes = 4_000_000

    def __init__(
        self,
        path: Path,
        prefix: str = "",
        suffix: str | None = "date",
        rotate_mb: Annotated[float, Field(gt=0)] | None = None,
        rotate_s: Annotated[float, Field(ge=1)] | None = None,
        rotate_count: Annotated[int, Field(ge=1)] | None = None,
        flush_s: Annotated[float, Field(ge=0, le=3600)] = 1.0,
        fsync_s: Annotated[float, Field(ge=0, le=3600)] = 5.0,
        compression: Hdf5Compression = Hdf5Compression.GZIP,
        name: str = "Hdf5Publisher",
        logger: logging.Logger | None = None,
    ) -> None:
        names = FileNames(Path(path), prefix, suffix, EXTENSION)
        super().__init__(names, limits_of(rotate_mb, rotate_s, rotate_count), fsync_s, flush_s, name, logger)
        self._compression = Hdf5Compression(compression)
        self._first: Readout | None = None  # of the file that is about to be made
        self._topic: str | None = None
        self._slots = 0
        self._again: list[Readout] = []  # those that a broken file may have lost
        self._passed_over = 0
        self._wrong = Outage(self.log, _REMIND_S)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* contradict each other, or what is not installed."""
        try:
            load_h5py()
        except ComponentError as error:
            return str(error)
        return super().check_options(options)

    def create(self, part: Path) -> ReadoutFile:
        """Return the new file *part*, for readouts like the one that comes next."""
        if self._first is None:
            raise ComponentError("there is no readout that says what the file will hold")
        again = sum(readout.layout == self._first.layout for readout in self._again)
        about = {"rawdaq": __version__, "publisher": self.name, **self.stamp(again)}
        return ReadoutFile(part, self._first.layout, self._first.names, self._compression, about)

    def recover_part(self, part: Path) -> Path | None:
        """Return a copy of *part*, with the readouts up to its last flush."""
        return recover_readouts(part, self.log)

    def identity(self, item: Any) -> bytes | None:
        """Return what a file holds of *item*; None when that is no readout, or a wrong one."""
        if not isinstance(item, Message) or item.kind is not Kind.READOUT:
            return None
        try:
            readout = read_readout(item)
        except InvalidValue:
            return None
        return readout_identity(item.topic, readout.numbers, readout.slots, readout.values)

    @contextmanager
    def contents(self, path: Path) -> Generator[FileObjects]:
        """Open the finished file *path* and return what it holds."""
        with StoredReadouts(path) as stored:
            yield FileObjects(stored.about, len(stored), stored.identities)

    def write(self, batch: Sequence[Any]) -> None:
        """Write the readouts of *batch*, into one or several files."""
        waiting: list[Readout] = []
        others = refused = 0
        for item in batch:
            try:
                readout = self._readout(item)
            except InvalidValue as error:
                refused += 1
                if self._wrong.is_due:
                    self._wrong.log("a readout cannot be stored, and is left out: %s", error)
                continue
            if readout is None:
                others += 1
                continue
            if waiting and not self._belongs(readout, waiting):
                self._append(waiting, others, refused)
                waiting, others, refused = [], 0, 0
            waiting.append(readout)
        self._append(waiting, others, refused)

    def _readout(self, item: Any) -> Readout | None:
        """Return the readout that *item* carries; None when it is something else.

        Raises:
            InvalidValue: it is wrong, or one of another assembler.
        """
        if not isinstance(item, Message) or item.kind is not Kind.READOUT:
            return None
        readout = read_readout(item)
        self._topic = self._topic or item.topic
        if item.topic != self._topic:
            raise InvalidValue(
                f"{item.topic} is not {self._topic}: the readouts of two assemblers do not fit into one file; "
                "give each its own component, or store them with a ContainerPublisher"
            )
        self._slots = max(self._slots, readout.layout.slots)
        return readout._replace(layout=readout.layout._replace(slots=self._slots))

    def _belongs(self, readout: Readout, waiting: Sequence[Readout]) -> bool:
        """Return whether *readout* goes into the same file as those that wait before it."""
        current, room = self.files.current, self.files.room
        if current is None or readout.numbers[0] == 1 or not readout.layout == current.layout == waiting[0].layout:
            return False
        count = len(waiting) + 1
        return count <= room.objects and count * readout.layout.readout_bytes <= room.bytes

    def _append(self, readouts: Sequence[Readout], others: int, refused: int) -> None:
        if readouts:
            first = self._first = readouts[0]
            current = self.files.current
            begins_new = first.numbers[0] == 1 or (current is not None and current.layout != first.layout)
            self._write_into(self.files.file_for(first.layout.readout_bytes, begins_new=begins_new), readouts)
        self.note(len(readouts), refused, others)
        self._passed_over += others

    def _write_into(self, file: ReadoutFile, readouts: Sequence[Readout]) -> None:
        again = [readout for readout in self._again if readout.layout == file.layout]
        try:
            file.append([*again, *readouts])
        except OSError as error:
            if file.is_broken:
                self.log.error("HDF5 cannot go on with %s: %s; it is made whole at the next start", file.path, error)
                self._again = file.last or again
                self.files.complete()
            raise
        self._again = []

    def status(self) -> dict[str, object]:
        """Return the file that is written, and what was written and passed over in all."""
        return {**super().status(), "not_readouts": self._passed_over}
