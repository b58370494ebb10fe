"""What is wrong with a component, from the report that it sends to a monitor: less is known than by asking it."""

from collections.abc import Iterable

from rawdaq.control.health.problem import Health, Problem, Severity
from rawdaq.messages.monitor import OFFLINE, ComponentReport
from rawdaq.times import to_iso

_RUNNING = "running"


def health_of_report(report: ComponentReport) -> Health:
    """Return what is wrong with the component that *report* is about, the worst first.

    >>> health_of_report(ComponentReport("XX.A.Raw", streams=3, silent=1)).problems[0].text
    '1 of 3 streams is silent'
    """
    return Health(sorted(_problems(report), key=lambda problem: problem.order))


def _problems(report: ComponentReport) -> Iterable[Problem]:
    if report.state == OFFLINE:
        heard = f"; it was heard last at {to_iso(report.since_ns, 0)}" if report.since_ns else ""
        return [Problem(Severity.STOPPED, f"it is {OFFLINE}{heard}", report.since_ns)]
    found: list[Problem] = []
    if report.state == "paused":
        found.append(Problem(Severity.PAUSED, "paused by command; the command `resume` goes on"))
    elif report.state != _RUNNING:
        found.append(Problem(Severity.STOPPED, f"it is {report.state}"))
    if report.silent:
        verb = "is" if report.silent == 1 else "are"
        text = f"{report.silent} of {report.streams} streams {verb} silent"
        found.append(Problem(Severity.NO_DATA, text))
    return found + [Problem(Severity.UNSAFE, text) for text in report.problems]
