"""What a store costs: ``python -m benchmarks.store [--entries N] [--folder PATH] [--seconds S]``.

It prints what an append costs, how long finding and opening take in a large store, and how many bytes reach the device
for each byte received. The last is counted by the device of the folder, so give it one of its own: other programs that
write there are counted too.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rawdaq.store.store import Store
from rawdaq.store.threads import SyncThread
from rawdaq.store.values import Entry, Report

NS_PER_S = 1_000_000_000
START_NS = 1_795_219_200 * NS_PER_S
BATCHES = ((1, 100), (1, 512), (1, 4096), (30, 100), (30, 512), (30, 4096), (1000, 100), (1000, 4096))
_SECTOR_BYTES = 512
_WRITTEN_SECTORS = 6  # of the statistics of a block device


def group(number: int, count: int, size: int, streams: int) -> list[Entry]:
    """Return a group in which each stream goes on by a second."""
    body, entries = bytes(size), list[Entry]()
    for each in range(number * count, (number + 1) * count):
        start_ns = START_NS + each // streams * NS_PER_S
        entries.append(Entry(f"XX.S{each % streams:05d}..HHZ", start_ns, start_ns + NS_PER_S - 1, body))
    return entries


def ignore(report: Report) -> None:
    """Print nothing of what a store reports."""


def append_cost(folder: Path) -> None:
    """Print the processor time of an append, the best of three rounds."""
    print("\nappend, us of the processor for each entry, 100 streams, no sync")
    print(f"{'batch':>8} {'body':>8} {'us':>8} {'MB/s':>8}")
    for count, size in BATCHES:
        groups = [group(number, count, size, 100) for number in range(100)]
        rounds = max(100, min(20_000, 40_000_000 // (count * (size + 44))) // 100 * 100) // 100
        best = min(_append_all(folder / f"{count}-{size}-{turn}", groups, rounds) for turn in range(3))
        print(f"{count:8d} {size:8d} {best:8.2f} {size / best:8.0f}")


def _append_all(folder: Path, groups: Sequence[list[Entry]], rounds: int) -> float:
    with Store(folder, report=ignore) as store:
        store.append(groups[0])
        begin_s = time.thread_time()
        for _ in range(rounds):
            for each in groups:
                store.append(each)
        taken_s = time.thread_time() - begin_s
    return taken_s * 1e6 / (rounds * len(groups) * len(groups[0]))


def fill(folder: Path, entries: int, streams: int) -> None:
    """Fill a store as another process, say so, and wait to be killed."""
    store = Store(folder, report=ignore)
    store.open()
    for number in range(entries // 1000):
        store.append(group(number, 1000, 100, streams))
        if number % 100 == 0:
            store.sync()
            store.maintain()
    store.sync()
    store.maintain()
    store.append(group(entries // 1000, 1000, 100, streams))
    print("filled", flush=True)
    time.sleep(3600)


def timed(function: Callable[[], object], count: int) -> list[float]:
    """Return how many milliseconds each of *count* calls has taken, sorted."""
    taken: list[float] = []
    for _ in range(count):
        begin_s = time.perf_counter()
        function()
        taken.append((time.perf_counter() - begin_s) * 1e3)
    return sorted(taken)


def row(name: str, taken: Sequence[float]) -> None:
    """Print a row of milliseconds."""
    count = len(taken)
    p50, p99 = taken[count // 2], taken[min(count - 1, count * 99 // 100)]
    print(f"{name:32} {p50:9.3f} {p99:9.3f} {taken[-1]:9.3f} {count:7d}")


def kill_one_that_fills(folder: Path, entries: int, streams: int) -> None:
    """Have another process fill a store, and kill it."""
    command = [sys.executable, "-m", "benchmarks.store", "--fill", str(folder), str(entries), str(streams)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        if child.stdout is None or child.stdout.readline() != "filled\n":
            raise RuntimeError("the store was not filled")
        child.send_signal(signal.SIGKILL)


def large_store(folder: Path, entries: int, streams: int) -> None:
    """Print how long opening, finding and reading take in a store that was killed."""
    begin_s = time.perf_counter()
    kill_one_that_fills(folder, entries, streams)
    size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    taken_s = time.perf_counter() - begin_s
    print(f"\n{entries} entries of 100 B, {streams} streams, {size_mb:.0f} MB, in {taken_s:.0f} s")
    print(f"{'ms':32} {'p50':>9} {'p99':>9} {'max':>9} {'calls':>7}")
    opened: list[float] = []
    for _ in range(5):
        store = Store(folder, report=ignore)
        opened += timed(store.open, 1)
        store.close()
        kill_one_that_fills(folder, 1000, streams)
    row("open after kill -9", sorted(opened))
    with Store(folder, report=ignore) as store:
        chance, names = random.Random(1), [f"XX.S{number:05d}..HHZ" for number in range(streams)]
        last_ns = entries // streams * NS_PER_S

        def find() -> None:
            store.find(chance.choice(names), START_NS + chance.randrange(last_ns))

        row("find, first 100", timed(find, 100))
        row("find, warm", timed(find, 10_000))
        row("newest", timed(lambda: store.newest(chance.choice(names)), 2000))
        row("ranges of one stream", timed(lambda: store.ranges(chance.choice(names), 1), 200))
        row("extents of all streams", timed(store.extents, 10))
        row("find, stream that is not there", timed(lambda: store.find("none", START_NS), 500))
        reader, count, begin_s = store.reader(), 0, time.thread_time()
        while count < 1_000_000 and (found := reader.read().entries):
            count += len(found)
        print(f"reading: {(time.thread_time() - begin_s) * 1e6 / max(count, 1):.2f} us of the processor for each entry")


def written_bytes(folder: Path) -> int:
    """Return what the device of *folder* has written since the machine started."""
    device = os.stat(folder).st_dev
    statistics = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    if not statistics.exists():
        raise SystemExit(f"no block device is below {folder}: choose another --folder, or --seconds 0")
    return int(statistics.read_text(encoding="ascii").split()[_WRITTEN_SECTORS]) * _SECTOR_BYTES


def device_bytes(folder: Path, seconds: float) -> None:
    """Print how many bytes the device writes for each byte received."""
    print(f"\nbytes that the device wrote for each byte received, in {seconds:.0f} s")
    print(f"{'received':>12} {'sync_s':>8} {'entries':>20} {'written':>9}")
    for rate, sync_s, count, size, every_s in (
        (1200, 1, 3, 400, 1.0),
        (1200, 5, 3, 400, 1.0),
        (120_000, 1, 100, 1200, 1.0),
        (1_600_000, 1, 8, 20_000, 0.1),
    ):
        path = folder / f"{rate}-{sync_s}"
        with Store(path, report=ignore) as store:
            sync = SyncThread(store, sync_s, lambda _: None, lambda _: None)
            store.append(group(0, count, size, count))
            store.sync()
            store.maintain()
            os.sync()
            before, begin_s, number = written_bytes(folder), time.monotonic(), 0
            while time.monotonic() - begin_s < seconds:
                number += 1
                store.append(group(number, count, size, count))
                sync.want(store.wants_sync)
                time.sleep(max(0.0, begin_s + number * every_s - time.monotonic()))
            sync.end()
            sync.join(10)
            os.sync()
            written = (written_bytes(folder) - before) / (number * count * size)
        what = f"{count} x {size} B / {every_s} s"
        print(f"{rate / 1e3:8.1f} kB/s {sync_s:8d} {what:>20} {written:9.2f}", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Print all tables."""
    if arguments[:1] == ["--fill"]:
        fill(Path(arguments[1]), int(arguments[2]), int(arguments[3]))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description="What a store costs.")
    parser.add_argument("--entries", type=int, default=5_000_000, help="of the large store")
    parser.add_argument("--streams", type=int, default=100, help="of the large store")
    parser.add_argument("--folder", type=Path, help="where to write; by default a temporary folder")
    parser.add_argument("--seconds", type=float, default=100.0, help="of each run that counts bytes; 0: none")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        append_cost(folder)
        large_store(folder / "large", options.entries, options.streams)
        if options.seconds:
            device_bytes(folder, options.seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
