"""What a command line of ``control-rawdaq`` is about: its configuration, and the components that it names."""

import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from rawdaq.errors import InvalidValue

if TYPE_CHECKING:
    from rawdaq.config import ConfigError
    from rawdaq.control.names import Target
    from rawdaq.process.runtime_files import RuntimeFiles

PROGRAM = "control-rawdaq"

_LEAST_FILES = 32  # of a command that asks a component

F = TypeVar("F", bound=Callable[..., Any])


def _remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().meta[__name__] = value


#: May stand before or after the subcommand.
config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    callback=_remember,
    expose_value=False,
    help="A station file, or a folder of them; all then means its components. $RAWDAQ_CONFIG does the same. "
    "Default: the user's configuration folder, or a demo; all then means whatever else runs, too.",
)


def version_option(program: str) -> Callable[[F], F]:
    """Give the command of *program* ``--version``."""
    return click.version_option(package_name="rawdaq", prog_name=program)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


names_argument = click.argument("names", nargs=-1, required=True, metavar="NAME...|all")


def print_error(text: str) -> None:
    """Print *text* to standard error, after the name of the program."""
    click.echo(f"{PROGRAM}: {text}".encode(errors="backslashreplace"), err=True)


@contextmanager
def refusing(param_hint: str | None = None) -> Generator[None]:
    """Turn an invalid value into wrong usage, of an option where one is named: one line, and exit status 2."""
    try:
        yield
    except InvalidValue as error:
        if param_hint is None:
            raise click.UsageError(str(error)) from error
        raise click.BadParameter(str(error), param_hint=param_hint) from error


def print_json(value: object) -> None:
    """Print *value* to standard output."""
    click.echo(json.dumps(value, indent=2))


def runtime_files() -> "RuntimeFiles":
    """Return the folder of pid files, command sockets and logs; makes sure that components can be asked.

    Raises:
        ComponentError: the system allows this command too few open files.
    """
    from rawdaq.open_files import raise_open_files
    from rawdaq.process.runtime_files import RuntimeFiles

    raise_open_files(_LEAST_FILES)
    return RuntimeFiles.find()


def given_config() -> Path | None:
    """Return the path that ``-c`` gave."""
    given: Path | None = click.get_current_context().find_root().meta.get(__name__)
    return given


def choose_demo() -> None:
    """Let this command be about the packaged demo station.

    Raises:
        UsageError: ``-c`` names another configuration.
    """
    from rawdaq import config

    if given_config() is not None:
        raise click.UsageError("--demo is the packaged demo station, -c another configuration; give one of them.")
    click.get_current_context().find_root().meta[__name__] = config.DEMO_FILE


def refuse_demo(words: Sequence[str]) -> None:
    """Raise an error when *words* are all components, and only the demo station is there that nobody has asked for."""
    from rawdaq import config

    if "all" in words and not is_config_named() and configuration() == config.DEMO_FILE:
        raise click.UsageError(
            "There is no station file, so all would be the packaged demo: it receives a device of this machine "
            "(rawdaq-device), publishes it on port 9004, and archives it in this folder. Start it with --demo, "
            f"or write a station file: {PROGRAM} init NET.STA"
        )


def is_config_named() -> bool:
    """Whether ``-c`` or ``$RAWDAQ_CONFIG`` names a configuration."""
    from rawdaq import config

    return config.named_config(given_config()) is not None


def configuration() -> Path:
    """Return the station file, or the folder of them, that this command works on; it need not be there."""
    from rawdaq import config
    from rawdaq.config.options import plain

    return plain((config.named_config(given_config()) or config.find_config(None)).absolute())


class Found(NamedTuple):
    """The components that a command line names.

    Attributes:
        targets: the components of valid station files, and those that run or have failed, whatever their file says now.
        invalid: the other problems of the configuration; None when it is valid.
    """

    targets: list["Target"]
    invalid: "ConfigError | None"


def find(words: Sequence[str], runtime: "RuntimeFiles", *, with_others: bool = True) -> Found:
    """Return the components that *words* name.

    Args:
        words: names, ``all``, or ``group.N``.
        runtime: the files of those that run.
        with_others: include components that no valid station file describes. Of these ``all`` means those that were
            started from the named configuration, or all of them when none is named.

    Raises:
        NoSuchComponent: a word names none, or several.
    """
    from rawdaq.control.names import GroupOf, NoSuchComponent, resolve_all

    known, invalid = _known(runtime)
    own = [target for target in known if target.settings or (with_others and _is_own(target))]
    others = [target for target in known if with_others and target not in own]
    try:
        group_of = GroupOf(configuration(), is_config_named())
        return Found(resolve_all(words, own, others, group_of), invalid)
    except NoSuchComponent:
        report_invalid(invalid, words)  # the component may be in an invalid file
        raise


def _known(runtime: "RuntimeFiles") -> Found:
    """Return the components of valid station files, then all others that run or have failed."""
    from rawdaq import config
    from rawdaq.control import names

    try:
        files, problems = config.load_good(config.find_config(given_config()))
    except config.ConfigError as error:  # there is no such file
        files, problems = [], error.problems
    return Found(names.targets(files, runtime), config.ConfigError(problems) if problems else None)


def _is_own(target: "Target") -> bool:
    """Whether *target* was started from the named configuration; always when none is named."""
    file = target.started_from
    return not is_config_named() or (file is not None and configuration() in (file, file.parent))


def report_invalid(invalid: "ConfigError | None", words: Sequence[str]) -> int:
    """Print the problems of the configuration; return the exit status that they mean for what *words* name."""
    if invalid is None:
        return 0
    print_error(f"the configuration is wrong:\n{invalid}")  # each line begins with FILE:LINE, as editors like it
    return 2 if "all" in words else 0


def find_running(words: Sequence[str], runtime: "RuntimeFiles") -> list["Target"]:
    """Return the components that *words* name, for commands to running components: ``all`` leaves out stopped ones.

    An invalid station file is reported, and does not keep what was started from it from being stopped.
    """
    targets, invalid = find(words, runtime)
    report_invalid(invalid, words)
    return [target for target in targets if "all" not in words or target.state != "stopped"]


def find_one(name: str, runtime: "RuntimeFiles") -> "Target":
    """Return the component that *name* names."""
    if name == "all":
        raise click.UsageError("This command takes one component; give its name.")
    return find_running([name], runtime)[0]


def drop_output() -> None:
    """Let nothing more be printed: the reader of the output has closed it."""
    # Python flushes stdout once more when it exits, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
