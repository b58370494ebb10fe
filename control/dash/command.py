"""``control-rawdaq dash``: the command line of the dashboard."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation

if TYPE_CHECKING:
    from types import ModuleType

    from rawdaq.control.dash.source import Source
    from rawdaq.control.dash.values.board import Board
    from rawdaq.process.runtime_files import RuntimeFiles


@click.command("dash", short_help="Show components, streams, traces and logs in the terminal, renewed each second.")
@click.option(
    "--connect",
    multiple=True,
    metavar="ADDRESS",
    help="Live publisher of a MonitorReceiver, and of a LogReceiver: tcp://HOST:9005. "
    "[default: ask the components of this machine]",
)
@click.option("--live", multiple=True, metavar="ADDRESS", help="With --connect: publishers of waveforms, for traces.")
@click.option("--once", is_flag=True, help="Print a table, and end.")
@invocation.json_option
@invocation.config_option
def dash(connect: Sequence[str], live: Sequence[str], once: bool, as_json: bool) -> int:
    """Show components, streams, the last minute of each trace, and logs in the terminal, renewed each second.

    Without --connect it asks the components of this machine. The key ? lists the keys, q quits.

    \b
    Exit status of --once and --json:
      0  all is well
      1  something needs a person, as in control-rawdaq status; or, with
         --connect, no report came within 10 s
      2  wrong usage, or a station file is invalid
    """  # noqa: D301 - click's mark of lines that stay as they are
    if live and not connect:
        raise click.UsageError("--live is for --connect; components of this machine say where their traces are")
    is_once = once or as_json
    app = None if is_once else _app()
    with invocation.runtime_files() as runtime:
        source = _source(connect, live, runtime)
        if app is None:
            return _show_once(source, as_json=as_json, is_local=not connect)
        status: int = app.run(source)
        return status


def _source(connect: Sequence[str], live: Sequence[str], runtime: "RuntimeFiles") -> "Source":
    log = logging.getLogger("rawdaq.dash")
    log.addHandler(logging.NullHandler())  # lines of ours would be drawn over
    log.propagate = False
    if not connect:
        from rawdaq.control.dash.local import LocalSource

        return LocalSource(invocation.given_config(), runtime, log)
    from rawdaq.control.dash.monitor import MonitorSource

    source = MonitorSource(connect, live, log)
    source.open()
    return source


def _show_once(source: "Source", *, as_json: bool, is_local: bool) -> int:
    """Print what *source* has to show; return the exit status."""
    from rawdaq.control.dash import once

    board = once.look(source)
    if as_json:
        invocation.print_json(once.objects(board))
    elif board.components:
        once.print_table(board)
    for note in board.notes:
        invocation.print_error(note)
    return _status(board, is_local=is_local)


def _status(board: "Board", *, is_local: bool) -> int:
    if any(each.needs_a_person for each in board.components) or not (is_local or board.components):
        return 1
    return 2 if is_local and board.notes else 0


def _app() -> "ModuleType":
    """Return the module of the screen.

    Raises:
        ComponentError: what it needs is not installed.
    """
    from rawdaq.errors import ComponentError

    try:
        from rawdaq.control.dash import app
    except ModuleNotFoundError as error:
        raise ComponentError(f"the dashboard needs {error.name}; install it: pip install 'rawdaq[dash]'") from error
    return app
