"""What containers cost: ``python -m benchmarks.programs.containers [--objects N] [--folder PATH]``.

It prints how many objects a second one core writes: by `ContainerWriter`, and by `ContainerPublisher` in an event loop
with its thread, all of which counts. Then, how many it reads, and how long it takes to open a file that has no footer.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rawdaq.container import ContainerReader, ContainerWriter
from rawdaq.container.format.objects import Item
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.publishers import ContainerPublisher
from rawdaq.stream_id import StreamId

START_NS = 1_795_219_200_000_000_000
COMPRESSIONS = ("zstd", "zlib", "none")
_BATCH = 2000
_STREAM = StreamId("XX", "DEMO", "00", "HHZ")


def data(number: int) -> Item:
    """Return 100 bytes."""
    return b"%100d" % number


def event(number: int) -> Item:
    """Return a message as a receiver publishes it: six keys of its own, and 64 bytes."""
    header = {"time_ns": START_NS + number, "counter": number, "source": 3, "errors": 0, "missed": 0, "union": [1, 9]}
    return Message("~event.XX.DEMO.Trig", header, b"%64d" % number).published(number, "Trig", START_NS + number)


def packet(number: int) -> Item:
    """Return a packet of 100 samples."""
    samples = np.arange(number, number + 100, dtype="<i4")
    return Packet(_STREAM, START_NS + number * 1_000_000_000, 100.0, samples, sequence=number)


KINDS: Sequence[tuple[str, Callable[[int], Item]]] = (("100 bytes", data), ("event", event), ("packet", packet))


def write(path: Path, items: Sequence[Item], compression: str) -> float:
    """Return the processor time of writing *items*."""
    begin_s = time.process_time()
    with ContainerWriter(path, compression=compression) as writer:
        for item in items:
            writer.write(item)
    return time.process_time() - begin_s


async def publish(folder: Path, items: Sequence[Item], compression: str) -> float:
    """Return the processor time of all threads for delivering *items* in batches, as a queue hands them over."""
    publisher = ContainerPublisher(folder, suffix="order", rotate_mb=50, compression=compression)  # type: ignore[arg-type]
    begin_s = time.process_time()
    await publisher.open()
    for begin in range(0, len(items), _BATCH):
        await publisher.deliver(items[begin : begin + _BATCH])
    await publisher.aclose()
    return time.process_time() - begin_s


def read(path: Path) -> float:
    """Return the processor time of reading all of a file."""
    begin_s = time.process_time()
    with ContainerReader(path) as reader:
        for _ in reader:
            pass
    return time.process_time() - begin_s


def opening(folder: Path) -> None:
    """Print how long it takes to open a file of 1 GB without footer."""
    path = folder / "large.rdc"
    writer = ContainerWriter(path, compression="none")
    block = bytes(250_000)
    for _ in range(4000):
        writer.write(block)
    writer.flush()
    writer.abandon()
    begin_s = time.perf_counter()
    with ContainerReader(path) as reader:
        print(f"\nopening {path.stat().st_size / 1e9:.2f} GB in {len(reader)} blocks without footer: "
              f"{time.perf_counter() - begin_s:.3f} s")  # fmt: skip
    path.unlink()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200_000, help="of each kind")
    parser.add_argument("--folder", type=Path, help="where files are written; by default a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print("objects a second on one core")
        print(f"{'':12}{'':8}{'writer':>10}{'publisher':>11}{'reader':>10}{'bytes each':>12}")
        for kind, make in KINDS:
            for compression in COMPRESSIONS:
                path = folder / f"{kind}.{compression}.rdc"
                written_s = write(path, [make(number) for number in range(options.objects)], compression)
                items = [make(number) for number in range(options.objects)]  # anew: a message keeps its JSON
                published_s = asyncio.run(publish(folder / f"{kind}.{compression}", items, compression))
                rates = [options.objects / each for each in (written_s, published_s, read(path))]
                size = path.stat().st_size / options.objects
                print(f"{kind:12}{compression:8}{rates[0]:10.0f}{rates[1]:11.0f}{rates[2]:10.0f}{size:12.1f}")
        opening(folder)


if __name__ == "__main__":
    main()
