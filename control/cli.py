"""``control-rawdaq``: words of people into calls, results into words and an exit status.

Everything it does, Python can do: see `rawdaq.control.supervisor` and `rawdaq.control.client`. What a command needs is
imported when it runs, because somebody who asks for help does not want to wait for numpy.

Exit status: 0 done, 1 it failed (the reason is on standard error), 2 wrong usage or configuration.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from rawdaq.control.seiscomp_commands import seiscomp

if TYPE_CHECKING:
    from rawdaq.control.names import Target
    from rawdaq.runtime import RuntimeFiles
    from rawdaq.settings import ComponentSettings, StationFile

PROGRAM = "control-rawdaq"

F = TypeVar("F", bound=Callable[..., Any])


def _remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().meta[__name__] = value


def _config_option(command: F) -> F:
    """Give *command* ``-c``; it may stand before or after the subcommand."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        callback=_remember,
        expose_value=False,
        help="A station file, or a folder of them. Default: $RAWDAQ_CONFIG, the user's configuration folder, a demo.",
    )(command)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Spread the components over N processes that they share; by default each has its own.",
)
_names = click.argument("names", nargs=-1, required=True, metavar="NAME...|all")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@_config_option
@click.version_option(package_name="rawdaq", prog_name=PROGRAM)
def cli() -> None:
    """Start, stop and ask the components of a station.

    A NAME is a component's name in its station file, STATION/NAME, or the beginning of either.
    """


@cli.command(short_help="Start components in the background.")
@click.argument("names", nargs=-1, required=True, metavar="[receiver] NAME...|all")
@click.option("--foreground", is_flag=True, help="Run one component here; it logs to standard error. Ctrl-C stops it.")
@_processes_option
@_config_option
def start(names: Sequence[str], foreground: bool, processes: int | None) -> int:
    """Start components; return when each of them answers.

    For example: control-rawdaq start receiver RawReceiver, or for many stations: control-rawdaq start all --processes 4
    """
    from rawdaq.control.names import resolve_all

    names = names[1:] if names[0] == "receiver" else names
    if not names:
        raise click.UsageError("start receiver WHICH? Say a component's name, or all.")
    if foreground and processes:
        raise click.UsageError("--foreground runs one component here, --processes many in the background; choose one.")
    with _runtime() as runtime:
        targets = resolve_all(names, _targets(runtime, _files(), with_others=False))
        if processes:
            targets = _without_running(targets)
        components = [target.settings for target in targets if target.settings]
        if foreground:
            return _run_here(components, runtime)
        return _start(_spread(components, processes) if processes else [[each] for each in components], runtime)


def _run_here(components: Sequence["ComponentSettings"], runtime: "RuntimeFiles") -> int:
    from rawdaq.control import component

    if len(components) != 1:
        raise click.UsageError("--foreground runs one component; start the others in the background.")
    runtime.prepare()
    return component.run(components[0], runtime, None)


def _without_running(targets: Sequence["Target"]) -> list["Target"]:
    """Leave out what runs, and say so: who has corrected one file of a thousand starts them all again."""
    others = [target for target in targets if target.state != "running"]
    if len(others) < len(targets):
        click.echo(f"{len(targets) - len(others)} of {len(targets)} components run already")
    return others


def _spread(components: Sequence["ComponentSettings"], processes: int) -> list[list["ComponentSettings"]]:
    """Return *components* in groups that are to share a process; warn of what the system will not allow."""
    from rawdaq.control import open_files
    from rawdaq.control.spread import spread

    groups = spread(components, processes)
    for shortage in filter(None, map(open_files.shortage, groups)):
        _complain(f"warning: {shortage}")
    return groups


def _start(groups: Sequence[Sequence["ComponentSettings"]], runtime: "RuntimeFiles") -> int:
    from rawdaq.control import sharing

    return _tell_each("started", sharing.start(groups, runtime))


@cli.command()
@_names
@_config_option
def stop(names: Sequence[str]) -> int:
    """Stop components; what waits is delivered first."""
    with _runtime() as runtime:
        return _stop(_running(names, runtime), runtime)


def _stop(targets: Sequence["Target"], runtime: "RuntimeFiles") -> int:
    from rawdaq.control import sharing

    return _tell_each("stopped", sharing.stop([target.key for target in targets], runtime))


@cli.command()
@_names
@_processes_option
@_config_option
def restart(names: Sequence[str], processes: int | None) -> int:
    """Stop components, then start them again.

    They get what their station file says now; when it is wrong, nothing is stopped. Those that share a process do so
    again when all of them are restarted; one alone gets a process of its own.
    """
    from rawdaq.control import sharing

    with _runtime() as runtime:
        targets = _running(names, runtime, with_stopped=_is_config_given())
        components = [_settings_now(target) for target in targets]  # first: a wrong file must not stop anything
        groups = _spread(components, processes) if processes else sharing.as_they_run(components, runtime)
        stopped = _stop([target for target in targets if target.state == "running"], runtime)
        return _start(groups, runtime) or stopped


