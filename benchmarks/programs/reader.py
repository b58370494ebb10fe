"""Reads what a receiver delivers: ``python -m benchmarks.programs.reader pipe [FILE]`` or ``… live ADDRESS [FILE]``.

The pipe is read on standard input, as fast as it fills, to its end; ``… pipe-of SAMPLES [FILE]`` ends after so many
samples. A live stream is read until an interrupt. FILE gets when each record or message arrived: channel, time of its
first sample, number of samples, moment.
"""

import contextlib
import json
import os
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zmq

from benchmarks.loads import stream
from benchmarks.processes import report
from rawdaq.times import from_calendar

RECORD_BYTES = 512

_READ_BYTES = 1 << 16
_FRAME_HEADER_BYTES = 60  # of the plugin pipe
_FRAME_BYTES = _FRAME_HEADER_BYTES + RECORD_BYTES
_TIME = struct.Struct(">HHBBBxH")  # at byte 20 of a miniSEED 2 record; its last field has units of 0.1 ms
_CHANNELS = {stream(number): number for number in range(1, 676)}


def pipe(file: Path | None, wanted: int | None = None) -> None:
    """Read standard input to its end, or until *wanted* samples have come."""
    arrivals: list[tuple[int, int, int, int]] = []
    first_ns, samples, held = 0, 0, b""
    while samples != wanted and (chunk := os.read(0, _READ_BYTES)):
        now_ns = time.monotonic_ns()
        first_ns = first_ns or now_ns
        held += chunk
        whole = len(held) // _FRAME_BYTES * _FRAME_BYTES
        records = np.frombuffer(held[:whole], np.uint8).reshape(-1, _FRAME_BYTES)[:, _FRAME_HEADER_BYTES:]
        held = held[whole:]
        samples += sample_count(records)
        if file is not None:
            arrivals += [(*_identity(record.tobytes()), now_ns) for record in records]
    if file is not None:
        np.save(file, np.array(arrivals))
    report(first_ns=first_ns, samples=samples)


def sample_count(records: npt.NDArray[np.uint8]) -> int:
    """Return how many samples are in records of miniSEED 2, a row each."""
    return int(np.ascontiguousarray(records[:, 30:32]).view(">u2").sum())


def archived_samples(folder: Path) -> int:
    """Return how many samples are in the files of an archive."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sum(sample_count(np.fromfile(file, np.uint8).reshape(-1, RECORD_BYTES)) for file in files)


def _identity(record: bytes) -> tuple[int, int, int]:
    """Return the channel, the time and the number of samples of a record of miniSEED 2."""
    station, location, channel, network = (
        record[first:end].decode().strip() for first, end in ((8, 13), (13, 15), (15, 18), (18, 20))
    )
    year, day, hour, minute, second, fraction = _TIME.unpack_from(record, 20)
    start_ns = from_calendar(year, day, hour, minute, second, fraction * 100_000)
    return _CHANNELS[f"{network}.{station}.{location}.{channel}"], start_ns, int.from_bytes(record[30:32])


def live(address: str, file: Path | None) -> None:
    """Subscribe to everything until an interrupt, and report how many bytes of samples came."""
    headers: list[tuple[bytes, int]] = []
    payload_bytes = 0
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber, contextlib.suppress(KeyboardInterrupt):
        subscriber.rcvhwm, subscriber.linger = 0, 0
        subscriber.rcvtimeo = 1000  # by then an interrupt that came just before a wait is noticed, too
        subscriber.subscribe(b"")
        subscriber.connect(address)
        while True:
            try:
                _, header, payload = subscriber.recv_multipart()
            except zmq.Again:
                continue
            payload_bytes += len(payload)
            if file is not None:
                headers.append((header, time.monotonic_ns()))  # read later: the next message may be there already
    if file is not None:
        read = [(json.loads(header), now_ns) for header, now_ns in headers]
        rows = [(_CHANNELS[fields["stream"]], fields["start_ns"], *fields["shape"], now_ns) for fields, now_ns in read]
        np.save(file, np.array(rows))
    report(payload_bytes=payload_bytes)


def main(arguments: Sequence[str]) -> None:
    """Read until there is no more."""
    kind, *rest = arguments
    argument = "" if kind == "pipe" else rest.pop(0)
    file = Path(rest[0]) if rest else None
    if kind == "live":
        live(argument, file)
    else:
        pipe(file, int(argument) if argument else None)


if __name__ == "__main__":
    main(sys.argv[1:])
