"""``control-rawdaq repeater``: the command line of the original, of both its programs, and ours."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawdaq.control.invocation import PROGRAM, print_error, refusing

if TYPE_CHECKING:
    from rawdaq.control.repeater.config import Config
    from rawdaq.control.repeater.config_file import FileReader
    from rawdaq.control.repeater.machine import Repeater

_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
_SEVERAL = ("--send-every-nth", "--send-output-mode", "--send-output-param", "--out-zmq-mode")


class _Command(click.Command):
    """Takes options with several values, as in ``--send-every-nth 1 2 10``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args* with such an option repeated for each of its values."""
        return super().parse_args(ctx, _repeated(args))


def _repeated(args: Sequence[str]) -> list[str]:
    """Return *args* with one option for each value.

    >>> _repeated(["--send-every-nth", "1", "2", "--port", "1"])
    ['--send-every-nth', '1', '--send-every-nth', '2', '--port', '1']
    """
    repeated: list[str] = []
    option = ""
    for word in args:
        if word.startswith("--") or (word.startswith("-") and not word[1:2].isdigit()):
            option = word if word in _SEVERAL else ""
            if not option:
                repeated.append(word)
        else:
            repeated += [option, word] if option else [word]
    return repeated


@click.command("repeater", cls=_Command, short_help="Repeat a ZMQ stream of frames, thinned, driven over REST.")
@click.option("--config-file", "--config_file", metavar="FILE", help="Configuration to begin with.")
@click.option(
    "--config-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where requests may name configurations.  [default: that of the file, or this one]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve REST on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8888, show_default=True, help="Its port; 0: any free one."
)
@click.option("--token-file", type=click.Path(path_type=Path), help="File of the token that requests must have.")
@click.option(
    "--compat", is_flag=True, help="Answer refusals with status 200, and ignore unknown keys, as the original."
)
@click.option("--no-rest", is_flag=True, help="Start at once, without REST; run until Ctrl-C or SIGTERM.")
@click.option("--log-level", "--log_level", type=click.Choice(_LEVELS, case_sensitive=False), default="INFO")
@click.option("--in-address", metavar="ADDRESS", help="Where the frames come from, such as tcp://192.0.2.5:9609.")
@click.option("--in-zmq-mode", metavar="PULL|SUB", help="How they are read.  [default: PULL]")
@click.option("--out-init-port", type=click.IntRange(1, 65535), default=9610, show_default=True, help="Of output 0.")
@click.option("--io-threads", type=int, help="Threads that read.  [default: 1]")
@click.option("--buffer-size", type=int, help="Frames that may wait for an output.  [default: 5000]")
@click.option("--n-output-streams", "--n-outputs", type=int, help="How many outputs; by default as the parameters say.")
@click.option("--send-every-nth", type=int, multiple=True, metavar="N...", help="Outputs that send each Nth frame.")
@click.option("--send-output-mode", multiple=True, metavar="MODE...", help="Mode of each output.")
@click.option("--send-output-param", type=float, multiple=True, metavar="P...", help="Parameter of each output.")
@click.option(
    "--out-zmq-mode", multiple=True, metavar="MODE...", help="Of each output.  [default: PUSH the first, PUB others]"
)
@click.option("--mode-metadata", metavar="file|TestMetadata", help="Form of the headers.  [default: file]")
@click.version_option(None, "-v", "--version", package_name="rawdaq", prog_name=f"{PROGRAM} repeater")
def repeater(
    config_file: str | None,
    config_folder: Path | None,
    host: str,
    port: int,
    token_file: Path | None,
    compat: bool,
    no_rest: bool,
    log_level: str,
    **options: Any,
) -> int:
    """Receive a ZMQ stream of frames and send it to many, each output with a rule of its own.

    REST requests configure, start and stop it, as docs/repeater.md says. Outputs can also be written in a station
    file, and be started like any component.
    """
    from rawdaq.control.repeater.config_file import FileReader
    from rawdaq.control.rest.token_file import read_token
    from rawdaq.process import log

    folder = config_folder or (Path(config_file).resolve().parent if config_file else Path())
    files = FileReader(folder, ignores_unknown=compat)
    changes = _changes(config_file, options)
    log.configure(log_level.upper())
    if no_rest:
        return asyncio.run(_run(_configured(files, config_file, changes), files))
    with refusing():
        token = None if token_file is None else read_token(token_file)
    return asyncio.run(_serve(files, config_file, changes, (host, port), token, is_compatible=compat))


def _changes(config_file: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the configuration that *options* say.

    Raises:
        click.UsageError: they do not go together.
    """
    keys = ("in_address", "in_zmq_mode", "io_threads", "buffer_size", "mode_metadata")
    changes = {key: options[key] for key in keys if options[key] is not None}
    nth = list(options["send_every_nth"])
    modes, parameters = list(options["send_output_mode"]), list(options["send_output_param"])
    if nth and (modes or parameters):
        raise click.UsageError("--send-every-nth says mode and parameter; leave out --send-output-mode and -param")
    modes, parameters = modes or ["send_every_nth"] * len(nth), parameters or nth
    count, kinds = len(parameters), list(options["out_zmq_mode"])
    if options["n_output_streams"] not in (None, count):
        raise click.UsageError(f"--n-output-streams {options['n_output_streams']}, but {count} outputs are described")
    if count or modes or kinds:
        changes |= {
            "send_output_mode": modes,
            "send_output_param": parameters,
            "zmq_modes": kinds or ["PUSH" if index == 0 else "PUB" for index in range(count)],
            "stream_ports": [options["out_init_port"] + index for index in range(count)],
        }
    if changes and config_file is None and "in_address" not in changes:
        raise click.UsageError("--in-address is missing, such as tcp://192.0.2.5:9609")
    return changes


