"""The quick way to miniSEED 2 records: many of one stream at once, with compiled code where that is there.

`Packer` makes the same, several times slower; see ``docs/decisions/steim2.md``.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rawdaq.native import steim2
from rawdaq.packet import Samples

#: The data of records of consecutive samples, whose headers `stamp` writes as soon as their times are known: a table
#: with one row for each record and perhaps some that are not used; how many samples each record holds; and whether the
#: next record cannot be made, because a step in it needs more than 30 bits.
Series: TypeAlias = tuple[npt.NDArray[np.uint8], list[int], bool]


def is_compiled() -> bool:
    """Return whether series can be made; not where there was no C compiler at the installation."""
    return bool(steim2)


def steim2_series(header_bytes: int, length_bytes: int, samples: Samples, limit: int, is_last: bool) -> Series:
    """Return records of int32 samples, compressed.

    Args:
        header_bytes: length of a header.
        length_bytes: length of a record.
        samples: contiguous, of the type that is stored.
        limit: how many records at most.
        is_last: whether nothing follows the samples; otherwise only full records are made.
    """
    least = (length_bytes - header_bytes) // 64 * 15 - 2  # samples: one in every word that is not something else
    table = np.empty((min(limit, samples.size // least + 1), length_bytes), np.uint8)
    encode = steim2.encode  # pyright: ignore[reportOptionalMemberAccess]
    counts, fits = encode(samples, table, length_bytes, header_bytes, is_last)
    return table, counts, not fits


def plain_series(header_bytes: int, length_bytes: int, samples: Samples, limit: int, is_last: bool) -> Series:
    """Return records of samples as they are, of any type, big-endian; the arguments are those of `steim2_series`."""
    size = (length_bytes - header_bytes) // samples.itemsize
    full = min(samples.size // size, limit)
    rest = samples[full * size :] if is_last and full < limit else samples[:0]
    table = np.empty((min(limit, full + 1), length_bytes), np.uint8)
    end = header_bytes + size * samples.itemsize
    table[:, end:] = 0
    data: npt.NDArray[Any] = table[:, header_bytes:end].view(samples.dtype.newbyteorder(">"))
    data[:full] = samples[: full * size].reshape(full, size)
    if rest.size:
        data[full, : rest.size] = rest
        data[full, rest.size :] = 0
    return table, [size] * full + [rest.size] * bool(rest.size), False


def stamp(
    table: npt.NDArray[np.uint8],
    header: bytes,
    starts_ns: list[int],
    counts: list[int],
    sequence: int,
    timing_quality: int | None,
) -> bytes:
    """Return the records of *table*, complete.

    Args:
        table: some rows of a `Series`.
        header: of one such record, up to its samples, with blockettes 1000 and 1001.
        starts_ns: time of the first sample of each record.
        counts: how many samples each record holds.
        sequence: number of the first record.
        timing_quality: of all of them, None to say nothing of it.
    """
    quality = -1 if timing_quality is None else int(timing_quality)
    write = steim2.stamp  # pyright: ignore[reportOptionalMemberAccess]
    write(table, table.shape[1], header, sequence, quality, starts_ns, counts)
    return table.tobytes()
