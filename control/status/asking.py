"""Asks all components of a command line again and again, from any thread, as a page, metrics and alarms need it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import click

from rawdaq.control import invocation
from rawdaq.control.health.problem import Row
from rawdaq.control.status import rows


class Asked(NamedTuple):
    """What came of asking.

    Attributes:
        rows: the status of each component, see `rawdaq.control.status.rows.statuses`.
        mistakes: what is wrong with station files, of which the components are not known.
    """

    rows: list[Row]
    mistakes: Sequence[str]


def asker() -> Callable[[], Asked]:
    """Return a function that asks all components of the current command line's configuration; it blocks.

    Station files are read again each time. The function raises `RawdaqError` where nobody can be asked at all.
    """
    context = click.get_current_context()

    def ask() -> Asked:
        with context.scope(cleanup=False), invocation.runtime_files() as runtime:
            targets, invalid = invocation.find(["all"], runtime)
            known = rows.statuses(targets, runtime)
        return Asked(known, [] if invalid is None else [str(problem) for problem in invalid.problems])

    return ask
