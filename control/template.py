"""A station file to begin with."""

from pathlib import Path

from pydantic import ValidationError

from rawdaq.config import StationSettings
from rawdaq.errors import ComponentError, InvalidValue

_DEMO_CODES = "network: XX, code: DEMO"


def write(station: str, demo: Path, folder: Path) -> Path:
    """Write *folder*/NET.STA.yaml, the packaged *demo* with the codes of *station*, and return its path.

    Raises:
        InvalidValue: *station* is not NET.STA.
        ComponentError: the file is there already, or cannot be written.
    """
    network, _, code = station.partition(".")
    try:
        StationSettings(network=network, code=code)
    except ValidationError as error:
        reasons = "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors())
        raise InvalidValue(f"{station!r} is not NET.STA, such as XX.DEMO: {reasons}") from error
    file = folder / f"{station}.yaml"
    # In quotes, because YAML reads the network NO as false.
    text = demo.read_text().replace(_DEMO_CODES, f'network: "{network}", code: "{code}"')
    try:
        _write_new(file, text)
    except FileExistsError as error:
        raise ComponentError(f"{file} is there already; edit it, or move it away first") from error
    except OSError as error:
        raise ComponentError(
            f"{file} cannot be written: {error.strerror}; run init in a folder that you may write to and that has room"
        ) from error
    return file


def _write_new(file: Path, text: str) -> None:
    """Make *file* of *text*, or leave none behind."""
    with file.open("x") as opened:
        try:
            opened.write(text)
            opened.flush()
        except OSError:
            file.unlink()
            raise
