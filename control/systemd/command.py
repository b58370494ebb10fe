"""``control-rawdaq systemd``: components start at boot, are watched, and are started again when they fail."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation
from rawdaq.control.invocation import PROGRAM

if TYPE_CHECKING:
    from rawdaq.config import ComponentSettings
    from rawdaq.control.systemd.manager import Manager
    from rawdaq.control.systemd.units import Setup
    from rawdaq.process.runtime_files import RuntimeFiles

_KEPT_VARIABLES = ("RAWDAQ_RUNTIME_DIR", "RAWDAQ_LOG_DIR")

_names = click.argument("names", nargs=-1, metavar="[NAME...]")
_user_option = click.option("--user", "is_user", is_flag=True, help="For your own manager, not that of the system.")
_run_as_option = click.option("--run-as", metavar="USER", help="The user that they run as.  [default: root]")


@click.group()
def systemd() -> None:
    """Let systemd start components at boot, watch them, and start them again when they fail.

    Each has a unit called rawdaq@NET.STA.NAME, for systemctl and journalctl.
    """


@systemd.command()
@_names
@_user_option
@_run_as_option
@click.option("--no-start", is_flag=True, help="Only let them start at the next boot.")
@invocation.config_option
def install(names: Sequence[str], is_user: bool, run_as: str | None, no_start: bool) -> int:
    """Write the units of components, enable and start them; without a NAME of all in the configuration.

    It can be repeated, and has to be when a station file names new folders.
    """
    from rawdaq.control.systemd import units
    from rawdaq.errors import ComponentError

    manager = _manager(is_user)
    if not no_start and not manager.is_running:
        raise ComponentError("systemd does not run here; --no-start lets components start at the next boot with it")
    with invocation.runtime_files() as runtime:
        components = _components(names, runtime)
        setup = _setup(manager, run_as, runtime)
        named = {units.unit_of(each): each for each in components}
        if not no_start:
            _refuse_running(named, manager, runtime)
    for path, text in units.files(components, setup).items():
        _write(manager.folder / path, text)
    if run_as is not None:
        _make_folders(run_as, setup.state_folders)
    try:
        if manager.is_running:
            manager.call("daemon-reload")
        manager.call("enable", *named)
        if not no_start:
            manager.call("restart", *named)
    except Exception:
        invocation.print_error(f"the units are written into {manager.folder}, and not all that follows was done:")
        raise
    for unit in named:
        click.echo(f"{unit} {'starts at the next boot' if no_start else 'runs, now and after every boot'}")
    if is_user:
        click.echo("A user's units run from the first login on; from boot on with: loginctl enable-linger")
    return 0


@systemd.command()
@_names
@_user_option
def uninstall(names: Sequence[str], is_user: bool) -> int:
    """Stop components and take their units back; without a NAME of all that `install` wrote."""
    from rawdaq.control.systemd import units
    from rawdaq.errors import ComponentError

    manager = _manager(is_user)
    drop_ins = manager.folder.glob("rawdaq@*.service.d/rawdaq.conf")
    installed = {path.parent.name.removesuffix(".d"): path for path in drop_ins}
    chosen = {unit: installed[unit] for name in names for unit in _matching(name, installed)} if names else installed
    if not chosen:
        raise ComponentError(f"{manager.folder} has no units of rawdaq")
    manager.call("disable", *(["--now"] if manager.is_running else []), *chosen)
    for path in chosen.values():
        path.unlink()
        if not any(path.parent.iterdir()):  # an administrator's own file stays
            path.parent.rmdir()
    if len(chosen) == len(installed):
        (manager.folder / units.TEMPLATE).unlink(missing_ok=True)
    if manager.is_running:
        manager.call("daemon-reload")
    for unit in chosen:
        click.echo(f"{unit} is removed")
    return 0


@systemd.command("print")
@_names
@_user_option
@_run_as_option
@invocation.config_option
def print_(names: Sequence[str], is_user: bool, run_as: str | None) -> int:
    """Print what `install` would write."""
    from rawdaq.control.systemd import units

    manager = _manager(is_user)
    with invocation.runtime_files() as runtime:
        setup, components = _setup(manager, run_as, runtime), _components(names, runtime)
    for path, text in units.files(components, setup).items():
        click.echo(f"# {manager.folder / path}\n{text}")
    return 0


def _manager(is_user: bool) -> "Manager":
    from rawdaq.control.systemd.manager import Manager

    return Manager(is_user=is_user)


def _components(names: Sequence[str], runtime: "RuntimeFiles") -> "list[ComponentSettings]":
    """Return the components that *names* name, or all of the configuration.

    Raises:
        ConfigError: a station file is wrong.
        UsageError: there is only the packaged demo.
    """
    from rawdaq import config

    if not invocation.is_config_named() and invocation.configuration() == config.DEMO_FILE:
        raise click.UsageError(f"There is no station file to start at boot; write one: {PROGRAM} init NET.STA")
    targets, invalid = invocation.find(names or ["all"], runtime, with_others=False)
    if invalid is not None:
        raise invalid
    return [target.settings for target in targets if target.settings]


def _setup(manager: "Manager", run_as: str | None, runtime: "RuntimeFiles") -> "Setup":
    from rawdaq.control.systemd.units import Setup

    if manager.is_user and run_as:
        raise click.UsageError("--user is your own manager, which runs what you are; --run-as is for the system's.")
    state = (runtime.folder, runtime.logs) if run_as is None else _folders_of(run_as)
    variables = {name: value for name in _KEPT_VARIABLES if (value := os.environ.get(name))}
    version = manager.version()
    python, configuration = Path(sys.executable), invocation.configuration()
    return Setup(python, configuration, manager.is_user, run_as, state, variables, version)


def _folders_of(user: str) -> tuple[Path, Path]:
    """Return the folders of runtime files and logs of *user*."""
    import pwd

    from rawdaq.process.user_folders import folders_of_user

    try:
        known = pwd.getpwnam(user)
    except KeyError as error:
        raise click.UsageError(f"there is no user {user!r}; make one: useradd --system --create-home {user}") from error
    return folders_of_user(known.pw_uid)


def _make_folders(user: str, folders: Sequence[Path]) -> None:
    """Make *folders* for *user*: a unit cannot let a process write to what is not there.

    Raises:
        ComponentError: they cannot be made.
    """
    import pwd

    from rawdaq.errors import ComponentError

    known = pwd.getpwnam(user)
    try:
        for folder in folders:
            for path in reversed([folder, *folder.parents]):
                if not path.exists():
                    path.mkdir(mode=0o700)
                    os.chown(path, known.pw_uid, known.pw_gid)
    except OSError as error:
        raise ComponentError(f"{error.filename} cannot be made for {user}: {error.strerror}; run it as root") from error


def _refuse_running(units: "dict[str, ComponentSettings]", manager: "Manager", runtime: "RuntimeFiles") -> None:
    """Raise an error when a component runs that no unit runs: its unit could not start it a second time."""
    from rawdaq.errors import ComponentError

    for unit, component in units.items():
        running = runtime.running(component.key)
        if running and running.is_alive and not manager.is_active(unit):
            raise ComponentError(
                f"{component.key} runs already (pid {running.pid}); stop it first: {PROGRAM} stop {component.key}"
            )


def _write(file: Path, text: str) -> None:
    from rawdaq.errors import ComponentError

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ComponentError(
            f"{file} cannot be written: {error.strerror}; run it as root, or for your own manager with --user"
        ) from error


def _matching(name: str, installed: "dict[str, Path]") -> list[str]:
    """Return the one unit that *name* names: a key, STATION/NAME, or the beginning of a component's name."""
    from rawdaq.control.names import words_of
    from rawdaq.errors import ComponentError

    keys = {unit: unit.removeprefix("rawdaq@").removesuffix(".service") for unit in installed}
    exact = [unit for unit, key in keys.items() if name in words_of(key)]
    found = exact or [unit for unit, key in keys.items() if key.split(".", 2)[2].startswith(name)]
    if len(found) != 1:
        known = ", ".join(keys.values()) or "none"
        raise ComponentError(f"{name!r} names {'several units' if found else 'no unit'}; installed are: {known}")
    return found
