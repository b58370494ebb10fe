"""What this process uses of the machine: processor time, memory, threads, open files."""

import os
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path

_SELF = Path("/proc/self")
_MAX_RSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def usage() -> dict[str, int | float]:
    """Return what this process uses, as `status` shows it.

    ``cpu_s`` is processor time, of all its threads, since it began. ``memory_bytes`` is what it holds in memory now;
    where the system does not say that, the most that it ever held. ``open_files`` is -1 where the system does not say.
    """
    return {**cpu_and_memory(), "threads": threading.active_count(), "open_files": _open_files()}


def cpu_and_memory() -> dict[str, int | float]:
    """Return ``cpu_s`` and ``memory_bytes`` of `usage`, which cost little."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "memory_bytes": _resident_bytes() or used.ru_maxrss * _MAX_RSS_BYTES,
    }


def _resident_bytes() -> int:
    with suppress(OSError, ValueError, IndexError):
        return int((_SELF / "statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def _open_files() -> int:
    for folder in (_SELF / "fd", Path("/dev/fd")):
        with suppress(OSError):
            return len(os.listdir(folder))
    return -1