def _settings_now(target: "Target") -> "ComponentSettings":
    """Return the settings of the file that *target* was started from, unless ``-c`` says which."""
    from rawdaq import config
    from rawdaq.errors import ComponentError

    file = target.running.config if target.running else Path()
    if target.settings and (_is_config_given() or target.state != "running" or target.settings.file == file):
        return target.settings
    for component in config.load(file).components:
        if component.key == target.key:
            return component
    raise ComponentError(f"{target.key} is no longer in {file}; stop it: {PROGRAM} stop {target.key}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME...|all]")
@_json_option
@_config_option
def status(names: Sequence[str], as_json: bool) -> int:
    """Show what components are doing.

    The exit status is 1 when a named one does not run.
    """
    from rawdaq.control import rows, supervisor

    with _runtime() as runtime:
        targets = _running(names or ["all"], runtime, with_stopped=True)
        known: list[Any] = supervisor.each(lambda target: rows.status(target, runtime), targets)
    if as_json:
        _print_json(known)
    else:
        from rawdaq.control import tables

        for row in known:
            tables.print_status(row)
    is_well = all(target.state == "running" and "error" not in row for target, row in zip(targets, known, strict=True))
    return 0 if is_well or not names or "all" in names else 1


@cli.command("list")
@_json_option
@_config_option
def list_(as_json: bool) -> int:
    """List components, configured and running."""
    from rawdaq.control import rows

    with _runtime() as runtime:
        known = [rows.row(target) for target in _targets(runtime, _files(), with_others=not _is_config_given())]
    if as_json:
        _print_json(known)
    else:
        from rawdaq.control import tables

        tables.print_list(known)
    return 0


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.01, max=3600), default=35.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in one line.")
@_config_option
def send(name: str, command: str, args: Sequence[str], timeout_s: float, as_json: bool) -> int:
    """Send a component a COMMAND and print its answer.

    Its command `help` lists the others.
    """
    from rawdaq.control import client
    from rawdaq.errors import CommandError

    with _runtime() as runtime:
        target = _one(name, runtime)
        if target.state != "running":
            raise CommandError(f"{target.title} is not running; start it: {PROGRAM} start {target.title}")
        result = client.send(target.title, runtime.command_address(target.key), command, args, timeout_s)
    if isinstance(result, bytes):
        sys.stdout.buffer.write(result)
        sys.stdout.buffer.flush()
    elif as_json:
        click.echo(json.dumps(result))
    elif isinstance(result, str):
        click.echo(result.encode(errors="backslashreplace"))
    elif result is not None:
        _print_json(result)
    return 0


@cli.command()
@click.argument("name")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, help="How many lines.")
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@_config_option
def logs(name: str, lines: int, is_following: bool) -> int:
    """Show the last lines of a component's log, or of that of a process that components share (group.N)."""
    from rawdaq.control import logs as log_files
    from rawdaq.errors import ComponentError

    with _runtime() as runtime:
        file = runtime.log_file(name)
        title = name
        if not (name.startswith("group.") and file.exists()):  # which stays when the process has ended
            target = _one(name, runtime)
            title, file = target.title, runtime.log_file(target.key)
    if not (is_following or file.exists()):
        raise ComponentError(f"{title} has no log yet ({file}); it was never started in the background")
    begin = log_files.size_bytes(file)
    try:
        for line in log_files.last_lines(file, lines):
            click.echo(line)
        for line in log_files.follow(file, begin) if is_following else ():
            click.echo(line)
    except BrokenPipeError:  # the reader has seen enough
        # Python flushes stdout once more when it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        if not is_following:
            raise
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@_json_option
@_config_option
def check(file: Path | None, as_json: bool) -> int:
    """Tell every mistake in station files; start nothing."""
    from rawdaq import config

    try:
        files = config.load_all(config.find_config(file or _given_config()))
    except config.ConfigError as error:
        if not as_json:
            raise
        _print_json([problem._asdict() | {"file": str(problem.file)} for problem in error.problems])
        return 2
    _load_classes(files)
    if as_json:
        _print_json([])
        return 0
    for each in files:
        click.echo(f"{each.path}: {each.station}: {', '.join(component.name for component in each.components)}: good")
    return 0


