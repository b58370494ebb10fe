"""Open files of this process: what it may use, what is kept for whom, and what to do when there are too few.

ZMQ, which answers commands, ends the process when it gets no descriptor. The system gives the lowest number that is
free, so a descriptor from a reserved range shows that hardly any are left: the last numbers are kept for commands, the
ones before them for sockets.
"""

import os
import resource
import sys
from contextlib import suppress

from rawdaq.errors import ComponentError

#: What to do when a process may not open enough files.
REMEDY = "raise the limit (ulimit -n; LimitNOFILE= in a unit of systemd)"

_FOR_COMMANDS = 64  # at most; fewer where the system allows a process only few
_FOR_SOCKETS = 2 * _FOR_COMMANDS


def first_for_commands() -> int:
    """Return the lowest descriptor that is kept for `control-rawdaq`, and not for devices and subscribers."""
    return _first_of_last(_FOR_COMMANDS, 4)


def first_for_sockets() -> int:
    """Return the lowest descriptor that is kept for devices and subscribers too, and not for files of archives."""
    return _first_of_last(_FOR_SOCKETS, 2)


def _first_of_last(kept: int, part: int) -> int:
    """Return where the last *kept* descriptors begin, or the last *part*-th of all when that is less."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - min(kept, limit // part)


def is_connection_left(descriptor: int) -> bool:
    """Whether one more connection leaves those descriptors that are kept for commands.

    Args:
        descriptor: any open one, of which a copy is made for a moment.

    Raises:
        OSError: there is no descriptor at all.
    """
    probe = os.dup(descriptor)
    os.close(probe)
    return probe < first_for_commands()


def highest_open_files() -> int | None:
    """Return how many files the system lets this process open at most; None: any number."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if highest == resource.RLIM_INFINITY else highest


def raise_open_files(needed: int = 0) -> None:
    """Let this process open as many files as the system allows.

    Raises:
        ComponentError: these are fewer than *needed*.
    """
    highest = highest_open_files()
    if highest is not None and highest < needed:
        raise ComponentError(f"a process may have only {highest} open files here, and needs {needed}: {REMEDY}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says that it is infinite, and refuses that
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
