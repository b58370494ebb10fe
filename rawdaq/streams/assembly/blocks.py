"""Blocks of aligned samples: waveforms of many streams, cut at the same instants, as rows of a readout."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.errors import RawdaqError
from rawdaq.packet import Packet, rate_text
from rawdaq.streams.assembly.groups import Group, Placed
from rawdaq.streams.assembly.values import Part, Rules
from rawdaq.times import NS_PER_S

_TYPE = np.dtype("<f8")  # holds every sample type without loss
_HEAD_BYTES = 4  # before the samples: where a piece begins, or how many samples of a row are there
_WHOLE = 1e-6  # of a sample, by which a block may fail to be whole samples


class StreamRefused(RawdaqError):
    """A stream does not fit into the blocks.

    Args:
        reason: a few words by which it is counted.
        detail: what is wrong with its packet.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


@dataclass
class Grid:
    """Where samples belong: block b begins at b times `block_ns`, and its first sample is there.

    Attributes:
        block_ns: length of a block.
        tolerance: how far, in samples, a sample's time may be from its place.
        rate_hz: of all rows; None: that of the first packet.
        size: samples of a block; 0: not known yet.
    """

    block_ns: int
    tolerance: float
    rate_hz: float | None = None
    size: int = 0

    def pieces(self, slot: int, packet: Packet) -> Iterator[Part]:
        """Yield a packet's samples, cut at the ends of blocks.

        The time of a part is that of its end, and it belongs to the end of its block: so a block is reached when most
        rows are full.

        Raises:
            StreamRefused: its rate is another one, or its samples lie beside their places.
        """
        self._check_rate(packet)
        interval_ns = NS_PER_S / packet.rate_hz
        block, after_ns = divmod(packet.start_ns, self.block_ns)
        index = round(after_ns / interval_ns)
        off = after_ns / interval_ns - index
        if abs(off) > self.tolerance:
            raise StreamRefused(
                "beside the grid",
                f"{packet.stream}: samples lie {off:+.2f} samples beside the grid, tolerance is {self.tolerance:g}",
            )
        samples = packet.samples.astype(_TYPE)
        while samples.size:
            if index == self.size:
                block, index = block + 1, 0
            count = min(samples.size, self.size - index)
            begin_ns = block * self.block_ns
            end_ns = begin_ns + min(self.block_ns, round((index + count) * interval_ns))
            data = index.to_bytes(_HEAD_BYTES, "little") + samples[:count].tobytes()
            yield Part(slot, end_ns, begin_ns + self.block_ns, data, packet.received_ns)
            samples, index = samples[count:], index + count

    def _check_rate(self, packet: Packet) -> None:
        rate_hz = packet.rate_hz
        if self.rate_hz is not None and abs(rate_hz / self.rate_hz - 1) > _WHOLE:
            text = f"{packet.stream} has {rate_text(rate_hz)} Hz, the others {rate_text(self.rate_hz)} Hz"
            raise StreamRefused("another rate", text)
        if not self.size:
            samples = rate_hz * self.block_ns / NS_PER_S
            if samples < 1 - _WHOLE or abs(samples - round(samples)) > _WHOLE:
                text = f"{packet.stream} has {rate_text(rate_hz)} Hz: a block would have {samples:g} samples"
                raise StreamRefused("no whole block", f"{text}; choose block_s so that they are whole")
            self.rate_hz, self.size = rate_hz, round(samples)


class Block(Group):
    """Rows that are filled piece by piece; a slot is whole when all samples of its row are there.

    Args:
        grid: knows how many samples a row has.
        at_ns: the end of the block.
        opened_ns: when its first piece came.
        received_ns: the same in UTC.
    """

    __slots__ = ("_counts", "_rows", "_size", "_there")

    def __init__(self, grid: Grid, at_ns: int, opened_ns: int, received_ns: int) -> None:
        super().__init__(at_ns, opened_ns, received_ns)
        self._rows: dict[int, npt.NDArray[Any]] = {}
        self._there: dict[int, npt.NDArray[np.bool_]] = {}
        self._counts: dict[int, int] = {}
        self._size = grid.size

    def put(self, part: Part, bit: int, rules: Rules) -> Placed:
        """Take the samples of a piece that are not there yet; of others the first ones stay, or the last ones."""
        begin = int.from_bytes(part.data[:_HEAD_BYTES], "little")
        samples = np.frombuffer(part.data, _TYPE, offset=_HEAD_BYTES)
        row = self._rows.get(part.slot)
        if row is None:
            row = self._rows[part.slot] = np.full(self._size, np.nan, _TYPE)
            self._there[part.slot] = np.zeros(self._size, bool)
            self._counts[part.slot] = 0
            self.size_bytes += row.nbytes
        piece = slice(begin, begin + samples.size)
        there, known = self._there[part.slot][piece], row[piece]
        is_same = np.array_equal(known[there], samples[there], equal_nan=True)
        is_new = not there.all()
        if rules.keeps_last:
            known[:] = samples
        else:
            known[~there] = samples[~there]
        there[:] = True
        if is_new:
            self._counts[part.slot] += 1
            if self._there[part.slot].all():
                self.mask |= bit
            return Placed.ADDED
        return Placed.COPY if is_same else Placed.CONFLICT

    def counts(self) -> Iterator[tuple[int, int]]:
        """Yield each slot and how many parts of it are here."""
        return iter(self._counts.items())

    def rows(self) -> tuple[list[int], list[bytes]]:
        """Return the slots, ascending, and their data: how many samples are there, and the samples."""
        slots = sorted(self._rows)
        counts = [int(self._there[slot].sum()).to_bytes(_HEAD_BYTES, "little") for slot in slots]
        return slots, [count + self._rows[slot].tobytes() for count, slot in zip(counts, slots, strict=True)]


def filled_rows(rows: list[bytes] | tuple[bytes, ...]) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Return how many samples each row of a `Block` has, and the rows: [rows, samples], NaN where absent."""
    filled = [int.from_bytes(row[:_HEAD_BYTES], "little") for row in rows]
    return filled, np.array([np.frombuffer(row, _TYPE, offset=_HEAD_BYTES) for row in rows])
