"""Readouts in HDF5: a file with datasets that grow, which can be read while it is written and after a crash.

The file is written in HDF5's SWMR mode. A writer that is killed leaves one that only a reader in that mode opens, up to
its last flush; `recover_readouts` makes a plain one of it. The layout stands in ``docs/hdf5.md``.
"""

import errno
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np

from rawdaq.container.errors import ContainerError
from rawdaq.container.format.readouts import REASONS, Readout, ReadoutLayout
from rawdaq.container.open_file import OpenFile
from rawdaq.disk.rotation import create_held, hold
from rawdaq.disk.set_aside import TORN
from rawdaq.errors import ComponentError

LAYOUT_VERSION: Final = 1

_CHUNK_BYTES: Final = 1 << 18
_MAX_CHUNK_ROWS: Final = 1024
_COPY_BYTES: Final = 1 << 24
_SPARE_BYTES: Final = 1 << 20  # of a disk, so that HDF5 never sees it full: that would damage its file
_WASTE: Final = 1.25  # chunks that are compressed again leave holes; a file with more is copied when it is finished
_OVERHEAD_BYTES: Final = 1 << 14
_ERRNO: Final = re.compile(r"errno = (\d+)")
_NOT_WRITTEN: Final = 255  # what `reason` says where a write has failed
_NOT_SWMR: Final = "not already open for SWMR writing"
_CHECKSUM_BYTES: Final = 4  # of Fletcher's sum, behind a chunk
_REASON: Final = 4  # its place among the datasets
GROUP: Final = "/readouts"
HDF5_ERRORS: Final = (OSError, RuntimeError, ValueError)


class Hdf5Compression(StrEnum):
    """How the values are compressed."""

    GZIP = "gzip"
    LZF = "lzf"
    NONE = "none"


