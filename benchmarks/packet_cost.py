"""What one packet costs a receiver: processor time from a RAW device over TCP into an archive, and into a live stream.

One device sends contiguous int32 packets (a random walk, which STEIM2 compresses as it does ground motion) as fast as
they are taken. Start-up is not counted, the orderly stop with its last flush is. Run it alone on the machine.
"""

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from rawdaq import config, station
from rawdaq.streamer import Channel, Streamer
from rawdaq.subscriber import Subscriber

RATE_HZ = 1000
CASES = {10: 100_000, 100: 100_000, 1000: 40_000, 10_000: 5_000}  # samples of a packet: packets of a run
TARGETS = {
    "archive": "{class: MiniSeedPublisher, path: archive}",
    "live": "{class: ZMQTCPPublisher, ip: 127.0.0.1, port: 0, overflow: block}",
}
#: The C++ SeedLink plugin, STEIM2 into a pipe, on a two-core x86-64 machine: CPU in microseconds a packet.
PLUGIN_US = {10: 4.4, 100: 6.8, 1000: 24, 10_000: 192}
MAX_BACKLOG_BYTES = 16 << 20


async def receive(file: Path, count: int) -> None:
    """Run the component of *file* until it has published *count* packets; print its CPU and wall seconds as JSON."""
    receiver = station.build(config.load(file).components[0])
    task = asyncio.create_task(receiver.serve())
    cpu_s, began_s = time.process_time(), time.monotonic()
    address: object = None
    while sum(each.packets for each in receiver.stats.streams.values()) < count:
        await asyncio.sleep(0.01)
        if address is None and (address := receiver.publishers[0].status().get("address")):
            print(address, flush=True)  # of the live stream: who measures listens to it
    receiver.stop()
    await task
    print(json.dumps({"cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - began_s}), flush=True)


def run(target: str, samples: int, count: int) -> dict[str, float]:
    """Return what one run cost."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Streamer([Channel(1, RATE_HZ, samptype="int32")], port=0) as streamer,
    ):
        file = Path(folder) / "station.yaml"
        file.write_text(
            "station: {network: XX, code: BENCH}\nBench:\n"
            f"  Receiver: {{class: RawReceiver, host: 127.0.0.1, port: {streamer.port}, channels: {{1: HHZ}}}}\n"
            f"  Publishers: {{target: {TARGETS[target]}}}\n"
        )
        command = [sys.executable, __file__, "--receive", str(file), "--count", str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            lines = iter(process.stdout or ())
            reader = _listen(next(lines).strip()) if target == "live" else None
            feed(streamer, samples, count)
            result: dict[str, float] = json.loads(next(lines))
        if reader is not None:
            reader.close()
        return result


def _listen(address: str) -> Subscriber:
    """Return a subscriber that reads and forgets, on a thread of its own."""
    subscriber = Subscriber(address)
    threading.Thread(target=lambda: sum(1 for _ in subscriber), daemon=True).start()
    return subscriber


def feed(streamer: Streamer, samples: int, count: int) -> None:
    """Send *count* packets as fast as they are taken."""
    steps = np.random.default_rng(1).integers(-100, 101, 200 * samples)
    walk = np.cumsum(np.concatenate([steps, -steps])).astype("int32")  # ends where it began
    packets = walk.reshape(-1, samples)
    streamer.wait_for_client()
    step_ns = samples * 1_000_000_000 // RATE_HZ
    for index in range(count):
        while streamer.backlog_bytes > MAX_BACKLOG_BYTES:
            time.sleep(0.001)
        streamer.feed_data(1, 1_700_000_000_000_000_000 + index * step_ns, 100, packets[index % len(packets)])


def table(runs: int) -> None:
    """Print the median of *runs* runs for each target and size."""
    print("target    samples  packets  CPU us/packet  ns/sample  packets/s  C++ plugin us")
    for target in TARGETS:
        for samples, count in CASES.items():
            results = [run(target, samples, count) for _ in range(runs)]
            cpu_us = statistics.median(result["cpu_s"] for result in results) / count * 1e6
            rate = count / statistics.median(result["wall_s"] for result in results)
            print(
                f"{target:8} {samples:8} {count:8} {cpu_us:14.2f} {cpu_us * 1000 / samples:10.1f} {rate:10.0f} "
                f"{PLUGIN_US[samples]:14g}",
                flush=True,
            )


def main() -> None:
    """Print the table, or be the receiver of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each case; the median counts")
    parser.add_argument("--receive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if args.receive:
        asyncio.run(receive(args.receive, args.count))
    else:
        table(args.runs)


if __name__ == "__main__":
    main()
