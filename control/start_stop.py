"""``control-rawdaq start``, ``stop`` and ``restart``."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation
from rawdaq.control.invocation import PROGRAM

if TYPE_CHECKING:
    from rawdaq.config import ComponentSettings
    from rawdaq.control.names import Target
    from rawdaq.process.log import LogForm
    from rawdaq.process.runtime_files import RuntimeFiles

_RELOAD_S = 35.0
_SHOWN_SHORTAGES = 3  # of a thousand components that are all started with the same limit

_processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Spread the components over N processes that they share; by default each has its own.",
)


@click.command(short_help="Start components in the background.")
@click.argument("names", nargs=-1, required=True, metavar="[receiver|writer] NAME...|all")
@click.option("--foreground", is_flag=True, help="Run one component here; it logs to standard error. Ctrl-C stops it.")
@_processes_option
@click.option("--demo", "is_demo", is_flag=True, help="Start the packaged demo station, for trying rawdaq out.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="How lines of --foreground are written.  [default: as Daemon.log_format says]",
)
@click.option("--strict", is_flag=True, help="Do not start a component of which a publisher cannot open now.")
@invocation.config_option
def start(
    names: Sequence[str],
    foreground: bool,
    processes: int | None,
    is_demo: bool,
    log_format: "LogForm | None",
    strict: bool,
) -> int:
    """Start components; return when each of them answers.

    A publisher that cannot open now (its address is not there yet, its port is held, its folder is not mounted) is
    paused with its reason, which is printed, and tried again; the component runs.

    Only the components of an invalid station file do not start; its mistakes are printed, and with all the exit status
    is 2.

    A writer is a component whose receiver only subscribes to what others publish; `start writer all` starts these, and
    `start all` them too.

    For example: control-rawdaq start receiver RawReceiver, or for many stations: control-rawdaq start all --processes 4
    """
    kind = names[0] if names[0] in ("receiver", "writer") else ""
    names = names[1:] if kind else names
    if not names:
        raise click.UsageError(f"start {kind} WHICH? Give a component's name, or all.")
    if foreground and processes:
        raise click.UsageError("--foreground runs one component here, --processes many in the background; choose one.")
    if log_format and not foreground:
        raise click.UsageError("--log-format needs --foreground; in the background Daemon.log_format says it.")
    if is_demo:
        invocation.choose_demo()
    invocation.refuse_demo(names)
    from rawdaq.control.processes.groups import spread

    with invocation.runtime_files() as runtime:
        targets, invalid = invocation.find(names, runtime, with_others=False)
        config_status = invocation.report_invalid(invalid, names)
        if kind == "writer":
            targets = _writers(targets, is_all="all" in names)
        if processes:
            targets = _without_running(targets)
        components = [target.settings for target in targets if target.settings]
        if foreground:
            return _run_here(components, runtime, strict, log_format)
        groups = spread(components, processes) if processes else [[each] for each in components]
        of_configurations = [(invocation.configuration(), group) for group in groups]
        return _start(of_configurations, runtime, is_strict=strict) or config_status


def _run_here(
    components: Sequence["ComponentSettings"],
    runtime: "RuntimeFiles",
    is_strict: bool,
    log_format: "LogForm | None",
) -> int:
    from rawdaq.control.processes import main

    if len(components) != 1:
        raise click.UsageError("--foreground runs one component; start the others in the background.")
    return main.run_here(components[0], runtime, is_strict=is_strict, log_format=log_format)


def _writers(targets: Sequence["Target"], *, is_all: bool) -> list["Target"]:
    """Return those of *targets* that are writers.

    Raises:
        UsageError: one that was named is no writer, or there is no writer at all.
    """
    writers = [target for target in targets if _is_writer(target)]
    others = [target.title for target in targets if target not in writers]
    if others and not is_all:
        which = f"{others[0]} is no writer" if len(others) == 1 else f"{', '.join(others)} are no writers"
        raise click.UsageError(f"{which}: its receiver does not subscribe; {PROGRAM} start {others[0]} starts it.")
    if not writers:
        raise click.UsageError("There is no writer: a component whose receiver only subscribes, such as a ZMQReceiver.")
    return writers


def _is_writer(target: "Target") -> bool:
    from rawdaq.config import registry
    from rawdaq.config.hooks import receiver_hooks

    receiver = target.settings.receiver if target.settings else None
    if receiver is None:
        return False
    cls = registry.installed_class("receiver", receiver.class_name)
    return receiver_hooks(cls).only_subscribes(receiver.options)


def _without_running(targets: Sequence["Target"]) -> list["Target"]:
    """Leave out running components, and print how many: after one file of a thousand is corrected, all are started."""
    others = [target for target in targets if target.state != "running"]
    if len(others) < len(targets):
        click.echo(f"{len(targets) - len(others)} of {len(targets)} components run already")
    return others


def _start(
    groups: Sequence[tuple[Path | None, list["ComponentSettings"]]], runtime: "RuntimeFiles", *, is_strict: bool = False
) -> int:
    """Start *groups*, each with the configuration that its process belongs to; return the exit status."""
    from rawdaq.control.processes.groups import shortage
    from rawdaq.control.processes.start import start

    short = [(text, len(group)) for _, group in groups if (text := shortage(group))]
    for text, count in short[:_SHOWN_SHORTAGES]:
        more = ", or give --processes a larger number" if count > 1 else ""
        invocation.print_error(f"warning: {text}{more}")
    for key in (component.key for _, group in groups for component in group):
        if ended := runtime.ended(key):
            invocation.print_error(f"warning: {key}: {ended}")
    results: dict[str, object] = {}
    for configuration in dict.fromkeys(configuration for configuration, _ in groups):
        of_it = [group for of, group in groups if of == configuration]
        results |= start(of_it, runtime, configuration, is_strict=is_strict)
    status = _print_results("started", results)
    _warn_of_paused([key for key, result in results.items() if not isinstance(result, Exception)], runtime)
    return status


def _warn_of_paused(keys: Sequence[str], runtime: "RuntimeFiles") -> None:
    """Print why publishers of components that have just started, or changed, cannot deliver."""
    from rawdaq.control.health.publishers import of_publishers
    from rawdaq.control.processes.jobs import run_each
    from rawdaq.control.status import rows

    for key, answer in zip(keys, run_each(lambda key: rows.ask(key, key, runtime), keys), strict=True):
        for problem in [] if isinstance(answer, Exception) else of_publishers(answer, time.time_ns()):
            invocation.print_error(f"warning: {key}: {problem.text}; it is tried again")


@click.command()
@invocation.names_argument
@invocation.config_option
def stop(names: Sequence[str]) -> int:
    """Stop components; what waits is delivered first."""
    with invocation.runtime_files() as runtime:
        return _stop(invocation.find_running(names, runtime), runtime)


def _stop(targets: Sequence["Target"], runtime: "RuntimeFiles") -> int:
    from rawdaq.control.processes.stop import stop

    return _print_results("stopped", stop([target.key for target in targets], runtime))


@click.command()
@invocation.names_argument
@_processes_option
@invocation.config_option
def restart(names: Sequence[str], processes: int | None) -> int:
    """Stop components, then start them again.

    They get the settings that their station file has now; when it is invalid, nothing is stopped. Those that share a
    process do so again when all of them are restarted; one alone gets a process of its own.
    """
    from rawdaq.control.processes.groups import running_groups, spread

    with invocation.runtime_files() as runtime:
        targets, invalid = invocation.find(names, runtime)
        if "all" in names:
            targets = [target for target in targets if _belongs_to_all(target)]
        components = [_settings_now(target) for target in targets]  # first: an invalid file must not stop anything
        config_status = invocation.report_invalid(invalid, names)
        groups = running_groups(components, runtime)
        if processes:
            groups = [(invocation.configuration(), group) for group in spread(components, processes)]
        stopped = _stop([target for target in targets if target.state == "running"], runtime)
        return _start(groups, runtime) or stopped or config_status


@click.command()
@invocation.names_argument
@invocation.config_option
def reload(names: Sequence[str]) -> int:
    """Let running components have the publishers that their station file has now; the receiver keeps its connection.

    Publishers are added, removed and changed; those that stay the same miss nothing. An invalid file, or one of which
    other blocks than Publishers have changed, changes nothing: restart for those.
    """
    with invocation.runtime_files() as runtime:
        targets = invocation.find_running(names, runtime)
        results = [_reload(target, runtime) for target in targets]
        for target, result in zip(targets, results, strict=True):
            if isinstance(result, Exception):
                invocation.print_error(str(result))
            else:
                click.echo(f"{target.title}: {result}")
                _warn_of_paused([target.key], runtime)
    return 1 if any(isinstance(result, Exception) for result in results) else 0


def _reload(target: "Target", runtime: "RuntimeFiles") -> "str | Exception":
    """Return what has changed, in words, or why nothing has."""
    from rawdaq.control import client
    from rawdaq.errors import CommandError

    if target.state != "running":
        return CommandError(f"{target.title} is not running; start it: {PROGRAM} start {target.title}")
    try:
        answer = client.send(target.title, runtime.command_address(target.key), "reload", [], _RELOAD_S)
    except CommandError as error:
        return error
    changes = answer if isinstance(answer, dict) else {}
    named = {what: ", ".join(map(str, names)) for what, names in changes.items() if isinstance(names, list) and names}
    return "; ".join(f"{what} {names}" for what, names in named.items()) or "nothing to change"


def _belongs_to_all(target: "Target") -> bool:
    """Whether `restart all` means *target*: a stopped component only when a configuration is named."""
    is_described = target.settings is not None  # a failed one without a station file must not stop the whole command
    return target.state == "running" or (is_described and (target.state != "stopped" or invocation.is_config_named()))


def _settings_now(target: "Target") -> "ComponentSettings":
    """Return the settings of the file that *target* was started from, unless a named configuration has it."""
    from rawdaq import config
    from rawdaq.errors import ComponentError

    file = target.started_from or Path()
    if target.settings and (invocation.is_config_named() or target.state != "running" or target.settings.file == file):
        return target.settings
    for component in config.load(file).components:
        if component.key == target.key:
            return component
    raise ComponentError(f"{target.key} is no longer in {file}; stop it: {PROGRAM} stop {target.key}")


def _print_results(done: str, results: Mapping[str, object]) -> int:
    """Print what became of each component; return 1 when one failed."""
    for key, result in results.items():
        if isinstance(result, Exception):
            invocation.print_error(str(result))
        else:
            click.echo(f"{key} {done} (pid {result})")
    return 1 if any(isinstance(result, Exception) for result in results.values()) else 0
