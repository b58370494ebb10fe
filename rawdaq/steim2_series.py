"""The quick way to records of STEIM2 samples, where compiled code is there for it: `rawdaq.steim2`.

`Packer` makes the same bytes, five times slower; see ``docs/decisions/steim2.md``.
"""

import numpy as np

from rawdaq.packet import Samples

try:
    from rawdaq import steim2
except ImportError:
    steim2 = None  # type: ignore[assignment]  # mypy has no other way to say it


def is_compiled() -> bool:
    """Whether `Steim2Series` can be used; not where there was no C compiler at the installation."""
    return bool(steim2)


class Steim2Series:
    """Records of consecutive samples: their data first, then, as soon as their times are known, their headers.

    Args:
        header: of one such record, up to its samples, with blockettes 1000 and 1001.
        length_bytes: of a record.
        samples: int32, contiguous.
        limit: how many records at most.
        is_last: whether nothing follows the samples; otherwise only full records are made.

    Attributes:
        counts: how many samples each record holds.
        is_stuck: the next record cannot be made, because a step in it needs more than 30 bits.
        is_full: whether there are as many records as there may be.
    """

    def __init__(self, header: bytes, length_bytes: int, samples: Samples, limit: int, is_last: bool) -> None:
        self._header, self._length_bytes = header, length_bytes
        least = (length_bytes - len(header)) // 64 * 15 - 2  # samples: one in every word that is not something else
        rows = min(limit, samples.size // least + 1)
        self._table = np.empty((rows, length_bytes), np.uint8)
        encode = steim2.encode  # pyright: ignore[reportOptionalMemberAccess]
        self.counts, fits = encode(samples, self._table, length_bytes, len(header), is_last)
        self.is_stuck = not fits
        self.is_full = len(self.counts) == rows

    def finished(self, first: int, starts_ns: list[int], sequence: int, timing_quality: int | None) -> bytes:
        """Return the records from *first* on that begin at *starts_ns*, complete."""
        end = first + len(starts_ns)
        table, quality = self._table[first:end], -1 if timing_quality is None else timing_quality
        stamp = steim2.stamp  # pyright: ignore[reportOptionalMemberAccess]
        stamp(table, self._length_bytes, self._header, sequence, quality, starts_ns, self.counts[first:end])
        return table.tobytes()
