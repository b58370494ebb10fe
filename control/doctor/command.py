"""``control-rawdaq doctor``: why there is no data, a tick or a cross for each thing on the way of a sample."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation

if TYPE_CHECKING:
    from rawdaq.control.doctor.finding import Finding


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...|all]")
@invocation.json_option
@invocation.config_option
def doctor(names: Sequence[str], as_json: bool) -> int:
    """Say why there is no data: a tick or a cross for each thing on the way of a sample, and what to do.

    Of components that run their own answers are judged. The device of one that does not run is dialled and asked
    for its channels, but not started, so that it keeps its data; addresses to listen on are tried.

    \b
    Exit status:
      0  nothing is wrong
      1  something is
      2  wrong usage, or a station file is invalid
    """  # noqa: D301 - click's mark of lines that stay as they are
    from rawdaq.control.doctor.case import gather, runtime_problem
    from rawdaq.control.doctor.diagnosis import diagnose, is_well, of_runtime
    from rawdaq.control.processes.jobs import run_each
    from rawdaq.control.status import rows

    words = list(names) or ["all"]
    with invocation.runtime_files() as runtime:
        if problem := runtime_problem(runtime):  # nobody can be asked
            _show({"this machine": [of_runtime(problem)]}, as_json=as_json)
            return 1
        targets, invalid = invocation.find(words, runtime)
        known = rows.statuses(targets, runtime, must_run=True)
        mistakes = () if invalid is None else invalid.problems
        configuration = invocation.configuration()
        pairs = list(zip(targets, known, strict=True))
        cases = run_each(lambda pair: gather(*pair, runtime, mistakes, configuration), pairs)
    diagnoses: dict[str, list[Finding]] = {}
    for target, case in zip(targets, cases, strict=True):
        if isinstance(case, Exception):
            raise case
        diagnoses[target.title] = diagnose(case)
    _show(diagnoses, as_json=as_json)
    if config_status := invocation.report_invalid(invalid, words):
        return config_status
    return 0 if all(map(is_well, diagnoses.values())) else 1


def _show(diagnoses: dict[str, "list[Finding]"], *, as_json: bool) -> None:
    """Print the findings of each component: as JSON, or aligned, in plain text where it is not a terminal."""
    if as_json:
        return invocation.print_json({title: [each.as_json() for each in found] for title, found in diagnoses.items()})
    for index, (title, findings) in enumerate(diagnoses.items()):
        if index:
            click.echo()
        click.secho(title, bold=True)
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            colour = {"good": "green", "wrong": "red", "unknown": None}[finding.verdict]
            sign = click.style(finding.verdict.glyph, fg=colour)
            click.echo(f"  {sign} {str(finding.check).ljust(width)}  {finding.text}")
            if finding.remedy:
                click.echo(f"    {' ' * width}  {finding.remedy}")
