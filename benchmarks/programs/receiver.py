"""A receiver that counts its own cost: ``python -m benchmarks.programs.receiver STATION_FILE SAMPLES``.

It reports the address of its live stream, if it has one, then that it is ready: connected, all channels described, and
a subscriber there. What it has used until then does not count. After SAMPLES samples (0: after a line on its standard
input) it stops in order, which counts, and reports its cost. With BENCH_PROFILE set it prints a profile, too.
"""

import asyncio
import cProfile
import logging
import os
import pstats
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_s, peak_mb, report, until
from rawdaq import config, station
from rawdaq.receiver_server import ReceiverServer


async def run(file: Path, samples: int) -> None:
    """Run the component of *file*."""
    server = station.build(config.load(file).components[0])
    station.spare_collector()  # as a component's process does
    serving = asyncio.create_task(server.serve())
    await _ready(server, serving)
    began_cpu_s, began_s = cpu_s(), time.monotonic()
    report(ready=True)
    if samples:
        streams = server.stats.streams
        await until(lambda: serving.done() or sum(each.samples for each in streams.values()) >= samples)
    else:
        await asyncio.to_thread(sys.stdin.readline)
    server.stop()
    await serving
    used_s, wall_s = cpu_s() - began_cpu_s, time.monotonic() - began_s
    report(cpu_s=used_s, wall_s=wall_s, peak_mb=peak_mb(), lost=_lost_packets(server))


async def _ready(server: Any, serving: "asyncio.Task[None]") -> None:
    live = [publisher for publisher in server.publishers if hasattr(publisher, "port")]
    await until(lambda: serving.done() or all(publisher.port for publisher in live))
    for publisher in live:
        report(address=publisher.address)
    await until(
        lambda: serving.done() or (len(server.formats) == len(server.names) and all(map(_has_subscriber, live)))
    )
    if serving.done():
        serving.result()


def _has_subscriber(live: Any) -> bool:
    """Whether somebody has subscribed to the live publisher."""
    return any(each["topics"] for each in live.status()["subscribers"])


def _lost_packets(server: ReceiverServer) -> int:
    """Return how many packets a publisher dropped or refused."""
    statuses: Any = server.cmd_status()["publishers"]
    return sum(status["dropped"] + status["refused"] for status in statuses.values())


def main() -> None:
    """Run."""
    logging.basicConfig(level=logging.ERROR)
    work = run(Path(sys.argv[1]), int(sys.argv[2]))
    if not os.environ.get("BENCH_PROFILE"):
        asyncio.run(work)
        return
    profile = cProfile.Profile()
    profile.runcall(asyncio.run, work)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
