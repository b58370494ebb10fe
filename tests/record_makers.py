"""Records one by one, for tests that look at each."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from obspy import read
from pymseed import DataEncoding, MS3Record

from rawdaq.miniseed import maker as records
from rawdaq.miniseed.format import Record, RecordFormat, RecordRun
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time
from tests.makers import START_NS, STREAM

NOISE: npt.NDArray[np.int32] = np.random.default_rng(7).normal(0, 300, 5000).cumsum().astype(np.int32)


class RecordMaker(records.RecordMaker):
    """A maker whose runs are taken apart."""

    def add(  # type: ignore[override]
        self, packets: Iterable[Packet | PacketRun], now_ns: int, at_once: int = 1
    ) -> list[Record]:
        return [record for run in super().add(packets, now_ns, at_once) for record in run]

    def take(self) -> list[Record]:  # type: ignore[override]
        return [record for run in super().take() for record in run]

    def flush_due(self, now_ns: int) -> list[Record]:  # type: ignore[override]
        return [record for run in super().flush_due(now_ns) for record in run]

    def flush(self) -> list[Record]:  # type: ignore[override]
        return [record for run in super().flush() for record in run]


def as_runs(some: Sequence[Record], rate_hz: float = 100.0) -> list[RecordRun]:
    """Return a run for each of *some* records."""
    return [RecordRun(one.stream, [one.start_ns], [one.sample_count], rate_hz, one.data) for one in some]


def packets(
    samples: npt.NDArray[Any],
    rate_hz: float = 100.0,
    size: int = 100,
    quality: int | None = 100,
    start_ns: int = START_NS,
    stream: StreamId = STREAM,
) -> list[Packet]:
    """Return *samples* as packets of *size*."""
    return [
        Packet(stream, sample_time(start_ns, first, rate_hz), rate_hz, samples[first : first + size], quality)
        for first in range(0, samples.size, size)
    ]


def make(given_packets: Iterable[Packet], record_format: RecordFormat | None = None) -> list[Record]:
    """Return the records of *given_packets*, one `add` for each."""
    maker = RecordMaker(record_format or RecordFormat())
    made = [record for packet in given_packets for record in maker.add([packet], 0)]
    return made + maker.flush()


def parsed(record: Record) -> MS3Record:
    return MS3Record.parse(record.data, unpack_data=True)


def values(records: Sequence[Record]) -> npt.NDArray[Any]:
    """Return all samples in *records* as libmseed decodes them."""
    return np.concatenate([np.array(parsed(record).np_datasamples) for record in records])


def obspy_read(records: Sequence[Record]) -> list[Any]:
    """Return *records* as ObsPy's traces."""
    stream: Any = read(io.BytesIO(b"".join(record.data for record in records)), format="MSEED")
    return list(stream)


def encodings(records: Sequence[Record]) -> list[DataEncoding]:
    return [DataEncoding(parsed(record).encoding) for record in records]


def after(shift_ns: int = 0, rate_hz: float = 100.0, kind: str = "int32") -> list[Packet]:
    """Return 50 samples, and 50 that start *shift_ns* later than they would without a gap."""
    samples = NOISE[:50].astype(np.int32)
    return [
        Packet(STREAM, START_NS, 100.0, samples),
        Packet(STREAM, START_NS + 500_000_000 + shift_ns, rate_hz, samples.astype(kind)),
    ]
