"""``control-rawdaq init``: a station file to begin with, or one that fits a device, with its metadata."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawdaq.control import invocation
from rawdaq.control.invocation import PROGRAM
from rawdaq.control.setup.given import by_channel
from rawdaq.control.setup.parameters import ADDRESS, CHAIN_KEYS, CODES, IDS, KIND, KIND_HELP, chained

if TYPE_CHECKING:
    from rawdaq.control.setup.device import Device
    from rawdaq.control.setup.station import Row

_DEFAULT_IDS = "0-32"
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class _Wanted:
    """What the command line says beside the station."""

    address: tuple[str, int]
    channels: Sequence[int]
    seconds: float
    sensors: Sequence[tuple[list[int] | None, str]]
    codes: Sequence[tuple[list[int] | None, str]]
    files: Mapping[str, Path | None]
    place: Mapping[str, Any]
    chains: Mapping[str, Sequence[tuple[list[int] | None, Any]]]


@click.command()
@click.argument("station", metavar="[NET.STA]", required=False)
@click.option("--device", "address", type=ADDRESS, metavar="HOST:PORT", help="Ask the RAW device there what it offers.")
@click.option("--channels", type=IDS, metavar="IDS", help=f"Ask for these, such as 1-3,7.  [default: {_DEFAULT_IDS}]")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=3600),
    default=10.0,
    show_default=True,
    help="Listen for so long at most, to measure rates.",
)
@click.option("--sensor", "sensors", type=KIND, multiple=True, metavar="[IDS=]KIND", help=KIND_HELP)
@click.option("--code", "codes", type=CODES, multiple=True, metavar="ID=CODE", help="Name a channel: 4=10.HNZ.")
@click.option("--stationxml", type=_FILE, metavar="FILE", help="Write StationXML, too.")
@click.option("--scml", type=_FILE, metavar="FILE", help="Write SeisComP's inventory, too.")
@click.option("--latitude", type=click.FloatRange(-90, 90), help="In degrees, WGS 84.")
@click.option("--longitude", type=click.FloatRange(-180, 180), help="In degrees, WGS 84.")
@click.option("--elevation", "elevation_m", type=click.FloatRange(-12_000, 9_000), help="Of the ground, in metres.")
@click.option("--depth", "depth_m", type=click.FloatRange(-1000, 15_000), help="Of the sensor below it, in metres.")
@click.option("--site", help="The name of the place.")
@chained("sensor-sensitivity", "sensor_sensitivity", "Volts for one unit: for 1 m/s, 1 m/s^2 or 1 Pa.")
@chained("digitizer-sensitivity", "digitizer_sensitivity", "Counts for one volt.")
@chained("sensor-response", "sensor_file", "The sensor's RESP or StationXML file, such as from the NRL.")
@chained("digitizer-response", "digitizer_file", "That of the digitizer.")
@invocation.json_option
@click.pass_context
def init(context: click.Context, /, station: str | None, **options: Any) -> int:
    """Write NET.STA.yaml, a station file to begin with.

    With --device the device is asked for its channels, its rates are measured, and the file fits it; without NET.STA
    that is only shown. Options with [IDS=] hold for all channels, or for those: --sensor 4-6=accelerometer.
    """
    if options["address"] is None:
        _refuse_options(context)
        return _write_template(station)
    chains = {key: options[key] for key in CHAIN_KEYS}
    place = {key: options[key] for key in ("latitude", "longitude", "elevation_m", "depth_m", "site")}
    files = {key: options[key] for key in ("stationxml", "scml")}
    wanted = _Wanted(
        options["address"],
        options["channels"] or IDS.convert(_DEFAULT_IDS, None, context),
        options["seconds"],
        options["sensors"],
        options["codes"],
        files,
        {key: value for key, value in place.items() if value is not None},
        chains,
    )
    return _fit(station, wanted, options["as_json"])


def _refuse_options(context: click.Context) -> None:
    """Raise an error when an option is given that says something about a device."""
    from click.core import ParameterSource

    for parameter in context.command.params:
        name = parameter.name or ""
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and isinstance(parameter, click.Option) and parameter.expose_value:
            raise click.UsageError(f"{parameter.opts[0]} needs --device HOST:PORT.")


def _write_template(station: str | None) -> int:
    from rawdaq.config import DEMO_FILE
    from rawdaq.control import template

    if station is None:
        raise click.UsageError("Missing argument '[NET.STA]', or --device HOST:PORT.")
    with invocation.refusing():
        file = template.write(station, DEMO_FILE, Path())
    click.echo(f"{file} is written. {_next(file)}")
    return 0


def _next(file: Path) -> str:
    return f"Edit it, then: {PROGRAM} check {file} && {PROGRAM} start all -c {file}"


def _fit(station: str | None, wanted: _Wanted, as_json: bool) -> int:
    """Ask the device, show what it offers, and write the files that are wanted."""
    from rawdaq.control import template
    from rawdaq.control.setup import codes, device, report
    from rawdaq.control.setup import station as stations

    with invocation.refusing():
        _check(station, wanted)
        found = asyncio.run(device.ask(*wanted.address, wanted.channels, wanted.seconds))
        kinds = by_channel([(None, "broadband"), *wanted.sensors], found.formats)
        rates_hz = {channel: described.rate_hz for channel, described in sorted(found.formats.items())}
        named = codes.propose(rates_hz, kinds, by_channel(wanted.codes, found.formats))
        rows = stations.rows(found, named, kinds)
        written = _write(station, wanted, found, rows) if station is not None else {}
    warnings = stations.warnings(found, named)
    if as_json:
        shown = {"host": found.host, "port": found.port, "version": str(found.version)}
        channels = [asdict(row) for row in rows]
        invocation.print_json(shown | {"channels": channels, "warnings": warnings, "files": [*map(str, written)]})
        return 0
    report.show(found, rows, warnings)
    for file, content in written.items():
        click.echo(f"{file}: {content} is written.")
    if station is None:
        click.echo(f"Nothing is written; for a station file add its codes: {PROGRAM} init NET.STA --device HOST:PORT")
    else:
        click.echo(_next(template.file_of(station, Path())))
    return 0


def _check(station: str | None, wanted: _Wanted) -> None:
    """Refuse what cannot be written before the device is asked.

    Raises:
        InvalidValue: *station* is not NET.STA, or something lacks that metadata need.
        ComponentError: a file is there already.
    """
    from rawdaq.control import template
    from rawdaq.errors import InvalidValue

    files = [file for file in wanted.files.values() if file is not None]
    if station is None:
        if files:
            raise InvalidValue("metadata need the station's codes: init NET.STA")
        return
    template.codes(station)
    for file in (template.file_of(station, Path()), *files):
        template.check_new(file)
    needed = {"latitude": "--latitude", "longitude": "--longitude", "elevation_m": "--elevation"}
    if files and (missing := [option for key, option in needed.items() if key not in wanted.place]):
        raise InvalidValue(f"metadata need {', '.join(missing)}")
    if ("latitude" in wanted.place) != ("longitude" in wanted.place):
        raise InvalidValue("--latitude and --longitude belong together: give both, or none")
    if not files and ({"depth_m", "site"} & wanted.place.keys() or any(wanted.chains.values())):
        raise InvalidValue(
            "depth, site, sensitivity and response go into metadata: add --stationxml FILE or --scml FILE"
        )


def _write(station: str, wanted: _Wanted, found: "Device", rows: "Sequence[Row]") -> dict[Path, str]:
    """Write the station file and the metadata; return what each file is.

    Raises:
        InvalidValue: two channels have one name, or a channel has no sensitivity.
        ComponentError: a file cannot be written, or a response does not fit; nothing is written then.
    """
    import time

    from rawdaq.config import DEMO_FILE
    from rawdaq.config.channels import station_streams
    from rawdaq.control import template
    from rawdaq.control.setup import metadata, scml
    from rawdaq.control.setup import station as stations
    from rawdaq.control.setup.codes import LOCATION
    from rawdaq.times import NS_PER_DAY

    settings = template.codes(station).model_copy(update={"location": LOCATION})
    named = {row.channel: row.code for row in rows}
    station_streams(settings, named)
    contents = {
        template.file_of(station, Path()): (
            "the station file",
            stations.text(station, DEMO_FILE, Path(), found, named, wanted.place),
        )
    }
    xml, sc = wanted.files["stationxml"], wanted.files["scml"]
    if xml or sc:
        place, chains = metadata.Place(**wanted.place), _chains(wanted, list(named))
        today_ns = time.time_ns() // NS_PER_DAY * NS_PER_DAY  # what comes before the first start is in it too
        made = metadata.inventory(settings, rows, place, chains, today_ns)
        contents |= {xml: ("StationXML", metadata.stationxml(made))} if xml else {}
        contents |= {sc: ("SeisComP's inventory", scml.scml(made))} if sc else {}
    for file, (_, content) in contents.items():
        template.write_new(file, content)
    return {file: what for file, (what, _) in contents.items()}


def _chains(wanted: _Wanted, channels: Collection[int]) -> dict[int, Any]:
    from rawdaq.control.setup.response import Chain
    from rawdaq.errors import InvalidValue

    values = {key: by_channel(given, channels) for key, given in wanted.chains.items()}
    chains = {channel: Chain(**{key: given.get(channel) for key, given in values.items()}) for channel in channels}
    for channel, chain in chains.items():
        if missing := chain.missing():
            raise InvalidValue(f"metadata of channel {channel} need {missing}")
    return chains