def load_h5py() -> Any:
    """Return the library.

    Raises:
        ComponentError: it is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ComponentError("HDF5 needs h5py; install it: pip install 'rawdaq[hdf5]'") from error
    return h5py


class ReadoutFile(OpenFile):
    """A file to which readouts are appended.

    Args:
        path: the new file.
        layout: what all readouts have in common.
        names: of the slots.
        compression: of the values.
        about: attributes of the file.

    Attributes:
        path: where it is.
        readouts: how many are in it, safe from a crash of this process.
        last: those of them in the last chunk, which a write that fails may damage.
        is_broken: whether HDF5 cannot go on with it.

    Raises:
        FileExistsError: there is such a file.
        ComponentError: h5py is not installed.
        OSError: it cannot be made.
    """

    def __init__(
        self,
        path: Path,
        layout: ReadoutLayout,
        names: Sequence[str],
        compression: Hdf5Compression,
        about: Mapping[str, str | int],
    ) -> None:
        self.readouts = 0
        self.last: list[Readout] = []
        self.is_broken = False
        self.layout = layout
        self.path = path
        self._compression = compression
        self._stored_bytes = 0
        h5py = load_h5py()
        self._fd = create_held(path)
        try:
            _check_space(self._fd, 0)
            self._file: Any = h5py.File(path, "w", libver=("v110", "v110"))
            self._make(names, about)
            self._file.swmr_mode = True
        except BaseException:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    def _make(self, names: Sequence[str], about: Mapping[str, str | int]) -> None:
        layout = self.layout
        group = self._file.create_group(GROUP)
        group.attrs.update({"layout": LAYOUT_VERSION, "reasons": list(REASONS), "topic": layout.topic, **about})
        station, _, component = layout.topic.partition(".")[2].rpartition(".")
        slot_names = list(names) if len(names) == layout.slots else [str(slot) for slot in range(layout.slots)]
        group.attrs.update({"station": station, "component": component, "slots": slot_names})
        group.attrs.update({"unit": layout.unit, "scale": layout.scale, "offset": layout.offset})

        # All datasets have chunks of as many readouts: what stands in the last one is in `last` too.
        self._chunk = min(max(1, _CHUNK_BYTES // max(1, layout.readout_bytes)), _MAX_CHUNK_ROWS)

        def create(name: str, dtype: str, *row: int, **more: Any) -> Any:
            chunk = (self._chunk, *[max(1, each) for each in row])
            return group.create_dataset(
                name, (0, *row), dtype, maxshape=(None, *row), chunks=chunk, fletcher32=True, **more
            )

        self._datasets = [
            create("number", "u8"), create("epoch", "u4"), create("time_ns", "i8"), create("received_ns", "i8"),
            create("reason", "u1", fillvalue=_NOT_WRITTEN), create("present", "u1", -(-layout.slots // 8)),
        ]  # fmt: skip
        more = {} if self._compression is Hdf5Compression.NONE else {"compression": self._compression.value}
        if self._compression is Hdf5Compression.GZIP:
            more["compression_opts"] = 1  # type: ignore[assignment]  # a level; higher ones cost more than they save
        self._datasets.append(
            create("data", np.dtype(layout.type).newbyteorder("<").str, layout.slots, *layout.row, **more)
        )

    @property
    def size_bytes(self) -> int:
        """About its size when it is finished."""
        return self._stored_bytes + _OVERHEAD_BYTES

    def append(self, readouts: Sequence[Readout]) -> None:
        """Append *readouts*, all of this layout; they are safe from a crash of this process then.

        Raises:
            OSError: the disk does not take them; none is in the file, which must be finished if `is_broken` is set.
        """
        layout, count = self.layout, len(readouts)
        values = np.full((count, layout.slots, *layout.row), _fill(layout.type), np.dtype(layout.type))
        present = np.zeros((count, layout.slots), bool)
        for index, readout in enumerate(readouts):
            values[index, readout.slots] = readout.values
            present[index, readout.slots] = True
        _check_space(self._fd, values.nbytes)
        numbers = zip(*[readout.numbers for readout in readouts], strict=True)
        columns = [*map(list, numbers), np.packbits(present, axis=1, bitorder="little"), values]
        try:
            for index, dataset in enumerate(self._datasets):
                if index != _REASON:
                    self._extend(dataset, columns[index], count)
            self._file.flush()
            # It is the last to grow: a readout is in the file when it is.
            self._extend(self._datasets[_REASON], columns[_REASON], count)
            self._file.flush()
            self._stored_bytes = sum(each.id.get_storage_size() for each in self._datasets)
        except HDF5_ERRORS as error:
            self.is_broken = True
            raise _system_error(error, self.path) from error
        self.readouts += count
        kept = self.readouts % self._chunk
        self.last = [*self.last, *readouts][-kept:] if kept else []

    def _extend(self, dataset: Any, column: Any, count: int) -> None:
        dataset.resize(self.readouts + count, axis=0)
        dataset[self.readouts :] = np.asarray(column, dataset.dtype)

    def is_in_place(self) -> bool:
        """Return whether its path still leads to it, and it can get its name."""
        try:
            return not self.is_broken and os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def finish(self) -> None:
        """Close the file, without the holes that growing has left in it; all of it is on the disk then.

        Raises:
            OSError: the disk refuses that.
        """
        if self._file is not None and not self.is_broken:
            _check_space(self._fd, 0)
            try:
                self._file.flush()
                self._file.close()
            except HDF5_ERRORS:
                self.is_broken = True  # nothing was missing in it; it is copied at the next start
            else:
                self._file = None
        if self._fd >= 0:
            if not self.is_broken and os.fstat(self._fd).st_size > _WASTE * self.size_bytes and self.is_in_place():
                os.replace(copied(self.path, self.readouts), self.path)
            os.fsync(self._fd)
            self.close()

    def close(self) -> None:
        """Hold it no longer; one that is not finished stays as its last flush has left it."""
        if self._file is not None:
            file, self._file = self._file, None
            _close_without_writing(file)
        super().close()


def _close_without_writing(file: Any) -> None:
    """Close a file of HDF5 that its disk does not take.

    A close that fails ends the whole process some time later, so what HDF5 still writes goes into nameless memory.
    """
    with tempfile.TemporaryFile() as elsewhere, suppress(*HDF5_ERRORS):
        os.dup2(elsewhere.fileno(), file.id.get_vfd_handle(), inheritable=False)
        file.close()


def _fill(kind: str) -> float | int:
    return np.nan if kind.startswith("float") else 0


def _check_space(fd: int, needed_bytes: int) -> None:
    """Raise the error of a full disk before HDF5 sees it.

    Raises:
        OSError: it is full.
    """
    found = os.fstatvfs(fd)
    if found.f_bavail * found.f_frsize < needed_bytes + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _system_error(error: Exception, path: Path) -> OSError:
    """Return the error of the system that HDF5 speaks of."""
    number = error.errno if isinstance(error, OSError) and error.errno else None
    found = _ERRNO.search(str(error))
    number = number or (int(found[1]) if found else errno.EIO)
    return OSError(number, os.strerror(number), str(path))


def copied(source: Path, rows: int | None = None) -> Path:
    """Return a new file beside *source* with its first *rows* readouts, all on the disk; by default as many as it has.

    Raises:
        ContainerError: *source* cannot be read.
        OSError: the disk does not take the copy; there is none then.
    """
    h5py = load_h5py()
    target = source.with_name(f".{source.name}.copy")  # of a copy that a crash has ended
    try:
        opened = h5py.File(source, "r", swmr=True)
    except OSError as error:
        raise ContainerError(f"{source} cannot be read as HDF5: {str(error)[:200]}") from error
    try:
        with opened, h5py.File(target, "w", libver=("v110", "v110")) as copy:
            _copy(opened[GROUP], copy.create_group(GROUP), rows)
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except HDF5_ERRORS as error:
        target.unlink(missing_ok=True)
        raise _system_error(error, target) from error
    return target


def _copy(source: Any, target: Any, rows: int | None) -> None:
    target.attrs.update(dict(source.attrs))
    count = readable(source) if rows is None else rows
    for name, dataset in source.items():
        made = target.create_dataset(
            name, (count, *dataset.shape[1:]), dataset.dtype, maxshape=dataset.maxshape, chunks=dataset.chunks,
            fletcher32=True, compression=dataset.compression, compression_opts=dataset.compression_opts,
            fillvalue=dataset.fillvalue,
        )  # fmt: skip
        for begin, end in _steps(dataset, count, _COPY_BYTES):
            try:
                made[begin:end] = dataset[begin:end]
            except HDF5_ERRORS:
                for first, last in _steps(dataset, end, 1, begin):
                    made[first:last] = _rows(dataset, first, last)


def _rows(dataset: Any, begin: int, end: int) -> Any:
    """Return rows of one chunk; where its checksum is wrong what stands in it, if nothing is compressed.

    A chunk is written again with each readout that comes to it. A kill may cut such a write short, behind which the
    chunk has its old bytes: those of readouts that were written before are the same in both.
    """
    try:
        return dataset[begin:end]
    except HDF5_ERRORS:
        if dataset.compression is not None:
            raise
        _, data = dataset.id.read_direct_chunk((begin, *[0] * (dataset.ndim - 1)))
        return np.frombuffer(data[:-_CHECKSUM_BYTES], dataset.dtype).reshape(dataset.chunks)[: end - begin]


def _steps(dataset: Any, count: int, size_bytes: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where pieces of a dataset begin and end that are whole chunks, of about so many bytes."""
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    rows = max(1, size_bytes // row_bytes // dataset.chunks[0]) * dataset.chunks[0]
    for begin in range(first, count, rows):
        yield begin, min(begin + rows, count)


def _was_begun(part: Path) -> bool:
    """Return whether *part* may have a readout: before the first one a file is not in SWMR mode yet."""
    try:
        load_h5py().File(part, "r", swmr=True).close()
    except OSError as error:
        return _NOT_SWMR not in str(error)
    return True


def readable(group: Any) -> int:
    """Return how many readouts of a file can be read from all its datasets: a crash may have kept a chunk from it."""
    count = min(len(dataset) for dataset in group.values())
    for dataset in group.values():
        for begin, end in _steps(dataset, count, 1):
            if not _is_written(dataset, begin, end):
                count = begin
                break
    return min(count, _written(group["reason"], count))


def _written(reasons: Any, count: int | None = None) -> int:
    """Return how many readouts were written to their end, of the first *count*; all where that cannot be read."""
    try:
        rows = [_rows(reasons, *step) for step in _steps(reasons, len(reasons) if count is None else count, 1)]
    except HDF5_ERRORS:
        return len(reasons)
    unwritten = np.concatenate([np.empty(0, np.uint8), *rows]) == _NOT_WRITTEN
    return int(np.argmax(unwritten)) if unwritten.any() else len(unwritten)


def _is_written(dataset: Any, begin: int, end: int) -> bool:
    """Return whether a chunk is there: HDF5 reads zeros in place of one that is not."""
    try:
        where = dataset.id.get_chunk_info_by_coord((begin, *[0] * (dataset.ndim - 1)))
        _rows(dataset, begin, end)
    except HDF5_ERRORS:
        return False
    return where.byte_offset is not None


def recover_readouts(part: Path, log: logging.Logger) -> Path | None:
    """Return a whole file with the readouts of *part*, which a crash has left; None when it has none.

    Where some cannot be read, *part* itself is set aside.

    Raises:
        BlockingIOError: another process writes it.
        ContainerError: it cannot be read.
        OSError: the disk refuses it.
    """
    fd = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        hold(fd)
        if not os.fstat(fd).st_size or (os.fstat(fd).st_size < _SPARE_BYTES and not _was_begun(part)):
            return None
        copy = copied(part)
    finally:
        os.close(fd)
    h5py = load_h5py()
    with h5py.File(copy, "r") as found, h5py.File(part, "r", swmr=True) as opened:
        count = len(found[GROUP]["number"])
        known = _written(opened[GROUP]["reason"])
    if count < known:
        aside = part.with_name(f".{part.name}{TORN}{time.time_ns()}")
        part.rename(aside)
        log.error("%s: the last %d of %d readouts cannot be read; it is kept as %s", part, known - count, known, aside)
    if not count:
        copy.unlink()
        return None
    return copy
