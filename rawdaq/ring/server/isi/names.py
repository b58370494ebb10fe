"""The streams of a ring as ISI calls them, which knows no networks."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from rawdaq.protocols.isi import IsiName
from rawdaq.ring.names import isi_name, seed_name

#: The streams of a ring behind each name of ISI.
Streams: TypeAlias = Mapping[IsiName, Sequence[str]]


class IsiNames:
    """Finds what ISI calls streams; what it has no name for is logged, once each.

    Args:
        log: where that is logged.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: set[str] = set()

    def find(self, names: Iterable[str]) -> Streams:
        """Return the streams behind each name of ISI, in order: those of one network, whatever their format.

        Of streams that differ only in their network the first by name is served.
        """
        found: dict[IsiName, list[str]] = {}
        for name in sorted(names):
            seed, called = seed_name(name), isi_name(name)
            if seed is None:
                continue
            if called is None:
                self._leave_out(name, "its codes are longer than those of ISI (station 7, channel 3, location 2)")
                continue
            others = found.setdefault(called, [])
            first = seed_name(others[0]) if others else seed
            if first is not None and first.network != seed.network:
                self._leave_out(name, f"ISI has no networks, and {others[0]} is called {called} already")
                continue
            others.append(name)
        return dict(sorted(found.items()))

    @staticmethod
    def matching(wanted: IsiName, streams: Streams) -> Streams:
        """Return those of *streams* that *wanted* means."""
        if wanted.is_wild:
            return {called: names for called, names in streams.items() if wanted.matches(called)}
        called = IsiName(*(part.lower() for part in wanted))
        return {called: streams[called]} if called in streams else {}

    def _leave_out(self, name: str, reason: str) -> None:
        if name not in self._logged:
            self._logged.add(name)
            self._log.warning("%s is not served by ISI: %s", name, reason)
