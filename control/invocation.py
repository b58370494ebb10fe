"""What a command line of ``control-rawdaq`` is about: where its configuration is, and which components it names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from rawdaq.config import ConfigError
    from rawdaq.control.names import Target
    from rawdaq.process.runtime_files import RuntimeFiles

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
        help="A station file, or a folder of them; all then means its components. $RAWDAQ_CONFIG does the same. "
        "Default: the user's configuration folder, or a demo; all then means whatever else runs, too.",
    )(command)


names_argument = click.argument("names", nargs=-1, required=True, metavar="NAME...|all")


def complain(text: str) -> None:
    """Tell what went wrong, on standard error."""
    click.echo(f"{PROGRAM}: {text}".encode(errors="backslashreplace"), err=True)


def runtime_files() -> "RuntimeFiles":
    """Return the folder of pid files, command sockets and logs."""
    from rawdaq.process.runtime_files import RuntimeFiles

    return RuntimeFiles.find()


def given_config() -> Path | None:
    """Return what ``-c`` said."""
    given: Path | None = click.get_current_context().find_root().meta.get(__name__)
    return given


def is_config_named() -> bool:
    """Whether ``-c`` or ``$RAWDAQ_CONFIG`` says what this command line is about."""
    from rawdaq import config

    return config.named_config(given_config()) is not None


class Found(NamedTuple):
    """The components that a command line names.

    Attributes:
        targets: those of good station files, and those that run or have failed, whatever their file says by now.
        wrong: what is wrong with the configuration besides; None when it is good.
    """

    targets: list["Target"]
    wrong: "ConfigError | None"


def find(words: Sequence[str], runtime: "RuntimeFiles", *, with_others: bool = True) -> Found:
    """Return the components that *words* name.

    Args:
        words: names, ``all``, or ``group.N``.
        runtime: where the files of those that run are.
        with_others: whether those count too that no good station file describes. Of them ``all`` means those that were
            started from the configuration that is named, or from anywhere when none is.

    Raises:
        NoSuchComponent: a word names none, or several.
    """
    from rawdaq.control.names import NoSuchComponent, resolve_all

    known, wrong = _known(runtime)
    own = [target for target in known if target.settings or (with_others and _is_own(target))]
    others = [target for target in known if with_others and target not in own]
    try:
        return Found(resolve_all(words, own, others), wrong)
    except NoSuchComponent:
        tell(wrong, words)  # it may be in a file that is wrong
        raise


def _known(runtime: "RuntimeFiles") -> Found:
    """Return the components of good station files, then all others that run or have failed."""
    from rawdaq import config
    from rawdaq.control import names

    try:
        files, problems = config.load_good(config.find_config(given_config()))
    except config.ConfigError as error:  # there is no such file
        files, problems = [], error.problems
    return Found(names.targets(files, runtime), config.ConfigError(problems) if problems else None)


def _is_own(target: "Target") -> bool:
    """Whether *target* was started from the configuration that is named; without one everything is meant."""
    from rawdaq import config
    from rawdaq.config.options import plain

    named, file = config.named_config(given_config()), target.started_from
    return named is None or (file is not None and plain(named.absolute()) in (file, file.parent))


def tell(wrong: "ConfigError | None", words: Sequence[str]) -> int:
    """Tell what is wrong with the configuration; return the exit status that this means for what *words* name."""
    if wrong is None:
        return 0
    complain(f"the configuration is wrong:\n{wrong}")  # each line begins with FILE:LINE, as editors like it
    return 2 if "all" in words else 0


def running(words: Sequence[str], runtime: "RuntimeFiles") -> list["Target"]:
    """Return the components that *words* name, for what concerns those that run; ``all`` leaves out the others.

    That a station file is wrong by now is told, and no reason not to stop what was started from it.
    """
    targets, wrong = find(words, runtime)
    tell(wrong, words)
    return [target for target in targets if "all" not in words or target.state != "stopped"]


def one(name: str, runtime: "RuntimeFiles") -> "Target":
    """Return the component that *name* names."""
    if name == "all":
        raise click.UsageError("This is about one component; say which.")
    return running([name], runtime)[0]
