"""Waveform files for tests, and the samples in them as (time, value) pairs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rawdaq.miniseed.maker import RecordFormat, RecordMaker, RecordRun
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time
from tests.makers import START_NS, STREAM

NORTH = StreamId("XX", "DEMO", "00", "HHN")
EAST = StreamId("XX", "DEMO", "00", "HHE")


def records(packets: Iterable[Packet], version: int = 2, **record_format: Any) -> list[bytes]:
    """Return the miniSEED records of *packets*; what packets hold together, records hold together."""
    maker = RecordMaker(RecordFormat(version, flush_after_s=1e9, **record_format))
    runs = maker.add(packets, 0) + maker.flush()
    return [record.data for run in runs for record in run]


def noise(
    stream: StreamId = STREAM,
    start_ns: int = START_NS,
    size: int = 1000,
    *,
    rate_hz: float = 100.0,
    dtype: str = "int32",
    quality: int | None = 90,
) -> Packet:
    """Return a packet of noise that is the same for the same stream and start."""
    values = np.random.default_rng([size, start_ns % 2**32, *str(stream).encode()]).normal(0, 1000, size)
    return Packet(stream, start_ns, rate_hz, values.astype(dtype), quality)


def write(path: Path, packets: Iterable[Packet], version: int = 2, **record_format: Any) -> Path:
    """Write *packets* as miniSEED, in this order; return *path*."""
    path.write_bytes(b"".join(records(packets, version, **record_format)))
    return path


def pairs(packets: Sequence[Packet | RecordRun], stream: StreamId = STREAM) -> list[tuple[int, float]]:
    """Return time and value of every sample of *stream*, in the order of the packets."""
    return [
        (sample_time(packet.start_ns, index, packet.rate_hz), value)
        for packet in packets
        if isinstance(packet, Packet) and packet.stream == stream
        for index, value in enumerate(packet.samples.tolist())
    ]


def text_record() -> bytes:
    """Return a miniSEED 2 record that holds a text."""
    from importlib import import_module
    from io import BytesIO

    obspy: Any = import_module("obspy")
    file = BytesIO()
    header = {"network": "XX", "station": "DEMO", "location": "00", "channel": "LOG"}
    trace = obspy.Trace(np.frombuffer(b"the clock is locked", dtype="S1"), header)
    trace.write(file, format="MSEED", reclen=512)
    return file.getvalue()
