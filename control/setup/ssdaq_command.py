"""``control-rawdaq import-ssdaq``: a station file made of a configuration of ssdaq."""

from pathlib import Path

import click

from rawdaq.control.invocation import PROGRAM


@click.command("import-ssdaq")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("station", metavar="NET.STA")
def import_ssdaq(file: Path, station: str) -> int:
    """Write NET.STA.yaml with what FILE, a configuration of ssdaq, describes.

    What could not be taken over is on standard error, a line each. Formats and receivers of the camera come from the
    example package rawdaq-chec.
    """
    from rawdaq.config import StationSettings
    from rawdaq.config.yaml_values import read
    from rawdaq.control.setup.ssdaq import convert
    from rawdaq.errors import RawdaqError

    network, _, code = station.partition(".")
    try:
        settings = StationSettings(network=network, code=code)
    except ValueError as error:
        raise click.UsageError(f"{station!r} is not NET.STA, such as XX.CAM") from error
    document = read(file)
    given = document.mapping((), document.root, "a configuration of components")
    if document.problems or given is None:
        raise RawdaqError("\n".join(map(str, document.problems)))
    text, notes = convert(given, settings)
    written = Path(f"{station}.yaml")
    try:
        with written.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise RawdaqError(f"{written} is there already; move it away first") from error
    for note in notes:
        click.echo(f"not taken over: {note}", err=True)
    click.echo(f"{written} is written. Look it through, then: {PROGRAM} check {written}")
    return 0
