"""Which numbers of open files are left to others: ZMQ, which answers commands, ends the process when it gets none.

The system gives the lowest number that is free. So who gets one from a kept range knows that hardly any are left.
"""

import resource
import sys

_FOR_COMMANDS = 64  # at most, where the system allows a process only few
_FOR_SOCKETS = 2 * _FOR_COMMANDS


def first_for_commands() -> int:
    """Return the number from which on they are for who asks with `control-rawdaq`, and not for subscribers."""
    return _first_of_last(_FOR_COMMANDS, 4)


def first_for_sockets() -> int:
    """Return the number from which on they are for devices and subscribers too, and not for files of archives."""
    return _first_of_last(_FOR_SOCKETS, 2)


def _first_of_last(kept: int, part: int) -> int:
    """Return where the last *kept* numbers begin; where there are few, the last of so many parts of all."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - min(kept, limit // part)
