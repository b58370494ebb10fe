"""A component that feeds itself until it is killed: ``python -m tests.delivery.journal.component``.

Each line of its input is a folder, or ``end`` and a folder: then what is in the journal is delivered, no more comes.
For each it prints the number of the process, the number of packets whenever some more are journalled, and ``over``.
What is in a packet follows from its number.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

import numpy as np

from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.journal.journal import Journal
from rawdaq.packet import Packet
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.raw_writer import RawWriter
from rawdaq.times import NS_PER_DAY, sample_time
from tests.fanouts import HHN, LOG
from tests.journals import settings
from tests.makers import START_NS, STREAM

STREAMS = STREAM, HHN
SIZE = 40


def packet_at(number: int) -> Packet:
    """Return packet *number*; the first ones are of the end of a day."""
    first = number // len(STREAMS) * SIZE
    start_ns = sample_time(START_NS + NS_PER_DAY - 20 * 10**9, first, 100.0)
    return Packet(STREAMS[number % len(STREAMS)], start_ns, 100.0, np.arange(first, first + SIZE, dtype="<i4"))


def tell(text: object) -> None:
    """Print a line with one call of the system."""
    os.write(1, f"{text}\n".encode())


async def run(root: Path, *, is_last: bool) -> None:
    """Feed packets for ever; or, at last, none."""
    archive = MiniSeedPublisher(root / "archive", fsync_s=0.02, flush_after_s=0.05, name="archive")
    archive.gather_s = 0.01
    writer = RawWriter(root / "samples", fsync_s=0.02, name="raw")
    writer.streams = [str(STREAM)]
    journal = Journal(settings(root / "journal", sync_s=0.02), LOG)
    fanout = Fanout([archive, writer], LOG, journal=journal)
    await fanout.open(is_strict=True)
    tasks = [asyncio.ensure_future(run()) for run in fanout.tasks().values()]
    number = journal._number
    while not is_last:
        count = random.randint(1, 12)
        fanout.put([packet_at(number + index) for index in range(count)])
        await journal.drain()
        number += count
        tell(number)
        await asyncio.sleep(random.choice((0, 0, 0.005)))
    left = await fanout.drain(60.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await fanout.aclose(60.0)
    tell(number if left is None else left)


def main() -> None:
    """Run one process after the other."""
    for line in sys.stdin:
        *end, folder = line.split(maxsplit=1)
        child = os.fork()
        if not child:
            asyncio.run(run(Path(folder.strip()), is_last=bool(end)))
            os._exit(0)
        tell(f"process {child}")
        os.waitpid(child, 0)
        tell("over")


if __name__ == "__main__":
    main()
