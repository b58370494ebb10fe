"""`SofReader`: the objects of ssdaq's own files, with all of a truncated one that is whole; `write_sof` writes one."""

import logging
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from rawdaq.container.errors import BlockDamaged, ContainerError
from rawdaq.container.file import read_at
from rawdaq.container.format.scan import Damage
from rawdaq.container.format.sof import (
    BUNCH_BYTES,
    HEADER_BYTES,
    MAX_BUNCHES,
    TRAILER_BYTES,
    Bunch,
    Place,
    SofHeader,
    find_bunches,
    find_objects,
    pack_bunch,
    pack_header,
    unpack_bunch,
)
from rawdaq.container.sequence import BlockSequence, Loaded, Stored


class SofInfo(NamedTuple):
    """What a SOF file is.

    Attributes:
        path: the file.
        size_bytes: its size.
        version: 0 or 1.
        created_ns: when it was made; None in version 0.
        is_compressed: whether it is bz2.
        blocks: how many bunches there are.
        objects: how many they hold.
        torn_bytes: how much at its end is no whole bunch.
        damaged: how many damages are known.
    """

    path: Path
    size_bytes: int
    version: int
    created_ns: int | None
    is_compressed: bool
    blocks: int
    objects: int
    torn_bytes: int
    damaged: int


class SofReader(BlockSequence[bytes]):
    """The objects of a file that ssdaq has written, version 0 or 1, by index, slice and in order.

    The end of the file may be missing: all bunches that are whole are found. The crc of each object is checked.

    Args:
        path: the file.
        logger: where damages are logged.

    Raises:
        ContainerError: it is no such file.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | Path, logger: logging.Logger | None = None) -> None:
        self.path = Path(path)
        super().__init__(str(path), logger or logging.getLogger("rawdaq.container"))
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._read = partial(read_at, self._fd)
        self._bunches: list[Bunch] = []
        self._places: list[list[Place]] = []
        try:
            self._size_bytes = os.fstat(self._fd).st_size
            self._header = SofHeader.unpack(self._read(0, HEADER_BYTES))
            self._end = self._find_bunches() if self._header.version else self._find_objects()
        except BaseException:
            self.close()
            raise

    def _find_bunches(self) -> int:
        """Find all bunches; return where the last one ends."""
        begin = end = self._header.size_bytes
        for bunch in find_bunches(self._read, begin, self._size_bytes):
            if bunch.data > end:
                self._tell(Damage(end, bunch.data - end, bunch.number - 1 if bunch.number else None, "no trailer fits"))
            self._bunches.append(bunch)
            end = bunch.end
        self._add_blocks(bunch.objects for bunch in self._bunches)
        return end

    def _find_objects(self) -> int:
        """Find all objects of a file of version 0, so many of them as a block; return where the last one ends."""
        places = list(find_objects(self._read, self._size_bytes))
        self._places = [places[begin : begin + 1000] for begin in range(0, len(places), 1000)]
        self._add_blocks(map(len, self._places))
        return places[-1].offset + places[-1].size_bytes if places else HEADER_BYTES

    @property
    def info(self) -> SofInfo:
        """What the file is."""
        header = self._header
        return SofInfo(
            self.path,
            self._size_bytes,
            header.version,
            header.created_s * 1_000_000_000 if header.version else None,
            header.is_compressed,
            len(self._begins),
            len(self),
            self._size_bytes - self._end,
            len(self.damaged),
        )

    def _load(self, block: int) -> Loaded[bytes]:
        begin = self._begins[block]
        if self._places:
            places = self._places[block]

            def single(place: int) -> Stored[bytes]:
                found = places[place]
                return Stored(begin + place, None, _checked(self._read(found.offset, found.size_bytes), found.crc))

            return single
        crcs, objects = unpack_bunch(self._read, self._bunches[block], is_compressed=self._header.is_compressed)

        def stored(place: int) -> Stored[bytes]:
            return Stored(begin + place, None, _checked(bytes(objects[place]), crcs[place]))

        return stored

    def _place(self, block: int) -> Damage:
        if self._places:
            first, last = self._places[block][0], self._places[block][-1]
            return Damage(first.offset, last.offset + last.size_bytes - first.offset, block, "")
        bunch = self._bunches[block]
        return Damage(bunch.data, bunch.end - bunch.data, bunch.number, "")


def _checked(data: bytes, crc: int) -> bytes:
    if crc32(data) != crc:
        raise BlockDamaged("the crc of an object does not fit")
    return data


def write_sof(
    path: Path,
    objects: Iterable[bytes],
    created_s: int,
    version_text: str,
    *,
    is_compressed: bool = True,
    content: int = 0,
) -> int:
    """Write a new file of version 1, as ssdaq reads them; return how many objects it has.

    Args:
        path: the file.
        objects: what it shall hold.
        created_s: when that was made, in seconds since 1970.
        version_text: what wrote it.
        is_compressed: with bz2.
        content: what its objects are in ssdaq: 1 logs, 2 timestamps, 3 triggers, 4 frames; 0: none of these.

    Raises:
        FileExistsError: there is such a file.
        ContainerError: the objects are more than such a file can hold; about 65 GB.
        OSError: it cannot be written.
    """
    count = number = last_trailer = 0
    with path.open("xb") as file:
        file.write(pack_header(created_s, version_text, is_compressed=is_compressed, content=content))
        for bunch in _bunches(objects):
            if number == MAX_BUNCHES:
                raise ContainerError(f"a SOF file holds {MAX_BUNCHES} bunches: export a part")
            data = pack_bunch(bunch, number, file.tell(), last_trailer, is_compressed=is_compressed)
            file.write(data)
            last_trailer = file.tell() - TRAILER_BYTES
            count, number = count + len(bunch), number + 1
        file.flush()
        os.fsync(file.fileno())
    return count


def _bunches(objects: Iterable[bytes]) -> Iterable[list[bytes]]:
    """Yield *objects* in bunches: each is complete with the object by which it exceeds its size."""
    bunch: list[bytes] = []
    size_bytes = 0
    for each in objects:
        bunch.append(each)
        size_bytes += len(each)
        if size_bytes > BUNCH_BYTES:
            yield bunch
            bunch, size_bytes = [], 0
    if bunch:
        yield bunch
