"""The rule: what is wrong with a component, from what it answers to ``status``, and how bad that is.

It asks nothing and reads no clock: the same JSON gives the same problems on a page, in an alarm and in a test. Keys
that are missing, as those of a component of another version, are no problem.
"""

from collections.abc import Iterable

from rawdaq.control.health.parts import entries, items, number, part, past_ns, time_ns
from rawdaq.control.health.problem import Health, Problem, Row, Severity
from rawdaq.control.health.publishers import of_disks, of_journal, of_publishers
from rawdaq.control.health.streams import of_streams

_TROUBLES = ("problem", "state_failure", "state_error")  # keys of a receiver that say what is wrong
_OF_STATES = {"dead": Severity.DEAD, "failed": Severity.DEAD}


def health(row: Row, now_ns: int, *, must_run: bool = False) -> Health:
    """Return what is wrong with a component, the worst first.

    >>> row = {"state": "running", "streams": {"XX.A..HHZ": {"silent_s": 40.0}}}
    >>> health(row, 100 * 10**9).problems[0].text
    'XX.A..HHZ silent for 40.0 s'

    Args:
        row: the component's entry in ``status --json``, see `rawdaq.control.status.rows`.
        now_ns: when the row was made; from it and the durations of the row follows since when a problem is there.
        must_run: whether a component that was stopped in order is a problem too.
    """
    return Health(sorted(_problems(row, now_ns, must_run=must_run), key=lambda problem: problem.order))


def _problems(row: Row, now_ns: int, *, must_run: bool) -> Iterable[Problem]:
    state = str(row.get("state"))
    if error := row.get("error"):
        return [Problem(_OF_STATES.get(state, Severity.HUNG), str(error), time_ns(row.get("ended")))]
    if state == "stopped":
        return [Problem(Severity.STOPPED, "it does not run")] if must_run else []
    publishers = of_publishers(row, now_ns)
    found = [*_of_state(state), *_of_receiver(part(row, "receiver"), now_ns), *_of_refusals(row), *publishers]
    if any(problem.needs_a_person for problem in publishers):  # else it is how back-pressure works under load
        found += _of_holds(part(row, "receiver"))
    found += [*of_journal(part(row, "journal")), *of_disks(row)]
    return [*found, *of_streams(entries(row.get("streams")), now_ns)]


def _of_state(state: str) -> Iterable[Problem]:
    if state == "paused":
        yield Problem(Severity.PAUSED, "paused by command; the command `resume` goes on")
    elif state != "running":
        yield Problem(Severity.STOPPED, f"it is {state}")


def _of_receiver(receiver: Row, now_ns: int) -> Iterable[Problem]:
    """Yield what is wrong with the side from which data come."""
    for endpoint in items(receiver.get("endpoints")):
        if endpoint.get("connected") is False:
            reason = endpoint.get("last_failure")
            text = f"{endpoint.get('address')} is not connected" + (f": {reason}" if reason else " yet")
            yield Problem(Severity.NO_DATA, text, past_ns(endpoint.get("disconnected_s"), now_ns))
    for each in (receiver, *entries(receiver).values()):
        yield from (Problem(Severity.UNSAFE, str(each[key])) for key in _TROUBLES if each.get(key))
    if number(skipped := receiver.get("files_skipped")):
        reasons = receiver.get("skipped")
        first = reasons[0] if isinstance(reasons, list) and reasons else "see the log"
        text = f"{skipped} of {receiver.get('files')} files are not played: {first}"
        yield Problem(Severity.INCOMPLETE, text)


def _of_refusals(row: Row) -> Iterable[Problem]:
    """Yield why all that comes is refused, as by a wrong format, if that is so."""
    receiver = part(row, "receiver")
    if row.get("streams") or row.get("topics"):
        return
    counts = {reason: number(count) or 0 for reason, count in part(receiver, "refused_by_reason").items()}
    if counts and number(receiver.get("refused")):
        most = max(counts, key=lambda reason: counts[reason])
        text = f"nothing of what comes is accepted: {receiver['refused']} refused, most as {most!r}"
        yield Problem(Severity.NO_DATA, f"{text}; see its log")


def _of_holds(receiver: Row) -> Iterable[Problem]:
    """Yield why nothing is read, if that is so."""
    held = [endpoint.get("held") for endpoint in items(receiver.get("endpoints"))]
    reasons = {str(reason) for each in held if isinstance(each, list) for reason in each if reason != "paused"}
    for reason in sorted(reasons):
        yield Problem(Severity.NOTHING_READ, f"nothing is read meanwhile: {reason}")
