"""``rawdaq-plugin``: brings a device's samples into SeisComP's SeedLink server, which runs it as its plugin.

The short form takes the options of the C++ raw plugin; the long form, ``--config``, runs components of a
station file.

Exit status: 0 stopped by a signal, 1 it failed (the reason is in the log), 2 wrong usage or configuration.
"""

import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rawdaq.control.invocation import version_option

if TYPE_CHECKING:
    from rawdaq.config.settings import ComponentSettings

PROGRAM = "rawdaq-plugin"

#: The options of the short form, by the names of their parameters; the first four are needed.
_SHORT = {"host": "-s", "port": "-p", "station": "-c", "channels": "-m"}
_SHORT_OPTIONAL = {"encoding": "-e", "reconnect_s": "-r", "flush_after_s": "--flush-after"}


class _Seconds(click.FloatRange):
    """A number of seconds, which NaN is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return *value* as a number."""
        number: float = super().convert(value, param, ctx)
        return number if isfinite(number) else self.fail(f"{value} is not a number of seconds.", param, ctx)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-plugin")
@click.option("-s", "host", metavar="HOST", help="Where the device listens.")
@click.option("-p", "port", type=click.IntRange(1, 65535), metavar="PORT", help="Its port.")
@click.option("-c", "station", metavar="NET.STA", help="Network and station of the samples.")
@click.option("-m", "channels", metavar="MAP", help="Their channels: LOC.CHA:id,LOC.CHA:id (id: as the device has it).")
@click.option(
    "-e", "encoding", metavar="ENCODING", help="STEIM1, STEIM2, INT16, INT32, FLOAT32, FLOAT64.  [default: STEIM2]"
)
@click.option(
    "-r",
    "reconnect_s",
    type=_Seconds(0, 86_400),
    metavar="SECONDS",
    help="Pause before connecting again, at least 0.5.  [default: 0.5, growing to 30]",
)
@click.option(
    "--flush-after",
    "flush_after_s",
    type=_Seconds(0, 86_400),
    metavar="SECONDS",
    help="How long a sample waits for its record to fill; 0: each packet leaves at once.  [default: 1]",
)
@click.option("-D", "to_system_log", is_flag=True, help="Log to the system's log, not to standard error.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Station file, in place of -s -p -c -m.")
@click.option(
    "--component", "names", multiple=True, metavar="NAME", help="Component of it; repeatable.  [default: all]"
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    help="[default: INFO, or what the station file says]",
)
@click.argument("plugin_name", required=False)
def command(file: Path | None, to_system_log: bool, log_level: str | None, **given: Any) -> int:
    """Bring a device's samples into SeisComP's SeedLink server, which runs this as its plugin.

    The server adds PLUGIN_NAME. Samples go to file descriptor 63 as miniSEED; the log goes to standard error.
    """
    # The rest is imported when it is needed, so that --help does not wait for it.
    components = _from_options(**given) if file is None else _from_file(file, **given)
    from rawdaq.control.plugin import process as plugin_process

    return plugin_process.run(components, log_level, to_system_log=to_system_log, may_run_twice=file is None)


def _from_file(file: Path, names: Sequence[str], plugin_name: str | None, **short: Any) -> list["ComponentSettings"]:
    both = [option for name, option in (_SHORT | _SHORT_OPTIONAL).items() if short[name] is not None]
    if both:
        raise click.UsageError(f"--config replaces the short form; leave out {' '.join(both)}")
    from rawdaq.control.plugin import component as plugin_component

    return plugin_component.from_file(file, names)


def _from_options(
    names: Sequence[str],
    plugin_name: str | None,
    station: str | None,
    channels: str | None,
    encoding: str | None,
    flush_after_s: float | None,
    reconnect_s: float | None,
    **receiver: Any,
) -> list["ComponentSettings"]:
    if names:
        raise click.UsageError("--component names a part of a station file; add --config STATION.yaml")
    given = {"station": station, "channels": channels, **receiver}
    missing = [option for name, option in _SHORT.items() if not given[name]]
    if missing or not (station and channels):
        raise click.UsageError(f"missing {' '.join(missing)}; {PROGRAM} -s host -p port -c NET.STA -m LOC.CHA:id")
    from rawdaq.control.plugin import component as plugin_component

    encodings = plugin_component.ENCODINGS
    name = (encoding or "STEIM2").upper()
    if name not in encodings:
        raise click.UsageError(f"-e {encoding} is not one of {', '.join(encodings)}")
    receiver["channels"] = plugin_component.parse_map(channels)
    flush_after_s = 1.0 if flush_after_s is None else flush_after_s
    return [
        plugin_component.from_command_line(plugin_name, station, receiver, encodings[name], flush_after_s, reconnect_s)
    ]


def run(args: Sequence[str]) -> int:
    """Run the command line *args* and return the exit status; an error is one line on standard error."""
    from rawdaq.errors import InvalidValue, RawdaqError

    try:
        result = command.main(list(args), PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        return _report(error.format_message(), 2)
    except InvalidValue as error:
        return _report(str(error), 2)
    except RawdaqError as error:
        from rawdaq.config import ConfigError

        return _report(str(error), 2 if isinstance(error, ConfigError) else 1)


def _report(text: str, status: int) -> int:
    for line in text.splitlines():  # a station file may have several mistakes
        click.echo(f"{PROGRAM}: {line}".encode(errors="backslashreplace"), err=True)
    return status


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
