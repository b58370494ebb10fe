"""The same work written plainly with what anyone can install, to compare with: two receivers and one encoder.

``python -m benchmarks.baselines obspy LOAD PORT FD`` writes the records of each packet with ObsPy into the plugin
pipe; ``… zmq LOAD PORT`` publishes each packet from an asyncio task of its own, as ssdaq does. Both are told the port
of a device, connect, say when they are ready, and count as `benchmarks.receiver` does.
"""

import asyncio
import datetime
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pymseed

from benchmarks import loads
from benchmarks.loads import Load
from benchmarks.processes import cpu_s, peak_mb, tell

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


def _hello(load: Load) -> bytes:
    return b"RAW 2.0\n" + b"".join(b"CHANNEL\n%d\n" % number for number in load.codes) + b"START\n"


def _start_time(header: Sequence[int]) -> datetime.datetime:
    year, day, hour, minute, second, microsecond = header[:6]
    return datetime.datetime(year, 1, 1, hour, minute, second, microsecond) + datetime.timedelta(days=day - 1)


def with_obspy(load: Load, port: int, fd: int) -> None:
    """Read packet after packet, and write the records of each to the plugin pipe *fd*."""
    from obspy import Trace, UTCDateTime

    dtype = np.dtype(load.kind).newbyteorder("<")
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
        connection.sendall(_hello(load))
        while stream.readline() != b"STARTING\n":
            pass
        tell(ready=True)
        began_cpu_s, began_s = cpu_s(), time.monotonic()
        for _ in range(load.packets):
            header = _HEADER.unpack(stream.read(_HEADER.size))
            channel, count = header[7], header[8]
            samples = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
            location, code = loads.code(channel).split(".")
            trace = Trace(samples if dtype.kind == "f" else samples.astype("i4"))
            trace.stats.network, trace.stats.station = loads.NETWORK, loads.STATION
            trace.stats.location, trace.stats.channel = location, code
            trace.stats.sampling_rate = load.rate_hz
            trace.stats.starttime = UTCDateTime(_start_time(header))
            records = BytesIO()
            encoding = "FLOAT32" if dtype.kind == "f" else "STEIM2"
            trace.write(records, format="MSEED", encoding=encoding, reclen=512)
            data = records.getvalue()
            for begin in range(0, len(data), 512):
                key = f"{loads.NETWORK}.{loads.STATION}".encode()
                frame = _FRAME_HEADER.pack(13, key, b"", 0, 0, 0, 0, 0, 0, 0, 0, 512)
                os.write(fd, frame + data[begin : begin + 512])
        tell(cpu_s=cpu_s() - began_cpu_s, wall_s=time.monotonic() - began_s, peak_mb=peak_mb(), lost=0)


async def with_zmq_asyncio(load: Load, port: int) -> None:
    """Read packet after packet, and publish each from a task of its own."""
    import zmq.asyncio

    context = zmq.asyncio.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.sndhwm = 0
    tell(address=f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}")
    await publisher.recv()  # the subscription
    itemsize = np.dtype(load.kind).itemsize
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_hello(load))
    while await reader.readline() != b"STARTING\n":
        pass
    tell(ready=True)
    began_cpu_s, began_s = cpu_s(), time.monotonic()
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
    tell(cpu_s=cpu_s() - began_cpu_s, wall_s=time.monotonic() - began_s, peak_mb=peak_mb(), lost=0)
    writer.close()
    context.destroy()


def _message(load: Load, sequence: int, header: Sequence[int], payload: bytes) -> list[bytes]:
    """Return the three frames that our own publisher sends for the packet, too."""
    topic = loads.stream(header[7])
    start_ns = round(_start_time(header).replace(tzinfo=datetime.UTC).timestamp() * 1e9)
    said = {
        "htype": "array-1.0",
        "type": load.kind,
        "shape": [header[8]],
        "encoding": "little",
        "frame": sequence // load.channels,
        "rawdaq": 1,
        "stream": topic,
        "start_ns": start_ns,
        "rate_hz": load.rate_hz,
        "timing_quality": header[6],
        "received_ns": time.time_ns(),
    }
    return [topic.encode(), json.dumps(said).encode(), payload]


def main(arguments: Sequence[str]) -> None:
    """Be the receiver that *arguments* name."""
    kind, load, port = arguments[0], Load(**json.loads(arguments[1])), int(arguments[2])
    if kind == "obspy":
        with_obspy(load, port, int(arguments[3]))
    else:
        asyncio.run(with_zmq_asyncio(load, port))


if __name__ == "__main__":
    main(sys.argv[1:])
