"""Components as the dashboard shows them, made of the reports that a monitor publishes."""

from rawdaq.control.dash.values.board import Component
from rawdaq.control.health.problem import Severity
from rawdaq.control.health.reports import health_of_report
from rawdaq.messages.monitor import ComponentReport
from rawdaq.times import NS_PER_S, duration_text

#: More components are not remembered; a `MonitorReceiver` has the same limit by default.
MAX_COMPONENTS = 10_000
_UNKNOWN_S = 5.0  # the monitor says after 1.5 s that somebody is offline: so long, and the monitor is away
_Key = tuple[str, str, int]


class Reports:
    """The newest report of each component.

    Attributes:
        refused: reports of further components than `MAX_COMPONENTS`.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._heard: dict[_Key, tuple[ComponentReport, int]] = {}

    def __len__(self) -> int:
        return len(self._heard)

    def add(self, report: ComponentReport, now_ns: int) -> None:
        """Remember *report*, which came at *now_ns*; one that is offline makes room for another."""
        if report.key not in self._heard and len(self._heard) >= MAX_COMPONENTS:
            offline = next((key for key, (each, _) in self._heard.items() if not each.is_online), None)
            if offline is None:
                self.refused += 1
                return
            del self._heard[offline]
        self._heard[report.key] = report, now_ns

    def components(self, now_ns: int) -> list[Component]:
        """Return a component for each; an earlier process of one that has been started again is left out."""
        for key in self._replaced():
            del self._heard[key]
        several = _several(list(self._heard))
        return [_component(report, at_ns, now_ns, key in several) for key, (report, at_ns) in self._heard.items()]

    def _replaced(self) -> list[_Key]:
        """Return the processes that have ended, or fallen silent, before another of their name began."""
        began: dict[tuple[str, str], int] = {}
        for report, at_ns in self._heard.values():
            if report.is_online:
                name = report.host, report.name
                since_ns = at_ns - round((report.uptime_s or 0.0) * NS_PER_S)
                began[name] = max(since_ns, began.get(name, since_ns))
        return [
            key
            for key, (report, at_ns) in self._heard.items()
            if (began_ns := began.get(key[:2])) is not None and (not report.is_online or at_ns < began_ns)
        ]


def _several(keys: list[_Key]) -> set[_Key]:
    """Return those of *keys* that are not the only one of their machine and name."""
    newest: dict[tuple[str, str], _Key] = {}
    found: set[_Key] = set()
    for key in keys:
        other = newest.setdefault(key[:2], key)
        if other != key:
            found |= {other, key}
    return found


def _component(report: ComponentReport, at_ns: int, now_ns: int, is_one_of_several: bool) -> Component:
    judged = health_of_report(report)
    age_s = (now_ns - at_ns) / NS_PER_S
    state, since_ns, severity = report.state, report.since_ns, judged.number
    reasons = tuple(each.text for each in judged.problems)
    if report.is_online and age_s >= _UNKNOWN_S:
        state, since_ns, severity = "unknown", at_ns, int(Severity.HUNG)
        reasons = (f"no report for {duration_text(age_s)}, and nobody says that it is offline: is the monitor away?",)
    elif report.is_online and report.uptime_s is not None:
        since_ns = at_ns - round(report.uptime_s * NS_PER_S)
    name = f"{report.name}[{report.pid}]" if is_one_of_several else report.name
    is_known = report.is_online and "uptime_s" in report.values
    rates = [each for each in (report.packets_per_s, report.messages_per_s) if each is not None]
    return Component(
        key=" ".join((report.host, name)),
        name=name,
        state=state,
        host=report.host,
        pid=report.pid or None,
        since_ns=since_ns,
        uptime_s=report.uptime_s,
        has_data=report.has_data,
        items_per_s=None if not rates else sum(rates),
        samples_per_s=report.samples_per_s,
        latency_s=report.latency_s,
        gaps=report.gaps if is_known else None,
        dropped=report.dropped if is_known else None,
        waiting=report.waiting if is_known else None,
        waiting_bytes=report.waiting_bytes if is_known else None,
        cpu_percent=report.cpu_percent,
        memory_bytes=report.memory_bytes or None,
        number=severity,
        reasons=reasons,
        said=dict(report.values),
    )
