"""Waveforms of readouts: each channel of each slot is a stream with the samples of one readout after another."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.streams.assembly.values import Readout
from rawdaq.times import NS_PER_S, is_contiguous, span_ns

#: Readouts are kept until a block is full, but no more bytes than this.
_MAX_BYTES = 64_000_000


class Waveforms:
    """Collects readouts that follow each other, and gives them as packets.

    Args:
        streams: of each slot the stream of each channel.
        rate_hz: samples of a channel in a second.
        block_s: packets have at least so much, unless there is a gap.
        from_arrival: the device's time is not UTC, so it is mapped by the arrivals.
    """

    def __init__(
        self, streams: Sequence[Sequence[StreamId]], rate_hz: float, block_s: float, *, from_arrival: bool
    ) -> None:
        self._streams, self._rate_hz = streams, rate_hz
        self.block_s = block_s
        self._block_ns, self._from_arrival = round(block_s * NS_PER_S), from_arrival
        self._run: list[tuple[Readout, npt.NDArray[Any]]] = []
        self._run_bytes = 0
        self._offset_ns: int | None = None
        self._epoch = 0

    @property
    def is_waiting(self) -> bool:
        """Whether readouts wait for their block to be full."""
        return bool(self._run)

    def add(self, readout: Readout, values: npt.NDArray[Any]) -> list[Packet]:
        """Take a readout and its values, [rows, channels] or [rows, channels, samples]; return what is complete.

        A fragment that came late belongs to no run: it is published at once.
        """
        if readout.late:
            return self._packets([(readout, values)])
        done = self.flush() if self._run and not self._continues(readout, values) else []
        self._note_time(readout)
        self._run.append((readout, values))
        self._run_bytes += values.nbytes
        span = readout.time_ns - self._run[0][0].time_ns + span_ns(_samples(values), self._rate_hz)
        # Half a sample less: the time of readouts has jitter.
        is_full = span + span_ns(0.5, self._rate_hz) > self._block_ns or self._run_bytes > _MAX_BYTES
        return done + self.flush() if is_full else done

    def flush(self) -> list[Packet]:
        """Return what is there."""
        run, self._run, self._run_bytes = self._run, [], 0
        return self._packets(run) if run else []

    def _note_time(self, readout: Readout) -> None:
        """Map the device's time to UTC, where it is another one."""
        if readout.epoch != self._epoch:
            self._epoch, self._offset_ns = readout.epoch, None
        if self._from_arrival:
            offset_ns = readout.received_ns - readout.time_ns
            self._offset_ns = offset_ns if self._offset_ns is None else min(self._offset_ns, offset_ns)

    def _continues(self, readout: Readout, values: npt.NDArray[Any]) -> bool:
        """Whether a readout is where the run ends, to half a sample."""
        last, there = self._run[-1]
        if readout.epoch != last.epoch or values.shape[1:] != there.shape[1:]:
            return False
        return is_contiguous(readout.time_ns, last.time_ns + span_ns(_samples(there), self._rate_hz), self._rate_hz)

    def _packets(self, run: Sequence[tuple[Readout, npt.NDArray[Any]]]) -> list[Packet]:
        """Return packets of each stream of the readouts of *run*, which follow each other; absent rows are gaps."""
        slots = sorted({slot for readout, _ in run for slot in readout.slots})
        rows = {slot: row for row, slot in enumerate(slots)}
        channels, samples = run[0][1].shape[1], _samples(run[0][1])
        dtype = _sample_type(run[0][1].dtype)
        block = np.zeros((len(slots), channels, len(run), samples), dtype)
        is_there = np.zeros((len(slots), len(run)), bool)
        for index, (readout, values) in enumerate(run):
            present = [rows[slot] for slot in readout.slots]
            block[present, :, index] = values.reshape(len(present), channels, samples)
            is_there[present, index] = True
        found: list[Packet] = []
        for slot, row in rows.items():
            for begin, end in _segments(is_there[row]):
                received_ns = run[end - 1][0].received_ns
                start_ns = run[begin][0].time_ns + (self._offset_ns or 0)
                found += self._of_slot(slot, block[row, :, begin:end].reshape(channels, -1), start_ns, received_ns)
        return found

    def _of_slot(self, slot: int, samples: npt.NDArray[Any], start_ns: int, received_ns: int) -> Iterator[Packet]:
        """Yield a packet of each channel of a slot."""
        data = memoryview(samples.tobytes())
        size_bytes = len(data) // len(samples)
        for channel, stream in enumerate(self._streams[slot]):
            piece = data[channel * size_bytes : (channel + 1) * size_bytes]
            yield Packet.trusted(stream, start_ns, self._rate_hz, samples.dtype, piece, None, 0, received_ns)


def _segments(is_there: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where runs of true values begin and end.

    >>> _segments(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    if is_there.all():
        return [(0, len(is_there))]
    edges = np.flatnonzero(np.diff(is_there, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _samples(values: npt.NDArray[Any]) -> int:
    """Return how many samples a channel has in a readout."""
    return int(values.shape[2]) if values.ndim == 3 else 1


def _sample_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a type that samples can have: codes as int32, or as float64 where these do not fit."""
    if dtype.kind == "f":
        return dtype.newbyteorder("<")
    return np.dtype("<i4" if dtype.itemsize < 4 or (dtype.kind == "i" and dtype.itemsize == 4) else "<f8")
