"""`Streamer.feed_data` on the device: how many packets a second a client gets, and how long a packet takes to it.

``python -m benchmarks.parts.streamer feed COUNT RATE`` is the device (rate 0: as fast as they are taken), ``… read PORT
COUNT`` its client, which has nothing of rawdaq.
"""

import socket
import sys
import time
from functools import partial
from typing import Any

import numpy as np

from benchmarks import latencies
from benchmarks.jobs import Job, Options, Section
from benchmarks.processes import Child, cpu_s, peak_mb, report
from benchmarks.table import Spread, spread
from rawdaq.streamer import Channel, Streamer

SAMPLES = 100
RATE_COLUMNS = ("packets/s", "us/packet", "peak MB")

_RUNS, _SECONDS, _PACKETS = 5, 3, 200_000
_HEADER_BYTES = 18
_PACKET_BYTES = _HEADER_BYTES + 4 * SAMPLES
_MAX_BACKLOG_BYTES = 8 << 20
_STEP_NS = 1_000_000_000


def sections(options: Options) -> list[Section]:
    """Return two tables."""
    tags = {"": "streamer"}
    rate = Job(tags, [_rate_name(0)], partial(measure_rate, options))
    latency = [Job(tags, [_rate_name(each)], partial(measure_latency, options, each)) for each in (30, 1000)]
    return [
        Section(f"Streamer, packets of {SAMPLES}", RATE_COLUMNS, [rate]),
        Section("Streamer, latency", latencies.COLUMNS, latency),
    ]


def _rate_name(rate: int) -> str:
    return f"feed_data to a client, {f'{rate} packets/s' if rate else 'flood'}"


def feed(count: int, rate: int) -> None:
    """Run the device: the first two samples of each packet hold the moment at which it was fed."""
    samples = np.zeros(SAMPLES, "int32")
    moment = samples[:2].view("int64")
    with Streamer([Channel(1, SAMPLES, "little", "int32")], port=0, flush_s=30) as streamer:
        report(port=streamer.port)
        streamer.wait_for_client()
        began_cpu_s, began_s = cpu_s(), time.monotonic()
        for index in range(count):
            if rate:
                time.sleep(max(0.0, began_s + index / rate - time.monotonic()))
            while streamer.backlog_bytes > _MAX_BACKLOG_BYTES:
                time.sleep(0.0005)
            moment[0] = time.monotonic_ns()
            streamer.feed_data(1, 1_790_000_000_000_000_000 + index * _STEP_NS, 100, samples)
    report(began_s=began_s, cpu_s=cpu_s() - began_cpu_s, wall_s=time.monotonic() - began_s, peak_mb=peak_mb())


def read(port: int, count: int) -> None:
    """Run the client."""
    wanted = count * _PACKET_BYTES
    latencies_ns: list[int] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"RAW 2.0\nCHANNEL\n1\nSTART\n")
        held = b""
        while b"STARTING\n" not in held:
            held += connection.recv(4096)
        held = held.partition(b"STARTING\n")[2]
        got = len(held)
        while got < wanted:
            chunk = connection.recv(1 << 18)
            now_ns = time.monotonic_ns()
            got += len(chunk)
            held += chunk
            whole = len(held) // _PACKET_BYTES * _PACKET_BYTES
            packets = np.frombuffer(held[:whole], np.uint8).reshape(-1, _PACKET_BYTES)
            held = held[whole:]
            fed_ns = np.ascontiguousarray(packets[:, _HEADER_BYTES : _HEADER_BYTES + 8]).view("<i8").ravel()
            latencies_ns += (now_ns - fed_ns).tolist()
        ended_s = time.monotonic()
    report(ended_s=ended_s, latencies_ns=latencies_ns)


def run(count: int, rate: int) -> dict[str, Any]:
    """Return what one run found."""
    with Child("-m", "benchmarks.parts.streamer", "feed", count, rate) as device:
        with Child("-m", "benchmarks.parts.streamer", "read", device.read()["port"], count) as client:
            result = client.read() | device.read()
    return result | {"packets/s": count / (result["ended_s"] - result["began_s"])}


def measure_rate(options: Options) -> None:
    """Add the row of the flood."""
    runs = [run(_PACKETS, 0) for _ in range(options.runs or _RUNS)]
    figures: dict[str, Spread | float | None] = {
        "packets/s": spread(runs, "packets/s"),
        "us/packet": spread(runs, "cpu_s", 1e6 / _PACKETS),
        "peak MB": spread(runs, "peak_mb").median,
    }
    options.table.row(_rate_name(0), {"": "streamer"}, figures)


def measure_latency(options: Options, rate: int) -> None:
    """Add the row of a rate."""
    runs = [run((options.seconds or _SECONDS) * rate, rate) for _ in range(options.runs or _RUNS)]
    warm = [np.array(each["latencies_ns"][len(each["latencies_ns"]) // 10 :]) / 1e6 for each in runs]
    cpu = Spread(tuple(100 * each["cpu_s"] / each["wall_s"] for each in runs))
    options.table.row(_rate_name(rate), {"": "streamer"}, latencies.percentiles(warm) | {"CPU %": cpu})


if __name__ == "__main__":
    {"feed": feed, "read": read}[sys.argv[1]](*map(int, sys.argv[2:]))
