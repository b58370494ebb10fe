"""The receiver of a benchmark, which is what is measured: ``python -m benchmarks.receiver STATION_FILE SAMPLES``.

It tells the address of its live stream when there is one, then that it is ready: connected, with all channels
described and a subscriber there. What it has used until then does not count. It stops after SAMPLES samples (0: after
an order) in the orderly way, which does count, and tells what all that has cost.
"""

import asyncio
import cProfile
import functools
import logging
import os
import pstats
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_s, peak_mb, tell, until
from rawdaq import config, station
from rawdaq.receiver_server import ReceiverServer


async def run(file: Path, samples: int) -> None:
    """Run the component of *file*."""
    server = station.build(config.load(file).components[0])
    station.spare_collector()  # as a component's process does
    serving = asyncio.create_task(server.serve())
    await _ready(server, serving)
    began_cpu_s, began_s = cpu_s(), time.monotonic()
    tell(ready=True, peak_mb=peak_mb())
    if samples:
        streams = server.stats.streams
        await until(lambda: serving.done() or sum(each.samples for each in streams.values()) >= samples)
    else:
        await asyncio.to_thread(sys.stdin.readline)
    server.stop()
    await serving
    used_s, wall_s = cpu_s() - began_cpu_s, time.monotonic() - began_s
    tell(cpu_s=used_s, wall_s=wall_s, peak_mb=peak_mb(), lost=_lost(server))


async def _ready(server: Any, serving: "asyncio.Task[None]") -> None:
    for publisher in server.publishers:
        if hasattr(publisher, "port"):
            await until(functools.partial(_has_address, publisher, serving))
            tell(address=publisher.address)
    await until(
        lambda: serving.done() or (len(server.formats) == len(server.names) and all(map(_is_heard, server.publishers)))
    )
    if serving.done():
        serving.result()


def _has_address(publisher: Any, serving: "asyncio.Task[None]") -> bool:
    return bool(publisher.port) or serving.done()


def _is_heard(publisher: Any) -> bool:
    subscribers = publisher.status().get("subscribers")
    return subscribers is None or any(each["topics"] for each in subscribers)


def _lost(server: ReceiverServer) -> int:
    """Return how many packets some publisher dropped or refused."""
    statuses: Any = server.cmd_status()["publishers"]
    return sum(status["dropped"] + status["refused"] for status in statuses.values())


def main() -> None:
    """Run, with BENCH_PROFILE set under cProfile."""
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
