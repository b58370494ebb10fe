"""Appends to a store until it is killed: ``python -m tests.store.appender``, a folder on each line of its input.

For each it prints the number of the process, then the positions of each group when they are acknowledged, then ``end``
when that process has ended. What is in an entry follows from its position.
"""

import os
import sys
from pathlib import Path

from rawdaq.store.retention import Retention
from rawdaq.store.store import Store
from rawdaq.store.threads import SyncThread
from rawdaq.store.values import Entry
from tests.store.logs import entry

NUMBERS = 1 << 20
SEGMENT_BYTES = 1 << 14
RETENTION = Retention(max_bytes=6 * SEGMENT_BYTES)


def entry_at(position: int) -> Entry:
    """Return the entry that stands at *position*."""
    return entry(position % NUMBERS)


def tell(text: str) -> None:
    """Print a line with one call of the system."""
    os.write(1, f"{text}\n".encode())


def ignore(what: object) -> None:
    """Say nothing of it."""


def append(folder: Path) -> None:
    """Append for ever."""
    store = Store(folder, retention=RETENTION, segment_bytes=SEGMENT_BYTES, report=ignore)
    store.open()
    sync = SyncThread(store, 0, ignore, ignore)
    count = 0
    while True:
        count = count % 9 + 1
        first = store.next_position
        given = store.append([entry_at(first + number) for number in range(count)])
        sync.want()
        tell(f"{given.start} {given.stop}")


def main() -> None:
    """Run one process after the other."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            append(Path(line.strip()))
        tell(f"process {child}")
        os.waitpid(child, 0)
        tell("end")


if __name__ == "__main__":
    main()
