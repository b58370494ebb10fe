"""``control-rawdaq``: translates a command line into calls, and results into text and an exit status.

Everything it does, Python can do: see `rawdaq.control.processes` and `rawdaq.control.client`. What a command needs is
imported when it runs, so that ``--help`` does not wait for numpy.

Exit status: 0 done, 1 it failed (the reason is on standard error), 2 wrong usage or configuration.
"""

import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from rawdaq.control import invocation
from rawdaq.control.alarms.command import alarms
from rawdaq.control.container.commands import container
from rawdaq.control.dash.command import dash
from rawdaq.control.describe.command import describe, schema
from rawdaq.control.doctor.command import doctor
from rawdaq.control.invocation import PROGRAM
from rawdaq.control.journal import journal
from rawdaq.control.metrics.command import metrics
from rawdaq.control.repeater.command import repeater
from rawdaq.control.seiscomp.commands import seiscomp
from rawdaq.control.setup.command import init
from rawdaq.control.setup.ssdaq_command import import_ssdaq
from rawdaq.control.start_stop import reload, restart, start, stop
from rawdaq.control.status.command import status
from rawdaq.control.systemd.command import systemd
from rawdaq.control.web.command import web

if TYPE_CHECKING:
    from rawdaq.config import StationFile

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@invocation.config_option
@invocation.version_option(PROGRAM)
def cli() -> None:
    """Start, stop and ask the components of a station.

    A NAME is a component's name in its station file, STATION/NAME, or the beginning of either.
    """


@cli.command("list")
@invocation.json_option
@invocation.config_option
def list_(as_json: bool) -> int:
    """List components, configured and running."""
    from rawdaq.control.status import rows

    with invocation.runtime_files() as runtime:
        targets, invalid = invocation.find(["all"], runtime)
    known = [rows.row(target) for target in targets]
    if as_json:
        invocation.print_json(known)
    elif known:
        from rawdaq.control.status import tables

        tables.print_list(known)
    return invocation.report_invalid(invalid, ["all"])


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.01, max=3600), default=35.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in one line.")
@invocation.config_option
def send(name: str, command: str, args: Sequence[str], timeout_s: float, as_json: bool) -> int:
    """Send a component a COMMAND and print its answer.

    Its command `help` lists the others.
    """
    from rawdaq.control import client
    from rawdaq.errors import CommandError

    with invocation.runtime_files() as runtime:
        target = invocation.find_one(name, runtime)
        if target.state != "running":
            raise CommandError(f"{target.title} is not running; start it: {PROGRAM} start {target.title}")
        result = client.send(target.title, runtime.command_address(target.key), command, args, timeout_s)
    if isinstance(result, bytes):
        click.echo(result, nl=False)
    elif as_json:
        click.echo(json.dumps(result))
    elif isinstance(result, str):
        click.echo(result.encode(errors="backslashreplace"))
    elif result is not None:
        invocation.print_json(result)
    return 0


@cli.command()
@click.argument("name")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, help="How many lines.")
@click.option("-f", "--follow", "is_following", is_flag=True, help="Then show new lines as they come, until Ctrl-C.")
@invocation.config_option
def logs(name: str, lines: int, is_following: bool) -> int:
    """Show the last lines of a component's log, or of that of a process that components share (group.N)."""
    from rawdaq.control import log_place
    from rawdaq.control import logs as log_files

    with invocation.runtime_files() as runtime:
        file, note = log_place.find(name, runtime)
    if note:
        invocation.print_error(note)
    begin = log_files.size_bytes(file)
    try:
        for line in log_files.last_lines(file, lines):
            click.echo(line)
        for line in log_files.follow(file, begin) if is_following else ():
            click.echo(line)
    except BrokenPipeError:
        invocation.drop_output()
    except KeyboardInterrupt:
        if not is_following:
            raise
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@invocation.json_option
@invocation.config_option
def check(file: Path | None, as_json: bool) -> int:
    """Print every mistake in station files; start nothing."""
    from rawdaq import config

    try:
        files = config.load_all(config.find_config(file or invocation.given_config()))
    except config.ConfigError as error:
        if not as_json:
            raise
        invocation.print_json([problem._asdict() | {"file": str(problem.file)} for problem in error.problems])
        return 2
    _load_classes(files)
    if as_json:
        invocation.print_json([])
        return 0
    for each in files:
        click.echo(f"{each.path}: {each.station}: {', '.join(component.name for component in each.components)}: good")
    return 0


def _load_classes(files: Sequence["StationFile"]) -> None:
    """Raise the reason when an installed class cannot be used."""
    from rawdaq.config import registry

    for component in (component for each in files for component in each.components):
        registry.installed_class("receiver", component.receiver.class_name)
        for publisher in component.publishers:
            registry.installed_class("publisher", publisher.class_name)


cli.add_command(init)
cli.add_command(import_ssdaq)
cli.add_command(container)
cli.add_command(describe)
cli.add_command(schema)
cli.add_command(status)
cli.add_command(doctor)
cli.add_command(start)
cli.add_command(stop)
cli.add_command(restart)
cli.add_command(reload)
cli.add_command(journal)
cli.add_command(alarms)
cli.add_command(metrics)
cli.add_command(seiscomp)
cli.add_command(repeater)
cli.add_command(systemd)
cli.add_command(web)
cli.add_command(dash)


def _report_bug(error: Exception) -> int:
    """Write the traceback of a bug into the log folder, and print one line; return the exit status."""
    import traceback

    where = "details are lost: the log folder cannot be written"
    try:
        with invocation.runtime_files() as runtime:
            runtime.prepare()
            file = runtime.log_file(PROGRAM)
        with file.open("a") as opened:
            opened.write("".join(traceback.format_exception(error)))
        where = f"details in {file}"
    except Exception as worse:
        where += f" ({worse})"
    invocation.print_error(f"this is a bug: {type(error).__name__}: {error}; {where}")
    return 1


def run(args: Sequence[str]) -> int:
    """Run the command line *args* and return the exit status; raises nothing."""
    from rawdaq.errors import RawdaqError

    try:
        result = cli.main(list(args), PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except RawdaqError as error:
        return _report(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_FULL and error.filename is None:  # it is stdout
            invocation.print_error(f"the output: {error.strerror}; make room on its disk")
            return 1
        return _report_bug(error)


def _report(error: Exception) -> int:
    """Print *error* and return the exit status that it means."""
    from rawdaq.config import ConfigError
    from rawdaq.control.names import NoSuchComponent

    if isinstance(error, ConfigError):  # each line begins with FILE:LINE, as editors like it
        click.echo(str(error), err=True)
    else:
        invocation.print_error(str(error))
    return 2 if isinstance(error, ConfigError | NoSuchComponent) else 1


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
