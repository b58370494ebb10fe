"""From a case to findings, in the order of the way of a sample; the rule of health says what is wrong.

It asks nothing and reads no clock.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rawdaq.control.doctor.case import Case
from rawdaq.control.doctor.delivering import delivering
from rawdaq.control.doctor.finding import Check, Finding, Verdict, good, in_order, unknown, wrong
from rawdaq.control.doctor.receiving import clock_of_machine, is_cut_off, receiving
from rawdaq.control.health.parts import count
from rawdaq.control.health.problem import Problem, Severity
from rawdaq.control.health.rule import health
from rawdaq.times import duration_text

_PROGRAM = "control-rawdaq"

#: Where problems are shown, by how bad they are; those that have no place here are of the data.
_CHECKS: Final[Mapping[Severity, Check]] = {
    Severity.DEAD: Check.PROCESS,
    Severity.HUNG: Check.COMMANDS,
    Severity.STOPPED: Check.PROCESS,
    Severity.PAUSED: Check.PROCESS,
    Severity.NOTHING_KEPT: Check.JOURNAL,
    Severity.DISK_FULL: Check.DISK,
    Severity.PUBLISHER_PAUSED: Check.PUBLISHERS,
    Severity.NOTHING_READ: Check.PUBLISHERS,
    Severity.DROPPING: Check.PUBLISHERS,
    Severity.UNSAFE: Check.DISK,
    Severity.LATE: Check.CLOCK,
    Severity.CLOCK_QUALITY: Check.CLOCK,
}
_OF_A_CONNECTION: Final = (Check.HANDSHAKE, Check.CHANNELS, Check.DATA)
_REMEDIES: Final[Mapping[Severity, str]] = {
    Severity.DEAD: f"see `{_PROGRAM} logs {{title}}`, then: {_PROGRAM} start {{title}}",
    Severity.HUNG: f"see `{_PROGRAM} logs {{title}}`; when it hangs for long: {_PROGRAM} restart {{title}}",
    Severity.STOPPED: f"start it: {_PROGRAM} start {{title}}",
    Severity.PAUSED: f"{_PROGRAM} send {{title}} resume",
    Severity.NO_DATA: "is the device on, and its cable, its network and its sensor?",
    Severity.DISK_FULL: "remove old files, or move the folder to a larger disk",
    Severity.PUBLISHER_PAUSED: f"repair that; it tries again by itself, or at once: {_PROGRAM} send {{title}} retry",
    Severity.DROPPING: "what it delivers to is too slow or away; a journal keeps what has to wait",
    Severity.LATE: "set the clocks of the device and of this machine, and see whether the link is too slow",
    Severity.CLOCK_QUALITY: "does the receiver of the clock (GPS, NTP) of the device see anything?",
}


def diagnose(case: Case) -> list[Finding]:
    """Return what is found, a tick, a cross or a dash for each check at least."""
    judged = health(case.row, case.now_ns, must_run=True)
    findings = [
        *_configuration(case),
        *_permissions(case),
        *(_of_problem(case, problem) for problem in judged.problems if problem.needs_a_person),
        *receiving(case),
        *delivering(case),
        *clock_of_machine(case.now_ns),
    ]
    if case.socket_missing:
        remedy = "it comes back by itself within seconds; see which program cleans up there"
        findings.append(wrong(Check.COMMANDS, "its command socket was removed from the runtime folder", remedy))
    return in_order([*findings, *_others(case, findings)])


def of_runtime(problem: str) -> Finding:
    """Return what is found where the runtime folder cannot be used: there nobody can be asked."""
    return wrong(Check.PERMISSIONS, problem, "repair the folder, or set RAWDAQ_RUNTIME_DIR to another one")


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.verdict is not Verdict.WRONG for finding in findings)


def _configuration(case: Case) -> Iterator[Finding]:
    for mistake in case.mistakes:
        yield wrong(Check.CONFIGURATION, mistake, f"{_PROGRAM} check")
    file = case.row.get("file")
    if case.settings is None and not Path(str(file)).is_absolute():
        yield unknown(Check.CONFIGURATION, f"it runs from {file}")
    elif case.mistakes:
        return
    elif case.is_foreign:
        yield unknown(Check.CONFIGURATION, f"it runs from {file}, which is not looked at: name it with -c")
    elif case.settings is None:
        remedy = f"it runs from {file}; name that with -c, or stop it: {_PROGRAM} stop {case.title}"
        yield wrong(Check.CONFIGURATION, "no valid station file describes it", remedy)
    else:
        yield good(Check.CONFIGURATION, f"{case.settings.file} is valid")
        age_s = count(case.row, "settings_age_s" if "settings_age_s" in case.row else "uptime_s")
        if case.is_answering and case.changed_ns > case.now_ns - round(age_s * 1e9):
            remedy = f"let it have what is new: {_PROGRAM} reload {case.title}; that says when it must be restarted"
            ago = duration_text(max(0, case.now_ns - case.changed_ns) / 1e9)
            yield unknown(Check.CONFIGURATION, f"the file was changed {ago} ago, after it was read", remedy)


def _permissions(case: Case) -> Iterator[Finding]:
    for part, reason in case.folders.items():
        remedy = "let the user that runs the component write there, or mount the disk"
        yield wrong(Check.PERMISSIONS, f"{part} cannot write: {reason}", remedy)
    for part, reason in case.taken.items():
        yield wrong(Check.PUBLISHERS if part != "receiver" else Check.DEVICE, f"{part} {reason}")


def _of_problem(case: Case, problem: Problem) -> Finding:
    check = _CHECKS.get(problem.severity, Check.DATA)
    if problem.severity is Severity.NO_DATA and not problem.streams:
        check = Check.DEVICE
    since = "" if problem.since_ns is None or "silent for" in problem.text else _since(problem.since_ns, case.now_ns)
    return wrong(check, problem.text + since, _REMEDIES.get(problem.severity, "").format(title=case.title))


def _since(since_ns: int, now_ns: int) -> str:
    return f" (for {duration_text(max(0, now_ns - since_ns) / 1e9)})"


def _others(case: Case, findings: list[Finding]) -> Iterator[Finding]:
    """Yield what is good, or was not looked at, where nothing was found."""
    found = {finding.check for finding in findings}
    ticks = {
        Check.PERMISSIONS: "its folders can be written",
        Check.PROCESS: f"it runs, pid {case.row.get('pid')}",
        Check.COMMANDS: "it answers",
        Check.DATA: "all streams come",
        Check.CLOCK: "the times of packets can be right",
        Check.DISK: "its disks have room",
        Check.PUBLISHERS: "all publishers deliver",
        Check.JOURNAL: "the journal keeps what comes" if case.row.get("journal") else "it has none",
    }
    why = f"it is {case.state}" if case.state not in ("running", "paused") else "it does not answer"
    for check in Check:
        if check in found:
            continue
        if check is Check.PERMISSIONS or (check is Check.PROCESS and case.state in ("running", "paused", "hung")):
            yield good(check, ticks[check])
        elif case.is_answering and is_cut_off(case) and check in _OF_A_CONNECTION:
            yield unknown(check, "cannot be known while nothing is connected")
        elif case.is_answering and check in ticks:
            yield good(check, ticks[check])
        elif case.is_answering:
            yield unknown(check, "there is none")
        else:
            yield unknown(check, f"not looked at: {why}")
