"""The same work written plainly with what anyone can install: ``python -m benchmarks.programs.plain``.

The arguments are KIND LOAD PORT FD. KIND obspy writes the records of each packet with ObsPy into the plugin pipe FD;
zmq.asyncio publishes each packet from an asyncio task of its own, as ssdaq does. Both connect to a device, report that
they are ready, and count as `benchmarks.programs.receiver` does.
"""

import asyncio
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pymseed

from benchmarks import loads
from benchmarks.loads import Load, hello
from benchmarks.processes import cpu_s, peak_mb, report

_HEADER = struct.Struct(">HHBBBIBHI")
_FRAME_HEADER = struct.Struct("=i10s10s6i3i")


def encode_seconds(values: npt.NDArray[Any]) -> float:
    """Return the processor time in which pymseed alone makes records of 512 bytes of all *values* in one call."""
    is_float = values.dtype.kind == "f"
    samples = np.ascontiguousarray(values, "f4" if is_float else "i4")
    record = pymseed.MS3Record()
    record.sourceid, record.formatversion, record.reclen = "FDSN:XX_BENCH_00_H_H_Z", 2, 512
    record.samprate, record.starttime = 100.0, 1_790_000_000_000_000_000
    record.encoding = pymseed.DataEncoding.FLOAT32 if is_float else pymseed.DataEncoding.STEIM2
    began_s = time.process_time()
    list(record.generate(samples, "f" if is_float else "i"))
    return time.process_time() - began_s


def _start_time(header: Sequence[int]) -> datetime:
    year, day, hour, minute, second, microsecond = header[:6]
    return datetime(year, 1, 1, hour, minute, second, microsecond, UTC) + timedelta(days=day - 1)


def _counting() -> Callable[[], None]:
    """Report that the program is ready; return what reports its cost since then."""
    report(ready=True)
    began_cpu_s, began_s = cpu_s(), time.monotonic()
    return lambda: report(cpu_s=cpu_s() - began_cpu_s, wall_s=time.monotonic() - began_s, peak_mb=peak_mb(), lost=0)


def with_obspy(load: Load, port: int, fd: int) -> None:
    """Read packet after packet, and write the records of each to the plugin pipe *fd*."""
    from obspy import Trace, UTCDateTime

    dtype = np.dtype(load.kind).newbyteorder("<")
    key = f"{loads.NETWORK}.{loads.STATION}".encode()
    frame = _FRAME_HEADER.pack(13, key, b"", 0, 0, 0, 0, 0, 0, 0, 0, 512)
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
        connection.sendall(hello(load))
        while stream.readline() != b"STARTING\n":
            pass
        report_cost = _counting()
        for _ in range(load.packets):
            header = _HEADER.unpack(stream.read(_HEADER.size))
            samples = np.frombuffer(stream.read(header[8] * dtype.itemsize), dtype)
            trace = Trace(samples if dtype.kind == "f" else samples.astype("i4"))
            trace.id = loads.stream(header[7])
            trace.stats.sampling_rate = load.rate_hz
            trace.stats.starttime = UTCDateTime(_start_time(header))
            records = BytesIO()
            trace.write(records, format="MSEED", encoding="FLOAT32" if dtype.kind == "f" else "STEIM2", reclen=512)
            data = records.getvalue()
            for begin in range(0, len(data), 512):
                os.write(fd, frame + data[begin : begin + 512])
        report_cost()


async def with_zmq_asyncio(load: Load, port: int) -> None:
    """Read packet after packet, and publish each from a task of its own."""
    import zmq.asyncio

    context = zmq.asyncio.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.sndhwm = 0
    report(address=f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}")
    await publisher.recv()  # the subscription
    itemsize = np.dtype(load.kind).itemsize
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(hello(load))
    while await reader.readline() != b"STARTING\n":
        pass
    report_cost = _counting()
    tasks: set[asyncio.Task[None]] = set()

    async def publish(sequence: int, header: Sequence[int], payload: bytes) -> None:
        await publisher.send_multipart(_message(load, sequence, header, payload))

    for sequence in range(load.packets):
        header = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        payload = await reader.readexactly(header[8] * itemsize)
        task = asyncio.create_task(publish(sequence, header, payload))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if not sequence % 100:
            await asyncio.sleep(0)
    if tasks:
        await asyncio.wait(tasks)
    report_cost()
    writer.close()
    context.destroy()


def _message(load: Load, sequence: int, header: Sequence[int], payload: bytes) -> list[bytes]:
    """Return the three frames that our own publisher sends for the packet, too."""
    topic = loads.stream(header[7])
    fields = {
        "htype": "array-1.0",
        "type": load.kind,
        "shape": [header[8]],
        "encoding": "little",
        "frame": sequence // load.channels,
        "rawdaq": 1,
        "stream": topic,
        "start_ns": round(_start_time(header).timestamp() * 1e9),
        "rate_hz": load.rate_hz,
        "timing_quality": header[6],
        "received_ns": time.time_ns(),
    }
    return [topic.encode(), json.dumps(fields).encode(), payload]


def main(kind: str, load: str, port: str, fd: str) -> None:
    """Run the program *kind*."""
    if kind == "obspy":
        with_obspy(Load(**json.loads(load)), int(port), int(fd))
    else:
        asyncio.run(with_zmq_asyncio(Load(**json.loads(load)), int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
