"""The readouts of a finished file of HDF5, as `Hdf5Publisher` recognises them after a crash."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from rawdaq.container.errors import ContainerError
from rawdaq.container.format.readouts import readout_identity
from rawdaq.container.readout_file import GROUP, HDF5_ERRORS, load_h5py

_NUMBERS: Final = ("number", "epoch", "time_ns", "received_ns", "reason")  # as `Readout.numbers`
_ERRORS: Final = (*HDF5_ERRORS, KeyError)


class StoredReadouts:
    """What is in a file, until `close` or to the end of a ``with``.

    Args:
        path: the file.

    Attributes:
        about: the attributes of the group with the readouts.

    Raises:
        FileNotFoundError: there is no such file.
        ContainerError: it is no file of readouts, or HDF5 cannot read it.
        ComponentError: h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        h5py = load_h5py()
        try:
            self._file: Any = h5py.File(path, "r")
        except FileNotFoundError:
            raise
        except _ERRORS as error:
            raise self._unreadable(error) from error
        try:
            self._group: Any = self._file[GROUP]
            self.about: Mapping[str, Any] = dict(self._group.attrs)
            self._count = len(self._group["number"])
        except _ERRORS as error:
            self._file.close()
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> ContainerError:
        return ContainerError(f"{self._path} cannot be read as readouts in HDF5: {str(error)[:200]}")

    def __len__(self) -> int:
        """Return how many readouts there are."""
        return self._count

    def identities(self, begin: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield what `readout_identity` returns of the readouts from one on, with their places.

        Raises:
            ContainerError: HDF5 cannot read one.
        """
        try:
            step = int(self._group["data"].chunks[0])
            for start in range(begin, self._count, step):
                yield from self._rows(start, min(start + step, self._count))
        except _ERRORS as error:
            raise self._unreadable(error) from error

    def _rows(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        group, rows = self._group, slice(start, end)
        topic, values = str(self.about["topic"]), group["data"][rows]
        columns = zip(*[group[name][rows].tolist() for name in _NUMBERS], strict=True)
        present = np.unpackbits(group["present"][rows], axis=1, count=values.shape[1], bitorder="little")
        for index, numbers in enumerate(columns):
            slots = np.flatnonzero(present[index])
            yield start + index, readout_identity(topic, numbers, slots, values[index][slots])

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()
