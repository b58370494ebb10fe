"""Hdf5Publisher: readouts in HDF5 files that follow each other.

`publisher` is all of it; the files are those of `rawdaq.container.readout_file`, the rotation that of `rawdaq.disk`.
"""

from rawdaq.publishers.hdf5.publisher import Hdf5Publisher

__all__ = ["Hdf5Publisher"]
