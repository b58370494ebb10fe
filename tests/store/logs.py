"""Small stores for tests: what is in an entry follows from its number, so one look tells lost, doubled and moved."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rawdaq.store.errors import StoreFull as StoreFull
from rawdaq.store.retention import Retention
from rawdaq.store.segments.reading import Reader
from rawdaq.store.store import Store
from rawdaq.store.values import Entry, Loss, Report, Stored

NS_PER_S = 1_000_000_000
START_NS = 1_795_219_200 * NS_PER_S
SEGMENT_BYTES = 4096
STREAMS = ("XX.A..HHZ", "XX.B..HHN", "XX.C.10.HHE")


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


def store(path: Path, reports: Reports | None = None, identity: str = "this boot", **options: object) -> Store:
    """Return a store of small segments, not open yet."""
    kept = Reports() if reports is None else reports
    retention = options.pop("retention", None)
    size = options.pop("segment_bytes", SEGMENT_BYTES)
    clock = options.pop("clock", None)
    assert not options and isinstance(size, int) and (retention is None or isinstance(retention, Retention))
    more: dict[str, Callable[[], int]] = {"clock": clock} if callable(clock) else {}  # type: ignore[dict-item]
    return Store(path, retention=retention, segment_bytes=size, report=kept.append, identity=lambda: identity, **more)


def read_all(reader: Reader, max_bytes: int = 1000) -> tuple[list[Stored], list[Loss]]:
    """Return all entries that a reader gives, and all losses."""
    found: list[Stored] = []
    lost: list[Loss] = []
    while (batch := reader.read(max_bytes)).entries or batch.losses or batch.skipped:
        found += batch.entries
        lost += batch.losses
    return found, lost


def contents(found: Iterable[Stored]) -> list[Entry]:
    """Return what was appended, of what was read."""
    return [Entry(each.stream, each.start_ns, each.end_ns, each.body, each.format, each.facts) for each in found]


def positions(found: Sequence[Stored]) -> list[int]:
    """Return the positions of what was read."""
    return [each.position for each in found]


def kill(killed: Store) -> None:
    """Let a store end as a kill of its process ends it: what was written is there, and nothing more comes."""
    killed._writer = killed._lock = None
    killed._catalog.close()
    killed._parts.durability.close()
