"""``control-rawdaq alarms``: watches all components, and notifies people when something is wrong."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation

if TYPE_CHECKING:
    from rawdaq.control.alarms.settings import AlarmFile

_file_option = click.option(
    "--alarms",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Rules and targets.  [default: alarms.yaml beside the station files]",
)


@click.group()
def alarms() -> None:
    """Notify people when a component, a stream, a disk or a publisher is not as it should be.

    Rules and targets stand in alarms.yaml beside the station files, as docs/alarms.md says.
    """


def _load(file: Path | None) -> "AlarmFile":
    from rawdaq.control.alarms.alarm_file import beside, load

    return load(file or beside(invocation.configuration()))


@alarms.command()
@_file_option
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO")
@invocation.config_option
def run(file: Path | None, log_level: str) -> int:
    """Watch until Ctrl-C or SIGTERM."""
    from rawdaq.control.alarms.memory import Memory
    from rawdaq.control.alarms.run import Watch
    from rawdaq.control.status.asking import asker
    from rawdaq.process import log
    from rawdaq.process.signals import stopping_on_signal

    rules = _load(file)
    ask = asker()
    with invocation.runtime_files() as runtime:
        runtime.prepare()
        memory = Memory.of(runtime.folder, rules.path)
    log.configure(log_level)

    async def watch() -> None:
        stopped = asyncio.Event()
        with stopping_on_signal(stopped.set):
            await Watch(rules, ask, memory=memory).run(stopped)

    asyncio.run(watch())
    return 0


@alarms.command()
@_file_option
@invocation.json_option
@invocation.config_option
def check(file: Path | None, as_json: bool) -> int:
    """Print every mistake in the file; watch nothing."""
    from rawdaq.config import ConfigError

    try:
        found = _load(file)
    except ConfigError as error:
        if not as_json:
            raise
        invocation.print_json([problem._asdict() | {"file": str(problem.file)} for problem in error.problems])
        return 2
    if as_json:
        invocation.print_json([])
    else:
        click.echo(f"{found.path}: {len(found.rules)} rules, {len(found.targets)} targets: good")
    return 0


@alarms.command()
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@_file_option
@invocation.config_option
def test(targets: Sequence[str], file: Path | None) -> int:
    """Send a test message to all targets, or to TARGET; print which of them took it.

    Exit status 1: one could not.
    """
    from rawdaq.control.alarms.run import machine_name
    from rawdaq.process import log

    found = _load(file)
    if unknown := [name for name in targets if name not in found.targets]:
        raise click.UsageError(f"no target is called {unknown[0]!r}; known: {', '.join(found.targets)}")
    log.configure("INFO")
    failed = 0
    for name, reason in asyncio.run(_tell_all(found, targets or [*found.targets], machine_name(found))).items():
        failed += reason is not None
        click.echo(f"{'✓' if reason is None else '✗'} {name}" + (f": {reason}" if reason else ""))
    return 1 if failed else 0


async def _tell_all(found: "AlarmFile", names: Sequence[str], machine: str) -> dict[str, str | None]:
    """Return for each target why it took no message; None when it took one."""
    import logging

    from rawdaq.control.alarms.notice import Notice
    from rawdaq.control.alarms.outlet import Outlet

    log = logging.getLogger("rawdaq.alarms")
    notice = Notice(machine, time.time_ns(), note="this is a test of control-rawdaq alarms: nothing is wrong")
    outlets = [Outlet(name, found.targets[name], machine, log, lambda outlet, note: None) for name in names]
    try:
        reasons = await asyncio.gather(*(outlet.tell_once(notice) for outlet in outlets))
    finally:
        await asyncio.gather(*(outlet.aclose(0.0) for outlet in outlets))
    return dict(zip(names, reasons, strict=True))


@alarms.command("list")
@_file_option
@invocation.json_option
@invocation.config_option
def list_(file: Path | None, as_json: bool) -> int:
    """List the rules, and what is bad by each of them now.

    Nothing is sent, and nothing is waited for: an alarm is raised when it stays so.
    """
    from rawdaq.control.alarms.engine import Engine
    from rawdaq.control.status.asking import asker

    found = _load(file)
    asked = asker()()
    bad = Engine(found.rules).bad(asked.rows, time.time_ns())
    if as_json:
        from rawdaq.control.alarms.notice import alarm_json

        invocation.print_json(
            {name: [alarm_json(alarm) for alarm in bad if alarm.rule == name] for name in found.rules}
        )
        return 0
    for name, rule in found.rules.items():
        own = [alarm for alarm in bad if alarm.rule == name]
        told = ", ".join(rule.to or found.targets)
        click.echo(f"{name}  {rule.when}, notifies {told}: {f'{len(own)} bad now' if own else 'nothing is bad now'}")
        for alarm in own:
            click.echo(f"  {alarm.text}")
    for mistake in asked.mistakes:
        invocation.print_error(mistake)
    return 0
