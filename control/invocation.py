"""What a command line of ``control-rawdaq`` is about: where its configuration is, and which components it names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from rawdaq.control.names import Target
    from rawdaq.runtime import RuntimeFiles
    from rawdaq.settings import ConfigError

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
        with_others: whether those count too that no good station file describes: they were started from a file that
            has changed since, or, without ``-c``, from anywhere.

    Raises:
        NoSuchComponent: a word names none, or several.
    """
    from rawdaq.control.names import NoSuchComponent, resolve_all

    known, wrong = _known(runtime)
    try:
        return Found(resolve_all(words, [target for target in known if target.settings or with_others]), wrong)
    except NoSuchComponent:
        tell(wrong, words)  # it may be in a file that is wrong
        raise


def _known(runtime: "RuntimeFiles") -> Found:
    """Return all components that this command line can be about."""
    from rawdaq import config
    from rawdaq.control import names

    try:
        files, problems = config.load_good(config.find_config(given_config()))
    except config.ConfigError as error:  # there is no such file
        files, problems = [], error.problems
    known = names.targets(files, runtime)
    return Found(
        [target for target in known if target.settings or _is_from(given_config(), target)],
        config.ConfigError(problems) if problems else None,
    )


def _is_from(config: Path | None, target: "Target") -> bool:
    """Whether *target* was started from *config*, a station file or a folder of them; None is anything."""
    from rawdaq.options import plain

    file = target.started_from
    return config is None or (file is not None and plain(config.absolute()) in (file, file.parent))


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
