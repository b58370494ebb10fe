"""`Streamer.feed_data`: how many packets a second one client gets, and how long a packet takes to it.

``python -m benchmarks.device_side feed COUNT RATE`` is the device (rate 0: as fast as they are taken), ``… read PORT
COUNT`` its client, which knows nothing of ours but the handshake.
"""

import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.latency import percentiles
from benchmarks.processes import Child, cpu_s, peak_mb, tell
from benchmarks.results import Report, Spread, spread
from rawdaq.streamer import Channel, Streamer

SAMPLES = 100
RATE_COLUMNS = ("packets/s", "CPU us/packet", "peak MB")
LATENCY_COLUMNS = ("p50 ms", "p99 ms", "max ms", "packets", "CPU %")

_HEADER_BYTES = 18
_PACKET_BYTES = _HEADER_BYTES + 4 * SAMPLES
_MAX_BACKLOG_BYTES = 8 << 20
_STEP_NS = 1_000_000_000


def feed(count: int, rate: int) -> None:
    """Be the device: the first two samples of each packet hold the moment at which it was fed."""
    samples = np.zeros(SAMPLES, "int32")
    moment = samples[:2].view("int64")
    with Streamer([Channel(1, SAMPLES, "little", "int32")], port=0, flush_s=30) as streamer:
        tell(port=streamer.port)
        streamer.wait_for_client()
        began_cpu_s, began_s = cpu_s(), time.monotonic()
        for index in range(count):
            if rate:
                time.sleep(max(0.0, began_s + index / rate - time.monotonic()))
            while streamer.backlog_bytes > _MAX_BACKLOG_BYTES:
                time.sleep(0.0005)
            moment[0] = time.monotonic_ns()
            streamer.feed_data(1, 1_790_000_000_000_000_000 + index * _STEP_NS, 100, samples)
    tell(began_s=began_s, cpu_s=cpu_s() - began_cpu_s, wall_s=time.monotonic() - began_s, peak_mb=peak_mb())


def read(port: int, count: int) -> None:
    """Be the client."""
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
    tell(ended_s=ended_s, latencies_ns=latencies_ns)


def run(count: int, rate: int) -> dict[str, Any]:
    """Return what one run found."""
    with Child("-m", "benchmarks.device_side", "feed", count, rate) as device:
        port = device.read()["port"]
        with Child("-m", "benchmarks.device_side", "read", port, count) as client:
            result = client.read() | device.read()
    result["packets_per_s"] = count / (result["ended_s"] - result["began_s"])
    return result


def measure_rate(report: Report, count: int) -> None:
    """Add the row of the rate."""
    packets = 200_000
    runs = [run(packets, 0) for _ in range(count)]
    figures: dict[str, Spread | float | None] = {
        "packets/s": spread(runs, "packets_per_s"),
        "CPU us/packet": spread(runs, "cpu_s", 1e6 / packets),
        "peak MB": spread(runs, "peak_mb").median,
    }
    report.row(f"feed_data, {SAMPLES} samples, to one client", {"": "device", "k": SAMPLES}, figures)


def measure_latency(report: Report, count: int) -> None:
    """Add the rows of the latency."""
    for rate, seconds in ((30, 3), (1000, 2)):
        runs = [run(seconds * rate, rate) for _ in range(count)]
        figures = percentiles(
            [np.array(each["latencies_ns"][len(each["latencies_ns"]) // 10 :]) / 1e6 for each in runs]
        )
        cpu = Spread(tuple(100 * each["cpu_s"] / each["wall_s"] for each in runs))
        report.row(f"feed_data to client, {rate} packets/s", {"": "device", "k": SAMPLES}, figures | {"CPU %": cpu})


def main(arguments: Sequence[str]) -> None:
    """Be one of the two sides."""
    side, *numbers = arguments
    {"feed": feed, "read": read}[side](*map(int, numbers))


if __name__ == "__main__":
    main(sys.argv[1:])
