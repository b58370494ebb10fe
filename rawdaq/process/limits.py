"""Open files and processor cores of this process: what it may use, and what is kept for whom.

ZMQ, which answers commands, ends the process when it gets no descriptor. The system gives the lowest number that is
free, so a descriptor from a reserved range shows that hardly any are left: the last numbers are kept for commands, the
ones before them for sockets.
"""

import os
import resource
import sys
from collections.abc import Set
from contextlib import suppress

from rawdaq.errors import ComponentError

_FOR_COMMANDS = 64  # at most; fewer where the system allows a process only few
_FOR_SOCKETS = 2 * _FOR_COMMANDS


def first_for_commands() -> int:
    """Return the lowest descriptor that is kept for `control-rawdaq`, and not for subscribers."""
    return _first_of_last(_FOR_COMMANDS, 4)


def first_for_sockets() -> int:
    """Return the lowest descriptor that is kept for devices and subscribers too, and not for files of archives."""
    return _first_of_last(_FOR_SOCKETS, 2)


def _first_of_last(kept: int, part: int) -> int:
    """Return where the last *kept* descriptors begin, or the last *part*-th of all when that is less."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - min(kept, limit // part)


def highest_open_files() -> int | None:
    """Return how many files the system lets this process open at most; None: any number."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if highest == resource.RLIM_INFINITY else highest


def raise_open_files() -> None:
    """Let this process open as many files as the system allows."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says that it is infinite, and refuses that
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))


def bind_cores(core_ids: Set[int]) -> None:
    """Keep this process on the processor cores *core_ids*; without effect where the system cannot do that.

    Raises:
        ComponentError: this machine has none of them.
    """
    if not core_ids or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(0, core_ids)
    except OSError as error:
        asked = ", ".join(map(str, sorted(core_ids)))
        cores = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        raise ComponentError(f"Daemon.core_id {asked} cannot be used: {error.strerror}; cores here: {cores}") from error
