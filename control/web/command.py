"""``control-rawdaq web``: the command line of the web server."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation

if TYPE_CHECKING:
    from types import ModuleType

    from rawdaq.process.runtime_files import RuntimeFiles

_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
_LOOPBACK = ("127.0.0.1", "::1")
_ALL = ("0.0.0.0", "::")
_NAMES = ("127.0.0.1", "localhost", "[::1]")


@click.command("web", short_help="Serve a page that shows components, traces and logs.")
@click.option("--host", "hosts", multiple=True, metavar="ADDRESS", help="Loopback address.  [default: 127.0.0.1, ::1]")
@click.option("--port", type=click.IntRange(0, 65535), default=8710, show_default=True, help="0: any free one.")
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Listen here too, for other machines; needs --token-file. 0.0.0.0 is all addresses of this machine.",
)
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="How browsers may call this machine.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="File of the token, which only you can read.  [default: a new one at each start]",
)
@click.option(
    "--cert", type=click.Path(path_type=Path), help="PEM file of a certificate: the connections are encrypted."
)
@click.option("--key", type=click.Path(path_type=Path), help="PEM file of its private key.")
@click.option("--open-health", is_flag=True, help="Answer /api/v1/health without a token beyond this machine too.")
@click.option(
    "--history",
    "history_s",
    type=click.FloatRange(10, 3600),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How much of live streams is kept in memory.",
)
@click.option("--log-level", type=click.Choice(_LEVELS, case_sensitive=False), default="INFO", show_default=True)
@invocation.config_option
def web(
    hosts: Sequence[str],
    port: int,
    listen: Sequence[str],
    names: Sequence[str],
    token_file: Path | None,
    cert: Path | None,
    key: Path | None,
    open_health: bool,
    history_s: float,
    log_level: str,
) -> int:
    """Serve a page that shows the components of this machine, their traces and logs, and sends them commands.

    It prints the address to open in a browser, and runs until Ctrl-C or SIGTERM. Only programs of this machine reach
    it, unless --listen says otherwise. docs/web.md describes its interface for programs.
    """
    from rawdaq.control.rest.token_file import new_token, read_token
    from rawdaq.process import log
    from rawdaq.sockets.server.tls import server_context

    _check_near(hosts)
    _check_far(listen, names, token_file)
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together; give both, or none")
    service = _service()
    with invocation.refusing():
        given = None if token_file is None else read_token(token_file)
    log.configure(log_level.upper())
    logger = logging.getLogger("rawdaq.web")
    settings = service.Settings(
        config=invocation.given_config(),
        hosts=(*(hosts or _loopback_beside(listen)), *listen),
        optional=() if hosts else _LOOPBACK[1:],
        port=port,
        names=sorted({*_NAMES, *map(_name, names), *(_name(each) for each in listen if each not in _ALL)}),
        token=given or new_token(),
        tls=None if cert is None or key is None else server_context(cert, key),
        history_s=history_s,
        is_health_open=open_health or not listen,
    )
    if listen and settings.tls is None:
        logger.warning("the token can be read on the network: nothing is encrypted; give --cert and --key")
    name = names[0] if names else ("localhost" if listen and listen[0] in _ALL else (hosts or listen or _LOOPBACK)[0])
    with invocation.runtime_files() as runtime:
        invitation = _Invitation(_name(name), settings.token, token_file, runtime)
        try:
            status: int = asyncio.run(service.run(settings, runtime, logger, invitation.give))
        finally:
            invitation.take_back()
    return status


class _Invitation:
    """The address that a person opens, as it is printed once the server listens.

    A token that this start has made is in it, and in a file of the runtime folder for as long as the server runs.

    Args:
        host: how browsers call this machine.
        token: what the server asks for.
        token_file: where a person has it; None: it was made by this start.
        runtime: where it is kept then.
    """

    def __init__(self, host: str, token: str, token_file: Path | None, runtime: "RuntimeFiles") -> None:
        self._host, self._token, self._token_file, self._runtime = host, token, token_file, runtime
        self._kept: Path | None = None

    def give(self, url: str) -> None:
        """Print it, for a server that listens at *url*."""
        from rawdaq.control.rest.token_file import write_token

        scheme, port = url.partition(":")[0], url.rpartition(":")[2]
        address = f"{scheme}://{self._host}:{port}/"
        if self._token_file is not None:
            click.echo(f"{address} (with #token= and the token in {self._token_file} after it)")
            return
        self._runtime.prepare()
        self._kept = self._runtime.folder / f"web.{port}.token"
        write_token(self._kept, self._token)
        click.echo(f"{address}#token={self._token}")

    def take_back(self) -> None:
        """Remove the file."""
        if self._kept is not None:
            self._kept.unlink(missing_ok=True)


def _loopback_beside(listen: Sequence[str]) -> list[str]:
    """Return the loopback addresses to listen on besides *listen*; all addresses of a kind have its loopback too."""
    return [each for each, every in zip(_LOOPBACK, _ALL, strict=True) if every not in listen]


def _check_near(hosts: Sequence[str]) -> None:
    """Refuse addresses that other machines reach.

    Raises:
        click.UsageError: the text says which option is for them.
    """
    from rawdaq.control.rest.guard import is_loopback

    for host in hosts:
        if not is_loopback(host):
            raise click.UsageError(f"--host {host} is no loopback address; --listen {host} lets other machines in")


def _check_far(listen: Sequence[str], names: Sequence[str], token_file: Path | None) -> None:
    """Refuse to listen beyond this machine without all that is needed for it.

    Raises:
        click.UsageError: the text says what is missing.
    """
    if listen and token_file is None:
        raise click.UsageError(
            "--listen lets other machines in, and needs a token that stays: "
            "(umask 077; head -c 32 /dev/urandom | base64 > token), then --token-file token"
        )
    if not names and any(each in _ALL for each in listen):
        raise click.UsageError(
            "--listen on all addresses needs --allow-host NAME: how browsers call this machine; "
            "pages of others are kept out by that"
        )


def _name(address: str) -> str:
    """Return how a browser writes *address*."""
    return f"[{address.strip('[]').lower()}]" if address.count(":") > 1 else address.lower()


def _service() -> "ModuleType":
    """Return the module of the service.

    Raises:
        ComponentError: what the server needs is not installed.
    """
    from rawdaq.errors import ComponentError

    try:
        from rawdaq.control.web import service
    except ModuleNotFoundError as error:
        raise ComponentError(f"the web server needs {error.name}; install it: pip install 'rawdaq[web]'") from error
    return service
