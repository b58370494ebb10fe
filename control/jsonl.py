"""``rawdaq-jsonl``: archives the JSON packets of a DataLink server, as dali2jsonl does and from its configuration.

It connects again when the server was away, and a restart goes on where it stopped. Exit status: 0 stopped by a signal,
1 it failed (the reason is in the log), 2 wrong usage or configuration.
"""

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rawdaq.control.invocation import version_option
from rawdaq.errors import InvalidValue, RawdaqError

if TYPE_CHECKING:
    from rawdaq.receiver_server import ReceiverServer

_PROGRAM = "rawdaq-jsonl"
_READER_STATE, _LINES_STATE = f".{_PROGRAM}.reader.json", f".{_PROGRAM}.lines.json"
_CLIENT_KEYS = ("programname", "username", "processid", "architecture")


class _Table(BaseModel):
    """A table of the configuration; keys that are not known are left alone, as dali2jsonl does."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _DataLinkTable(_Table):
    match: str
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 16000
    websocket: str | None = None
    programname: str = "rawdaq-jsonl"
    username: str = "rawdaq"
    processid: int | str = 0
    architecture: str = "python"

    @property
    def url(self) -> str:
        """The server's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.websocket or f"datalink://{host}:{self.port}"

    @property
    def client_id(self) -> str:
        """What the server shows of us; empty when the configuration does not say it."""
        if not self.model_fields_set.intersection(_CLIENT_KEYS):
            return ""
        return ":".join(str(getattr(self, key)) for key in _CLIENT_KEYS)


class _JsonLinesTable(_Table):
    write: str
    bandwrite: dict[str, str] = {}


class _Configuration(_Table):
    datalink: _DataLinkTable
    jsonl: _JsonLinesTable


def read_configuration(file: Path) -> _Configuration:
    """Return what the TOML *file* says.

    Raises:
        InvalidValue: it cannot be read, or a key is missing or wrong; the text says all that is.
    """
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
        return _Configuration.model_validate(given)
    except OSError as error:
        raise InvalidValue(f"{file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{file} is no TOML: {error}") from error
    except ValidationError as error:
        raise InvalidValue(f"{file}: {'; '.join(map(_described, error.errors(include_url=False)))}") from error


def _described(detail: Any) -> str:
    where = ".".join(map(str, detail["loc"]))
    if detail["type"] == "missing":
        name = f"[{where}]" if len(detail["loc"]) == 1 else where
        return f"{name} is required in configuration toml"
    return f"{where}: {detail['msg']}"


def build(configuration: _Configuration, is_from_earliest: bool) -> "ReceiverServer":
    """Return the receiver that does what *configuration* says, with its publisher.

    Args:
        configuration: the content of the file.
        is_from_earliest: begin with the oldest packet of the server where nothing was archived before.

    Raises:
        InvalidValue: a pattern, an address or an expression is wrong.
    """
    from rawdaq.config.settings import StationSettings
    from rawdaq.publishers.jsonl import JsonLinesPublisher
    from rawdaq.receivers.datalink import DataLinkReceiver, check_expression

    datalink, jsonl = configuration.datalink, configuration.jsonl
    folder = _fixed_part(jsonl.write)
    publisher = JsonLinesPublisher(jsonl.write, jsonl.bandwrite, Path(), folder / _LINES_STATE, name="jsonl")
    receiver = DataLinkReceiver(
        [publisher],
        StationSettings(network="XX", code="JSONL"),
        url=datalink.url,
        match=check_expression(datalink.match),
        start="earliest" if is_from_earliest else "latest",
        state=folder / _READER_STATE,
        client_id=datalink.client_id,
        name=_PROGRAM,
    )
    receiver.needs_all_publishers = True  # it has one
    return receiver


def _fixed_part(pattern: str) -> Path:
    """Return the folder below which all files of *pattern* are.

    >>> str(_fixed_part("/data/jsonl/%n/%s.jsonl")), str(_fixed_part("%n.jsonl"))
    ('/data/jsonl', '.')
    """
    fixed = pattern.partition("%")[0]
    return Path(fixed.rpartition("/")[0] + "/") if "/" in fixed else Path()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-jsonl")
@click.option(
    "-c", "--conf", "file", required=True, type=click.Path(path_type=Path), help="Configuration as TOML, of dali2jsonl."
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--earliest", is_flag=True, help="Begin with the oldest packet of the server, the first time.")
def main(file: Path, verbose: bool, earliest: bool) -> None:
    """Archive the JSON packets of a DataLink server as JSON Lines: one JSON value a line.

    The configuration is that of dali2jsonl, and so are the files. A restart goes on where it stopped: how far that is
    stands in two hidden files in the folder that the write pattern begins with.
    """
    from rawdaq.process import log

    try:
        receiver = build(read_configuration(file), earliest)
    except (RawdaqError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    log.configure("DEBUG" if verbose else "INFO")
    try:
        receiver.run()
    except RawdaqError as error:
        click.echo(f"{_PROGRAM}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