def _configured(files: "FileReader", config_file: str | None, changes: dict[str, Any]) -> "Config":
    """Return the configuration to begin with.

    Raises:
        click.UsageError: every mistake in it.
    """
    from rawdaq.control.repeater.config import Config, Mistaken

    try:
        config = Config() if config_file is None else files.read(_name(files, config_file))
        return config.changed(changes)
    except Mistaken as error:
        raise click.UsageError("\n".join(error.mistakes)) from error


def _name(files: "FileReader", config_file: str) -> str:
    """Return how a configuration file is called in its folder."""
    path = Path(config_file).resolve()
    return str(path.relative_to(files.folder)) if path.is_relative_to(files.folder) else str(path)


async def _run(config: "Config", files: "FileReader") -> int:
    """Run without REST until a signal, or until the run ends by itself."""
    from rawdaq.control.repeater.machine import Repeater
    from rawdaq.control.rest.routes import Refused
    from rawdaq.process.signals import stopping_on_signal
    from rawdaq.process.tasks import first_of

    machine = Repeater(files, _log())
    machine.begin(config)
    if any(output.has_writer_header for output in config.outputs()):
        raise click.UsageError("an output has the header of the writer, which REST says more of: leave out --no-rest")
    stopped = asyncio.Event()
    with stopping_on_signal(stopped.set):
        try:
            await machine.initialize()
            await machine.start()
        except Refused as error:
            print_error(str(error))
            return 1
        await first_of(stopped.wait(), machine.failed.wait())
        await machine.aclose()
    return 1 if machine.failed.is_set() else 0


async def _serve(
    files: "FileReader",
    config_file: str | None,
    changes: dict[str, Any],
    address: tuple[str, int],
    token: str | None,
    *,
    is_compatible: bool,
) -> int:
    """Serve REST until a signal."""
    from rawdaq.control.repeater.api import api
    from rawdaq.control.repeater.machine import Repeater
    from rawdaq.control.rest.guard import Guard, names_of
    from rawdaq.errors import ComponentError
    from rawdaq.process.signals import stopping_on_signal

    try:
        from rawdaq.control.rest.app import application
        from rawdaq.control.rest.server import RestServer
    except ModuleNotFoundError as error:
        raise ComponentError(f"REST needs {error.name}; install it: pip install 'rawdaq[web]'") from error
    machine = Repeater(files, _log(), is_compatible=is_compatible)
    guard = Guard(token, names_of(address[0]))
    if guard.hosts is None and token is None:
        _log().warning("any program that reaches %s can start and stop; --token-file limits that", address[0])
    server = RestServer(application(api(machine, is_compatible=is_compatible), guard, _log()), *address, _log())
    await server.open()
    await _begin(machine, files, config_file, changes)
    with stopping_on_signal(server.stop):
        await server.serve()
    await machine.aclose()
    return 0


async def _begin(machine: "Repeater", files: "FileReader", config_file: str | None, changes: dict[str, Any]) -> None:
    """Give the configuration to begin with; when it cannot be, the state is ERROR and says why."""
    from rawdaq.control.rest.routes import Refused

    with suppress(Refused):  # it is logged
        if config_file is not None:
            await machine.set_config_from_file({"config_file": _name(files, config_file)})
        if changes:
            await machine.set_config_from_dict(changes)
        machine.begin(machine.config)


def _log() -> logging.Logger:
    return logging.getLogger("rawdaq.repeater")
