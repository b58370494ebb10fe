"""Which components share a process."""

from collections.abc import Sequence
from itertools import pairwise

from rawdaq.config.settings import ComponentSettings


def spread(components: Sequence[ComponentSettings], count: int) -> list[list[ComponentSettings]]:
    """Return *components* as about *count* groups of like size, in their order; none is empty.

    Components share a process only with those of the same ``Daemon.core_id``. Every core gets a process, so there can
    be more than *count*; what is left of *count* goes where most components would share one.
    """
    by_core: dict[int | None, list[ComponentSettings]] = {}
    for component in components:
        by_core.setdefault(component.daemon.core_id, []).append(component)
    counts = dict.fromkeys(by_core, 1)
    for _ in range(min(count, len(components)) - len(by_core)):
        counts[max(by_core, key=lambda core: len(by_core[core]) / counts[core])] += 1
    return [group for core, members in by_core.items() for group in _parts(members, counts[core])]


def _parts(members: list[ComponentSettings], count: int) -> list[list[ComponentSettings]]:
    """Return *members* in *count* pieces; those of one station stay together as far as that goes."""
    edges = [len(members) * index // count for index in range(count + 1)]
    return [members[begin:end] for begin, end in pairwise(edges)]
