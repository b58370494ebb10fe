"""Small stores for tests: what is in an entry follows from its number, so one look tells lost, doubled and moved."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rawdaq.store.errors import StoreFull
from rawdaq.store.retention import Retention
from rawdaq.store.segments.reading import Reader
from rawdaq.store.store import Store
from rawdaq.store.values import Entry, Loss, Report, Stored

__all__ = ["Entry", "Loss", "Store", "StoreFull", "Stored"]

NS_PER_S = 1_000_000_000
START_NS = 1_795_219_200 * NS_PER_S
SEGMENT_BYTES = 4096
STREAMS = ("XX.A..HHZ", "XX.B..HHN", "XX.C.10.HHE")
BOOT = "this boot"


def entry(number: int, size: int = 40) -> Entry:
    """Return the entry that a test appends as its *number*-th."""
    start_ns = START_NS + number * NS_PER_S
    seed = hashlib.sha256(str(number).encode()).digest()
    body = (seed * (size // len(seed) + 1))[: number % 7 + size]
    return Entry(STREAMS[number % 3], start_ns, start_ns + NS_PER_S - 1, body, number % 5, b"facts" * (number % 2))


def entries(first: int, count: int) -> list[Entry]:
    """Return *count* entries from number *first* on."""
    return [entry(number) for number in range(first, first + count)]


class Reports(list[Report]):
    """Keeps what a store reports."""

    def losses(self) -> list[Loss]:
        """Return the losses alone."""
        return [report for report in self if isinstance(report, Loss)]


def store(
    path: Path,
    reports: Reports | None = None,
    identity: str = BOOT,
    retention: Retention | None = None,
    segment_bytes: int = SEGMENT_BYTES,
    clock: Callable[[], int] = time.time_ns,
) -> Store:
    """Return a store of small segments, not open yet."""
    report = Reports() if reports is None else reports
    return Store(
        path,
        retention=retention,
        segment_bytes=segment_bytes,
        report=report.append,
        clock=clock,
        identity=lambda: identity,
    )


def read_all(reader: Reader, max_bytes: int = 1000) -> tuple[list[Stored], list[Loss]]:
    """Return all entries that a reader gives, and all losses."""
    found: list[Stored] = []
    lost: list[Loss] = []
    while (batch := reader.read(max_bytes)).entries or batch.losses or batch.skipped:
        found += batch.entries
        lost += batch.losses
    return found, lost


def content(found: Stored) -> Entry:
    """Return what was appended, of what was read."""
    return Entry(found.stream, found.start_ns, found.end_ns, found.body, found.format, found.facts)


def contents(found: Iterable[Stored]) -> list[Entry]:
    """Return what was appended, of all that was read."""
    return [content(each) for each in found]


def positions(found: Sequence[Stored]) -> list[int]:
    """Return the positions of what was read."""
    return [each.position for each in found]


def kill(killed: Store) -> None:
    """Let a store end as a kill of its process ends it: what was written is there, and nothing more comes."""
    killed._unlock()
    killed._writer = None
    killed._catalog.close()
    killed._parts.durability.close()


def flip(path: Path, byte: int, bit: int) -> None:
    """Turn one bit of a file."""
    with path.open("r+b") as file:
        old = os.pread(file.fileno(), 1, byte)
        os.pwrite(file.fileno(), bytes([old[0] ^ 1 << bit]), byte)


def segment_files(folder: Path) -> list[Path]:
    """Return the files of entries, in order."""
    return sorted(folder.glob("*.seg"))
