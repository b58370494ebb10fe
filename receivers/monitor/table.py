"""The newest report of each component, in order of when it was heard."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from rawdaq.messages.monitor import OFFLINE, ComponentReport

Key = tuple[str, str, int]


class Heard(NamedTuple):
    """A component.

    Attributes:
        report: what it said last; of one that is offline with that state.
        at_s: when it was heard, in seconds that only run forward.
        at_ns: the same as a time.
    """

    report: ComponentReport
    at_s: float
    at_ns: int


class MonitorTable:
    """Remembers components, so many at most; the one that has been offline for longest makes room.

    Args:
        offline_s: one that is silent for so long is offline.
        max_names: how many are remembered.

    Attributes:
        forgotten: components that made room.
    """

    def __init__(self, offline_s: float, max_names: int) -> None:
        self.forgotten = 0
        self._offline_s = offline_s
        self._max_names = max_names
        self._online: OrderedDict[Key, Heard] = OrderedDict()  # those heard longest ago first
        self._offline: OrderedDict[Key, Heard] = OrderedDict()  # those offline for longest first

    def __len__(self) -> int:
        return len(self._online) + len(self._offline)

    def add(self, report: ComponentReport, now_s: float, now_ns: int) -> bool:
        """Remember *report*; return whether its component is known now."""
        key = report.key
        is_known = key in self._online or self._offline.pop(key, None) is not None
        if not is_known and len(self) >= self._max_names:
            if not self._offline:
                return False
            self._offline.popitem(last=False)
            self.forgotten += 1
        self._online[key] = Heard(report, now_s, now_ns)
        self._online.move_to_end(key)
        return True

    def gone(self, now_s: float) -> Iterator[Heard]:
        """Yield the components that have become offline by now."""
        while self._online:
            key, heard = next(iter(self._online.items()))
            if now_s - heard.at_s < self._offline_s:
                return
            del self._online[key]
            said = heard.report
            report = replace(said, state=OFFLINE, since_ns=heard.at_ns, has_data=False)
            self._offline[key] = heard = heard._replace(report=report)
            yield heard

    def all(self) -> list[Heard]:
        """Return all components in order of name, machine and process."""
        heard = [*self._online.values(), *self._offline.values()]
        return sorted(heard, key=lambda each: (each.report.name, each.report.host, each.report.pid))

    @property
    def online(self) -> int:
        """How many are online."""
        return len(self._online)
