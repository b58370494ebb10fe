"""``control-rawdaq status``: what components are doing, and what a person must look at."""

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation

if TYPE_CHECKING:
    from rawdaq.control.health.problem import Row

_EVERY_S = "2"


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...|all]")
@click.option("-v", "--verbose", is_flag=True, help="Show receiver, publishers and streams too, as for a NAME.")
@click.option("--problems", "only_problems", is_flag=True, help="Show only what is wrong, one line a component.")
@click.option(
    "--watch",
    is_flag=False,
    flag_value=_EVERY_S,
    metavar="[SECONDS]",
    help=f"Show it again every SECONDS, {_EVERY_S} by default, until Ctrl-C.",
)
@invocation.json_option
@invocation.config_option
def status(names: Sequence[str], verbose: bool, only_problems: bool, watch: str | None, as_json: bool) -> int:
    """Show what components are doing, and what a person must look at.

    One line a component; with -v, or for a NAME, its receiver, publishers and streams.

    \b
    Exit status:
      0  all is well; components that were stopped are
      1  something needs a person, and its line says what: a component is
         dead, failed, hung or paused, or a named one does not run; a publisher
         is paused or holds data; a stream is silent or late; a receiver is
         not connected; a clock is wrong or doubtful; a disk is nearly full
      2  wrong usage, or a station file is invalid (unless components are named)

    For cron: control-rawdaq status --problems
    """  # noqa: D301 - click's mark of lines that stay as they are
    every_s = _seconds(watch)
    if watch is not None and every_s is None:  # the word after --watch is a name
        names, every_s = (watch, *names), float(_EVERY_S)
    is_long = verbose or ("all" not in names and bool(names))
    show = partial(_show, names or ["all"], as_json=as_json, only_problems=only_problems, is_long=is_long)
    result = show(is_again=False)
    while every_s is not None:
        try:
            time.sleep(every_s)
        except KeyboardInterrupt:
            break
        result = show(is_again=True)
    return result


def _seconds(word: str | None) -> float | None:
    try:
        return None if word is None else max(0.1, float(word))
    except ValueError:
        return None


def _show(words: Sequence[str], *, as_json: bool, only_problems: bool, is_long: bool, is_again: bool) -> int:
    """Show the components that *words* name; return the exit status."""
    from rawdaq.control.status import rows

    with invocation.runtime_files() as runtime:
        targets, invalid = invocation.find(words, runtime)
        known = rows.statuses(targets, runtime, must_run="all" not in words)
    if as_json:
        invocation.print_json(known)
    else:
        _print(known, only_problems=only_problems, is_long=is_long, is_again=is_again)
    config_status = invocation.report_invalid(invalid, words)
    return 1 if any(row["problems"] for row in known) else config_status


def _print(known: Sequence["Row"], *, only_problems: bool, is_long: bool, is_again: bool) -> None:
    from rawdaq.control.status import tables

    if is_again:
        tables.clear()
    if only_problems:
        tables.print_problems(known)
    elif is_long:
        for row in known:
            tables.print_status(row)
    else:
        tables.print_summary(known)