def _load_classes(files: Sequence["StationFile"]) -> None:
    """Raise the reason when an installed class cannot be used."""
    from rawdaq import registry

    for component in (component for each in files for component in each.components):
        registry.receiver_class(component.receiver.class_name)
        for publisher in component.publishers:
            registry.publisher_class(publisher.class_name)


@cli.command()
@click.argument("station", metavar="NET.STA")
def init(station: str) -> int:
    """Write NET.STA.yaml, a station file to begin with."""
    from rawdaq.config import DEMO_FILE
    from rawdaq.control import template
    from rawdaq.errors import InvalidValue

    try:
        file = template.write(station, DEMO_FILE, Path())
    except InvalidValue as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{file} is written. Edit it, then: {PROGRAM} check {file} && {PROGRAM} start all -c {file}")
    return 0


cli.add_command(seiscomp)


def _runtime() -> "RuntimeFiles":
    from rawdaq.runtime import RuntimeFiles

    return RuntimeFiles.find()


def _given_config() -> Path | None:
    given: Path | None = click.get_current_context().find_root().meta.get(__name__)
    return given


def _is_config_given() -> bool:
    return _given_config() is not None


def _files() -> list["StationFile"]:
    from rawdaq import config

    return config.load_all(config.find_config(_given_config()))


def _targets(runtime: "RuntimeFiles", files: Sequence["StationFile"], *, with_others: bool) -> list["Target"]:
    from rawdaq.control import names

    return names.targets(files, runtime, with_others=with_others)


def _running(words: Sequence[str], runtime: "RuntimeFiles", *, with_stopped: bool = False) -> list["Target"]:
    """Return the components that *words* name, for what concerns those that run.

    Without ``-c`` those count too that were started from another file. ``all`` leaves out those that do not run, unless
    *with_stopped*; and then a file that is wrong by now is no reason not to stop what was started from it.
    """
    from rawdaq.config import ConfigError
    from rawdaq.control.names import NoSuchComponent, resolve_all

    try:
        known, wrong = _targets(runtime, _files(), with_others=not _is_config_given()), None
    except ConfigError as error:
        if with_stopped:
            raise
        known, wrong = _started_from(_given_config(), runtime), error
    try:
        found = resolve_all(words, known)
    except NoSuchComponent as error:
        raise wrong or error from None
    if wrong:
        click.echo(f"{PROGRAM}: the configuration is wrong by now:\n{wrong}", err=True)
    return [target for target in found if with_stopped or "all" not in words or target.state != "stopped"]


def _started_from(config: Path | None, runtime: "RuntimeFiles") -> list["Target"]:
    """Return what has a pid file and was started from *config*, from anything when that is None."""
    from rawdaq.options import plain

    known = _targets(runtime, [], with_others=True)
    if config is None:
        return known
    path = plain(config.absolute())
    return [
        target for target in known if target.running and path in (target.running.config, target.running.config.parent)
    ]


def _one(name: str, runtime: "RuntimeFiles") -> "Target":
    if name == "all":
        raise click.UsageError("This is about one component; say which.")
    return _running([name], runtime)[0]


def _tell_each(done: str, results: Mapping[str, object]) -> int:
    """Print what became of each component; return 1 when one failed."""
    for key, result in results.items():
        if isinstance(result, Exception):
            _complain(str(result))
        else:
            click.echo(f"{key} {done} (pid {result})")
    return 1 if any(isinstance(result, Exception) for result in results.values()) else 0


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _complain(text: str) -> None:
    click.echo(f"{PROGRAM}: {text}".encode(errors="backslashreplace"), err=True)


def _crashed(error: Exception) -> int:
    """Keep the traceback of a bug in the log folder, and tell in one line."""
    import traceback

    where = "details are lost: the log folder cannot be written"
    try:
        with _runtime() as runtime:
            runtime.prepare()
            file = runtime.log_file(PROGRAM)
        with file.open("a") as opened:
            opened.write("".join(traceback.format_exception(error)))
        where = f"details in {file}"
    except Exception as worse:
        where += f" ({worse})"
    _complain(f"this is a bug: {type(error).__name__}: {error}; {where}")
    return 1


def run(args: Sequence[str]) -> int:
    """Run the command that *args* say and return the exit status; no exception comes out."""
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
        return _tell(error)
    except Exception as error:
        return _crashed(error)


def _tell(error: Exception) -> int:
    """Print *error* and return the exit status that it means."""
    from rawdaq.config import ConfigError
    from rawdaq.control.names import NoSuchComponent

    if isinstance(error, ConfigError):  # each line begins with FILE:LINE, as editors like it
        click.echo(str(error), err=True)
    else:
        _complain(str(error))
    return 2 if isinstance(error, ConfigError | NoSuchComponent) else 1


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
