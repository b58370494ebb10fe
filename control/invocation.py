"""What a command line of ``control-rawdaq`` is about: where its configuration is, and which components it names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rawdaq.control.names import Target
    from rawdaq.runtime import RuntimeFiles
    from rawdaq.settings import StationFile

PROGRAM = "control-rawdaq"

F = TypeVar("F", bound=Callable[..., Any])


def _remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().meta[__name__] = value


def config_option(command: F) -> F:
    """Give *command* ``-c``; it may stand before or after the subcommand."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        callback=_remember,
        expose_value=False,
        help="A station file, or a folder of them. Default: $RAWDAQ_CONFIG, the user's configuration folder, a demo.",
    )(command)


names_argument = click.argument("names", nargs=-1, required=True, metavar="NAME...|all")


def complain(text: str) -> None:
    """Tell what went wrong, on standard error."""
    click.echo(f"{PROGRAM}: {text}".encode(errors="backslashreplace"), err=True)


def runtime_files() -> "RuntimeFiles":
    """Return the folder of pid files, command sockets and logs."""
    from rawdaq.runtime import RuntimeFiles

    return RuntimeFiles.find()


def given_config() -> Path | None:
    """Return what ``-c`` said."""
    given: Path | None = click.get_current_context().find_root().meta.get(__name__)
    return given


def is_config_given() -> bool:
    """Whether there was a ``-c``."""
    return given_config() is not None


def station_files() -> list["StationFile"]:
    """Return the station files that this command line is about.

    Raises:
        ConfigError: there is none, or one is wrong.
    """
    from rawdaq import config

    return config.load_all(config.find_config(given_config()))


def targets(runtime: "RuntimeFiles", files: Sequence["StationFile"], *, with_others: bool) -> list["Target"]:
    """Return the components of *files*, and *with_others* those that were started from elsewhere."""
    from rawdaq.control import names

    return names.targets(files, runtime, with_others=with_others)


def running(words: Sequence[str], runtime: "RuntimeFiles", *, with_stopped: bool = False) -> list["Target"]:
    """Return the components that *words* name, for what concerns those that run.

    Without ``-c`` those count too that were started from another file. ``all`` leaves out those that do not run, unless
    *with_stopped*; and then a file that is wrong by now is no reason not to stop what was started from it.
    """
    from rawdaq.config import ConfigError
    from rawdaq.control.names import NoSuchComponent, resolve_all

    try:
        known, wrong = targets(runtime, station_files(), with_others=not is_config_given()), None
    except ConfigError as error:
        if with_stopped:
            raise
        known, wrong = _started_from(given_config(), runtime), error
    try:
        found = resolve_all(words, known)
    except NoSuchComponent as error:
        raise wrong or error from None
    if wrong:
        complain(f"the configuration is wrong by now:\n{wrong}")
    return [target for target in found if with_stopped or "all" not in words or target.state != "stopped"]


def _started_from(config: Path | None, runtime: "RuntimeFiles") -> list["Target"]:
    """Return what has a pid file and was started from *config*, from anything when that is None."""
    from rawdaq.options import plain

    known = targets(runtime, [], with_others=True)
    if config is None:
        return known
    path = plain(config.absolute())
    return [each for each in known if each.started_from and path in (each.started_from, each.started_from.parent)]


def one(name: str, runtime: "RuntimeFiles") -> "Target":
    """Return the component that *name* names."""
    if name == "all":
        raise click.UsageError("This is about one component; say which.")
    return running([name], runtime)[0]
