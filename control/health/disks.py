"""What only a look at the disks shows: how much is free where components write, and when it will be used up.

A look can hang, as one at a network disk whose server is gone, so the program that asks makes it, not the component.
"""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rawdaq.control.health.parts import count, entries, number, part
from rawdaq.control.health.problem import Row

_TIMEOUT_S = 2.0
_THREADS = 32  # a thousand components have a thousand folders
_STEADY_S = 600.0  # before that, what was written at the start says nothing of the days to come


class Disk(NamedTuple):
    """One look at a disk: its device number, its size, and what is free for users other than root."""

    device: int
    size_bytes: int
    free_bytes: int


class _Folder(NamedTuple):
    """Where a part of a component writes: its name in ``disks``, the path, and how fast it grows."""

    name: str
    path: str
    bytes_a_day: float


def with_disks(rows: Sequence[Row]) -> list[Row]:
    """Return *rows* with ``disks``: for each part that writes to a disk, by name, what is free there.

    The names are those of publishers, ``journal``, ``capture`` and ``receiver``. ``left_s`` is for how long that lasts
    at the rate at which all parts of *rows* have filled that disk since they started; None where nothing grows, or
    where it is too early to say.
    """
    folders = [_folders(row) for row in rows]
    disks = look_at({folder.path for each in folders for folder in each})
    grows: Counter[int] = Counter()
    for folder in (folder for each in folders for folder in each):
        if isinstance(disk := disks.get(folder.path), Disk):
            grows[disk.device] += round(folder.bytes_a_day)
    shown: list[Row] = []
    for row, each in zip(rows, folders, strict=True):
        found: Row = {folder.name: _entry(folder.path, disks.get(folder.path), grows) for folder in each}
        entry: Row = {"disks": found}
        shown.append(row | entry)
    return shown


def _folders(row: Row) -> list[_Folder]:
    """Return where a component writes; it must be running, for others do not say."""
    parts = entries(row.get("publishers"))
    receiver = part(row, "receiver")
    others = {"receiver": receiver, "capture": part(receiver, "capture"), "journal": part(row, "journal")}
    parts |= {name: each for name, each in others.items() if each}
    uptime_s = count(row, "uptime_s")
    return [
        _Folder(name, path, _written(each) / uptime_s * 86_400 if uptime_s >= _STEADY_S else 0.0)
        for name, each in parts.items()
        if isinstance(path := each.get("path"), str) and path
    ]


def _written(shown: Row) -> float:
    """Return how much a publisher has written into files that nobody removes; those of rings and journals are."""
    written = number(shown.get("written_bytes"))
    return written if written is not None else count(shown, "bytes") if "open_files" in shown else 0


def _entry(path: str, disk: Disk | str | None, grows: Mapping[int, int]) -> Row:
    if not isinstance(disk, Disk):
        return {"path": path, "failure": disk or f"it does not answer within {_TIMEOUT_S:g} s"}
    a_day = grows.get(disk.device, 0)
    return {
        "path": path,
        "size_bytes": disk.size_bytes,
        "free_bytes": disk.free_bytes,
        "grows_bytes_per_day": a_day,
        "left_s": round(disk.free_bytes / a_day * 86_400) if a_day else None,
    }


def look_at(paths: Iterable[str], timeout_s: float = _TIMEOUT_S) -> dict[str, Disk | str]:
    """Return what is free at *paths*, or why that cannot be said; a path whose disk does not answer is missing.

    Several threads look: a disk that hangs holds up one of them, neither the others nor the program.
    """
    found: dict[str, Disk | str] = {}
    left = deque(sorted(set(paths)))

    def look() -> None:
        with suppress(IndexError):  # nothing is left
            while True:
                path = left.popleft()
                found[path] = _disk(Path(path))

    threads = [threading.Thread(target=look, daemon=True) for _ in range(min(_THREADS, len(left)))]
    end_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    left.clear()
    return dict(found)


def _disk(path: Path) -> Disk | str:
    """Return what is free at *path*, or, while that is not there, at the folder above."""
    try:
        while not path.exists() and path != path.parent:
            path = path.parent
        shown = os.statvfs(path)
        device = path.stat().st_dev
    except OSError as error:
        return error.strerror or str(error)
    return Disk(device, shown.f_frsize * shown.f_blocks, shown.f_frsize * shown.f_bavail)
