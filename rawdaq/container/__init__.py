"""Container files (``.rdc``): objects of any kind in blocks that stand alone, written, read while they grow, repaired.

`format` knows the bytes and does no I/O; `file` and `writer` append, `reader` and `sof` read, `sequence` is what both
readers can do, and `export` writes other formats.
"""

from rawdaq.container.errors import BlockDamaged, ContainerError
from rawdaq.container.reader import ContainerReader
from rawdaq.container.sof import SofReader
from rawdaq.container.writer import ContainerWriter

__all__ = ["BlockDamaged", "ContainerError", "ContainerReader", "ContainerWriter", "SofReader"]
