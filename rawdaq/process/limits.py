"""The processor cores of this process."""

import os
from collections.abc import Set

from rawdaq.errors import ComponentError


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
