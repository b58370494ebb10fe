"""What a crash has left of a container file, made whole."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rawdaq.container.file import ContainerFile
from rawdaq.container.format.objects import Item
from rawdaq.container.reader import ContainerReader
from rawdaq.container.sequence import describe
from rawdaq.container.sof import SofReader
from rawdaq.container.writer import ContainerWriter

#: In what a copy says of itself: the name of the file that it was saved from.
RECOVERED_FROM: Final = "recovered_from"


def recover_part(part: Path, log: logging.Logger) -> Path | None:
    """Return *part*, cut after its last whole block and finished; None when it has no object.

    Raises:
        BlockingIOError: somebody writes it.
        ContainerError: it is no container.
        OSError: the disk refuses it.
    """
    with ContainerFile(part) as file:
        if file.repaired.cut_bytes:
            log.warning("%s: %d bytes of a torn block are in %s", part, file.repaired.cut_bytes, file.repaired.kept)
        for damage in file.repaired.damages:
            log.error("%s: %s", part, describe(damage))
        if not file.objects:
            return None
        file.finish()
    return part


class Recovered(NamedTuple):
    """What was saved of a file.

    Attributes:
        objects: how many.
        damages: what was not, in words.
    """

    objects: int
    damages: list[str]


def recover(reader: ContainerReader | SofReader, target: Path) -> Recovered:
    """Write all objects that *reader* can read into the new file *target*.

    Raises:
        FileExistsError: there is such a file.
        ContainerError: the library for the compression of the file is not installed.
        OSError: the disk refuses it.
    """
    about = reader.info.about if isinstance(reader, ContainerReader) else {}
    times = _Times()
    about = {**about, RECOVERED_FROM: reader.path.name}
    with ContainerWriter(target, about, flush_s=1e9, is_new=True, clock_ns=times) as writer:
        for item in times.of(reader):
            writer.write(item)
    return Recovered(len(writer), [describe(damage) for damage in reader.damaged])


class _Times:
    """The clock of a copy: shows the time of the object that is copied, which plain bytes do not have themselves."""

    def __init__(self) -> None:
        self._now_ns = 0

    def __call__(self) -> int:
        return self._now_ns

    def of(self, reader: ContainerReader | SofReader) -> Iterator[Item]:
        """Yield all objects of *reader*."""
        self._now_ns = reader.info.created_ns or 0
        for stored in reader.walk():
            if stored.time_ns is not None:
                self._now_ns = stored.time_ns
            yield stored.item
