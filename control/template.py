"""A station file to begin with, and files that are written once and never over another."""

from pathlib import Path

from pydantic import ValidationError

from rawdaq.config import StationSettings
from rawdaq.config.files import tcp_ports
from rawdaq.errors import ComponentError, InvalidValue

_DEMO_CODES = "network: XX, code: DEMO"
_DEMO_PORT = "port: 9004"
_PORTS = (9004, *range(9010, 65535))  # 9005 and 9006 are usual for messages


def text(station: str, demo: Path, folder: Path) -> str:
    """Return the packaged *demo* with the codes of *station*, and a port that no other station of *folder* has.

    Raises:
        InvalidValue: *station* is not NET.STA.
    """
    settings = codes(station)
    # In quotes, because YAML reads the network NO as false.
    named = demo.read_text().replace(_DEMO_CODES, f'network: "{settings.network}", code: "{settings.code}"')
    taken = tcp_ports(folder)
    port = next(port for port in _PORTS if port not in taken)
    return named.replace(_DEMO_PORT, f"port: {port}")


def codes(station: str) -> StationSettings:
    """Return network and station of NET.STA.

    Raises:
        InvalidValue: *station* is not NET.STA.
    """
    network, _, code = station.partition(".")
    try:
        return StationSettings(network=network, code=code)
    except ValidationError as error:
        reasons = "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors())
        raise InvalidValue(f"{station!r} is not NET.STA, such as XX.DEMO: {reasons}") from error


def write(station: str, demo: Path, folder: Path) -> Path:
    """Write *folder*/NET.STA.yaml, the packaged *demo* with the codes of *station*, and return its path.

    Raises:
        InvalidValue: *station* is not NET.STA.
        ComponentError: the file is there already, or cannot be written.
    """
    content = text(station, demo, folder)
    return write_new(file_of(station, folder), content)


def file_of(station: str, folder: Path) -> Path:
    """Return where the station file of *station* is written."""
    return folder / f"{station}.yaml"


def check_new(file: Path) -> None:
    """Refuse to write *file* when it is there already.

    Raises:
        ComponentError: it is.
    """
    if file.exists():
        raise ComponentError(_there(file))


def write_new(file: Path, content: str) -> Path:
    """Make *file* of *content*, or leave none behind; return it.

    Raises:
        ComponentError: the file is there already, or cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8") as opened:
            try:
                opened.write(content)
                opened.flush()
            except OSError:
                file.unlink()
                raise
    except FileExistsError as error:
        raise ComponentError(_there(file)) from error
    except OSError as error:
        raise ComponentError(
            f"{file} cannot be written: {error.strerror}; run init in a folder that you may write to and that has room"
        ) from error
    return file


def _there(file: Path) -> str:
    return f"{file} is there already; edit it, or move it away first"
