"""The quick way to miniSEED 2 records: many of one stream at once, with compiled code where that is there.

`Packer` makes the same, several times slower; see ``docs/decisions/steim2.md``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.native import steim2
from rawdaq.packet import Samples


def is_compiled() -> bool:
    """Whether series can be used; not where there was no C compiler at the installation."""
    return bool(steim2)


class RecordSeries:
    """Records of consecutive samples: their data first, then, as soon as their times are known, their headers.

    Building one encodes the samples; its arguments are

    * ``header``: of one such record, up to its samples, with blockettes 1000 and 1001;
    * ``length_bytes``: of a record;
    * ``samples``: contiguous, of the type that is stored;
    * ``limit``: how many records at most;
    * ``is_last``: whether nothing follows the samples; otherwise only full records are made.

    Attributes:
        counts: how many samples each record holds.
        is_stuck: the next record cannot be made, because a step in it needs more than 30 bits.
    """

    counts: list[int]
    is_stuck = False

    def __init__(self, header: bytes, table: npt.NDArray[np.uint8]) -> None:
        self._header, self._table = header, table

    @property
    def is_full(self) -> bool:
        """Whether there are as many records as there may be."""
        return len(self.counts) == len(self._table)

    def finished(self, first: int, starts_ns: list[int], sequence: int, timing_quality: int | None) -> bytes:
        """Return the records from *first* on that begin at *starts_ns*, complete."""
        end = first + len(starts_ns)
        table, quality = self._table[first:end], -1 if timing_quality is None else int(timing_quality)
        stamp = steim2.stamp  # pyright: ignore[reportOptionalMemberAccess]
        stamp(table, table.shape[1], self._header, sequence, quality, starts_ns, self.counts[first:end])
        return table.tobytes()


class Steim2Series(RecordSeries):
    """Records of int32 samples, compressed."""

    def __init__(self, header: bytes, length_bytes: int, samples: Samples, limit: int, is_last: bool) -> None:
        least = (length_bytes - len(header)) // 64 * 15 - 2  # samples: one in every word that is not something else
        rows = min(limit, samples.size // least + 1)
        super().__init__(header, np.empty((rows, length_bytes), np.uint8))
        encode = steim2.encode  # pyright: ignore[reportOptionalMemberAccess]
        self.counts, fits = encode(samples, self._table, length_bytes, len(header), is_last)
        self.is_stuck = not fits


def steim2_record(
    header: bytes,
    length_bytes: int,
    samples: Samples,
    is_last: bool,
    sequence: int,
    timing_quality: int | None,
    start_ns: int,
) -> tuple[bytes, int]:
    """Return the record that a `Steim2Series` would begin with, complete, and how many samples it holds.

    Where one is to be made, as of streams whose packets come singly, that takes half of the time or less. No bytes, and
    0 samples when it is not full, less than 0 when a step in it needs more than 30 bits.
    """
    quality = -1 if timing_quality is None else int(timing_quality)
    record = steim2.record  # pyright: ignore[reportOptionalMemberAccess]
    return record(samples, header, length_bytes, is_last, sequence, quality, start_ns)


class PlainSeries(RecordSeries):
    """Records of samples as they are, of any type, big-endian."""

    def __init__(self, header: bytes, length_bytes: int, samples: Samples, limit: int, is_last: bool) -> None:
        size = (length_bytes - len(header)) // samples.itemsize
        full = min(samples.size // size, limit)
        rest = samples[full * size :] if is_last and full < limit else samples[:0]
        super().__init__(header, np.empty((min(limit, full + 1), length_bytes), np.uint8))
        self.counts = [size] * full + [rest.size] * bool(rest.size)
        end = len(header) + size * samples.itemsize
        self._table[:, end:] = 0
        data: npt.NDArray[Any] = self._table[:, len(header) : end].view(samples.dtype.newbyteorder(">"))
        data[:full] = samples[: full * size].reshape(full, size)
        if rest.size:
            data[full, : rest.size] = rest
            data[full, rest.size :] = 0
