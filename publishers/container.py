"""ContainerPublisher: objects of all kinds in container files that follow each other."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from rawdaq import __version__
from rawdaq.container.errors import CompressionMissing
from rawdaq.container.file import ContainerFile
from rawdaq.container.format.compression import CompressionChoice, chosen
from rawdaq.container.format.layout import BLOCK_HEADER_BYTES, ENTRY_BYTES
from rawdaq.container.format.objects import Encoded, Item, encode
from rawdaq.container.reader import ContainerReader
from rawdaq.container.repair import RECOVERED_FROM, recover_part
from rawdaq.disk.file_names import FileNames
from rawdaq.disk.rotation import Room
from rawdaq.errors import InvalidValue
from rawdaq.file_output.found_objects import FileObjects
from rawdaq.file_output.rotating import RotatingPublisher, limits_of
from rawdaq.messages.message import Kind, Message

EXTENSION: Final = ".rdc"
_INDEX_BYTES: Final = 12  # of an object in a block
_BLOCK_BYTES: Final = BLOCK_HEADER_BYTES + ENTRY_BYTES  # of a block, beside its objects
_LEAST_PART: Final = 8  # of a block: less room at the end of a file is left


class ContainerPublisher(RotatingPublisher[ContainerFile]):
    """Appends all that a receiver publishes to container files (``.rdc``): packets, messages, frames and bytes.

    `rawdaq.container.ContainerReader` and ``control-rawdaq container`` read them, also while they grow. A packet of a
    waveform is stored with its header and its samples, as it goes over ZMQ, and is read as the same packet. Objects are
    gathered for `flush_s`, and written as blocks that stand alone; a process that is killed loses no more than that.
    Behind a journal nothing is lost, and each object is in the files once, also after ``kill -9``. The last objects are
    written again only when their file was moved out of the folder before the next start, or when it follows one that a
    power cut has torn. A file is ``NAME.part`` while it is written. What a crash leaves is repaired at the next start.

    Args:
        path: the folder; it is created.
        prefix: what the names of files begin with.
        suffix: what follows: ``date`` (UTC, to the second), ``order`` (001, 002...), a pattern of ``strftime`` such as
            ``%Y-%m-%d``, or ``none`` for a single file, which must not exist at the start.
        rotate_mb: a new file begins with the object by which this one would become larger.
        rotate_s: a new file begins at each multiple of so many seconds, UTC: 86400 is midnight.
        rotate_count: a new file begins after so many objects.
        flush_s: how long objects wait at most for others to be written with.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before it counts as delivered.
        compression: ``auto`` (zstd where its library is installed, else zlib), ``zstd``, ``zlib`` or ``none``.
        block_kb: size of a block before it is compressed.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    takes_messages = True
    takes_multiparts = True

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
        compression: CompressionChoice = CompressionChoice.AUTO,
        block_kb: Annotated[float, Field(ge=1, le=65_536)] = 256.0,
        name: str = "ContainerPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        names = FileNames(Path(path), prefix, suffix, EXTENSION)
        super().__init__(names, limits_of(rotate_mb, rotate_s, rotate_count), fsync_s, flush_s, name, logger)
        self._block_bytes = int(block_kb * 1000)
        self.gather_bytes = self._block_bytes if flush_s else 0
        self._compression = CompressionChoice(compression)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* contradict each other, or what is not installed."""
        try:
            chosen(CompressionChoice(options["compression"]))
        except CompressionMissing as error:
            return str(error)
        return super().check_options(options)

    def create(self, part: Path) -> ContainerFile:
        """Return the new file *part*."""
        about = {"publisher": self.name, "rawdaq": __version__, **self.stamp()}
        return ContainerFile(part, about, self._compression, is_new=True)

    def recover_part(self, part: Path) -> Path | None:
        """Return *part*, cut after its last whole block and finished."""
        return recover_part(part, self.log)

    def identity(self, item: Item) -> bytes | None:
        """Return the bytes of *item* in a file; None when it cannot be stored."""
        try:
            return encode(item, 0).data
        except InvalidValue:
            return None

    @contextmanager
    def contents(self, path: Path) -> Generator[FileObjects]:
        """Open the finished file *path* and return what it holds."""
        with ContainerReader(path, self.log) as reader:
            about = reader.info.about
            yield FileObjects({} if RECOVERED_FROM in about else about, reader.end, partial(_identities, reader))

    def write(self, batch: Sequence[Item]) -> None:
        """Write *batch* in blocks, into one or several files."""
        now_ns = time.time_ns()
        block = _Block(Room(0, 0))
        for item in batch:
            try:
                encoded = encode(item, now_ns)
            except InvalidValue as error:
                self.log.error("an object cannot be stored, and is left out: %s", error)
                block.refused += 1
                continue
            begins_new = isinstance(item, Message) and item.kind is Kind.READOUT and item.header.get("number") == 1
            size_bytes = len(encoded.data) + _INDEX_BYTES
            if begins_new or block.size_bytes + size_bytes > self._block_bytes or not block.has_room(size_bytes):
                least_bytes = size_bytes + _BLOCK_BYTES
                if block.objects and not block.has_room(size_bytes):
                    # Compression has left some room: not for ever smaller blocks, though.
                    least_bytes = max(least_bytes, min(self._block_bytes, block.room.bytes) // _LEAST_PART)
                self._write_block(block)
                self.files.file_for(least_bytes, begins_new=begins_new)
                block = _Block(self.files.room)
            block.objects.append(encoded)
            block.size_bytes += size_bytes
        self._write_block(block)

    def _write_block(self, block: "_Block") -> None:
        if block.objects and self.files.current is not None:
            self.files.current.append(block.objects)
        self.note(len(block.objects), block.refused)


def _identities(reader: ContainerReader, begin: int) -> Iterator[tuple[int, bytes]]:
    """Yield the objects from number *begin* on with their numbers; where blocks are lost, their numbers are too."""
    lost = reader.end - len(reader)
    for stored in reader.walk(max(0, begin - lost)):
        if stored.number >= begin:
            yield stored.number, encode(stored.item, 0).data


class _Block:
    """Objects that are to be written together.

    Attributes:
        room: what their file can still take.
        objects: these.
        size_bytes: of the block, before it is compressed.
        refused: how many came meanwhile that cannot be stored.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.objects: list[Encoded] = []
        self.size_bytes = _BLOCK_BYTES
        self.refused = 0

    def has_room(self, size_bytes: int) -> bool:
        """Return whether the file can take one more object, of *size_bytes*; the first of a file may be larger."""
        is_first = not self.objects and self.room.objects > 0
        return is_first or (self.size_bytes + size_bytes <= self.room.bytes and len(self.objects) < self.room.objects)
