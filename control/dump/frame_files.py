"""Files of frames: one array of all of them as ``.npy``, or data and numbers in HDF5."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.container.readout_file import load_h5py
from rawdaq.control.dump.frames import Arrival
from rawdaq.errors import InvalidValue


def frame_file(path: Path) -> "FrameFile":
    """Return the file that *path* names by its suffix.

    Raises:
        InvalidValue: there is no such kind of file.
        ComponentError: what writes it is not installed.
    """
    match path.suffix.lower():
        case ".npy":
            return NpyFile(path)
        case ".h5" | ".hdf5":
            return Hdf5File(path)
        case _:
            raise InvalidValue(f"{path} is neither .npy nor .h5")


def _array(arrival: Arrival) -> npt.NDArray[Any]:
    """Return the array of a frame.

    Raises:
        InvalidValue: its header does not describe its data.
    """
    keys = arrival.keys or {}
    try:
        order = "<" if keys.get("encoding", keys.get("endianess", "little")) == "little" else ">"
        dtype = np.dtype(keys["type"]).newbyteorder(order) if keys else np.dtype(np.uint8)
        array = np.frombuffer(arrival.data, dtype)
        return array.reshape(tuple(keys["shape"])) if keys else array
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValue(
            f"frame {arrival.frame} cannot be written: type, shape and data do not fit: {error}"
        ) from error


class FrameFile:
    """A file that frames are written to; keeps what all of them have in common."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shape: tuple[int, ...] | None = None
        self._dtype: np.dtype[Any] | None = None

    def write(self, arrival: Arrival) -> None:
        """Write a frame.

        Raises:
            InvalidValue: it has another shape or type than the first one, or no array.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Finish the file."""
        raise NotImplementedError

    def _checked(self, arrival: Arrival) -> npt.NDArray[Any]:
        array = _array(arrival)
        if self._shape is None:
            self._shape, self._dtype = array.shape, array.dtype
        elif (array.shape, array.dtype) != (self._shape, self._dtype):
            raise InvalidValue(
                f"frame {arrival.frame} is {array.dtype} {array.shape}, those before are {self._dtype} {self._shape}: "
                "a file has one kind"
            )
        return array


class NpyFile(FrameFile):
    """One array with all frames, which ``numpy.load`` reads; it grows as they come."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path.open("wb")
        self._count = 0

    def write(self, arrival: Arrival) -> None:
        """Append a frame."""
        array = self._checked(arrival)
        if not self._count:
            self._write_header()
        self._file.write(array.tobytes())
        self._count += 1

    def _write_header(self) -> None:
        assert self._shape is not None and self._dtype is not None  # noqa: S101, PT018 - a frame came
        self._file.seek(0)
        # NumPy leaves room for the first dimension to grow, so the header keeps its length.
        described = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, described | {"shape": (self._count, *self._shape)})
        self._file.seek(0, 2)

    def close(self) -> None:
        """Write how many frames there are."""
        if self._count:
            self._write_header()
        self._file.close()


class Hdf5File(FrameFile):
    """Datasets ``data`` and ``frame``, the numbers, which grow as frames come."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file: Any = load_h5py().File(path, "w")
        self._data: Any = None
        self._numbers: Any = None

    def write(self, arrival: Arrival) -> None:
        """Append a frame."""
        array = self._checked(arrival)
        if self._data is None:
            shape = array.shape
            create = self._file.create_dataset
            self._data = create("data", (0, *shape), array.dtype, maxshape=(None, *shape), chunks=(1, *shape))
            self._numbers = create("frame", (0,), "int64", maxshape=(None,))
        count = len(self._data)
        for dataset, value in ((self._data, array), (self._numbers, arrival.frame)):
            dataset.resize(count + 1, axis=0)
            dataset[count] = value

    def close(self) -> None:
        """Close the file."""
        self._file.close()
