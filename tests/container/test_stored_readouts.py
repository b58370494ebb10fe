"""The readouts of a finished file of HDF5 are what their messages were."""

from pathlib import Path

import numpy as np
import pytest

from rawdaq.container.errors import ContainerError
from rawdaq.container.format.readouts import Readout, ReadoutLayout, readout_identity
from rawdaq.container.readout_file import Hdf5Compression, ReadoutFile, load_h5py
from rawdaq.container.stored_readouts import StoredReadouts

LAYOUT = ReadoutLayout("~readout.XX.A.B", "float32", (2,), 9, "", 1.0, 0.0)


def readout(number: int, *slots: int) -> Readout:
    values = np.full((len(slots), 2), np.nan if number == 2 else number, "<f4")
    return Readout(LAYOUT, list(slots), values, (number, 1, -number, number, 0x80), [])


def test_stored_readouts_are_those_of_the_messages(tmp_path: Path) -> None:
    readouts = [readout(0, 0, 8), readout(1), readout(2, 3), *(readout(each, each % 9) for each in range(3, 3000))]
    with ReadoutFile(tmp_path / "x", LAYOUT, [], Hdf5Compression.LZF, {"first": 7, "series": "ab"}) as file:
        file.append(readouts)
        file.finish()
    with StoredReadouts(tmp_path / "x") as stored:
        assert (len(stored), stored.about["first"], stored.about["series"]) == (3000, 7, "ab")
        expected = [readout_identity(LAYOUT.topic, each.numbers, each.slots, each.values) for each in readouts]
        assert [*stored.identities()] == [*enumerate(expected)]
        assert [*stored.identities(2998)] == [*enumerate(expected)][2998:]
    assert len(set(expected)) == 3000


def test_files_of_others_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StoredReadouts(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"no HDF5")
    with pytest.raises(ContainerError, match="cannot be read as readouts"):
        StoredReadouts(tmp_path / "x")
    with load_h5py().File(tmp_path / "y", "w") as file:
        file.create_group("readouts/number")
    with StoredReadouts(tmp_path / "y") as stored, pytest.raises(ContainerError, match="cannot be read as readouts"):
        next(stored.identities())
    with load_h5py().File(tmp_path / "z", "w"):
        pass
    with pytest.raises(ContainerError, match="cannot be read as readouts"):
        StoredReadouts(tmp_path / "z")
