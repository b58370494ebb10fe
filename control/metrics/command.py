"""``control-rawdaq metrics``: Prometheus metrics of all components, for scrapes or once for a file."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation

if TYPE_CHECKING:
    from rawdaq.control.metrics.server import Scrapes

_PORT = 9814
_POLL_S = 0.1  # how soon a stop is seen


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Its port; 0: any free one."
)
@click.option("--once", is_flag=True, help="Print the metrics once, and listen nowhere.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them once to FILE, whole or not at all, for the textfile collector of node_exporter.",
)
@click.option(
    "--max-streams",
    type=click.IntRange(min=0),
    default=10_000,
    show_default=True,
    help="Streams that have metrics; rawdaq_streams_omitted counts the others.",
)
@invocation.config_option
def metrics(host: str, port: int, once: bool, output: Path | None, max_streams: int) -> int:
    """Serve Prometheus metrics of all components of this machine at /metrics.

    Runs until Ctrl-C or SIGTERM. Each scrape asks the components, those that run and those that should.
    """
    from rawdaq.control.metrics.server import Scrapes
    from rawdaq.control.status.asking import asker

    scrapes = Scrapes(asker(), max_streams)
    if output is not None:
        _write(output, scrapes.answer().body)
    elif once:
        click.echo(scrapes.answer().body, nl=False)
    else:
        _serve(scrapes, host, port)
    return 0


def _write(file: Path, body: bytes) -> None:
    """Write *file* in the place of the last one; the collector never sees a half.

    Raises:
        ComponentError: it cannot be written.
    """
    from rawdaq.errors import ComponentError

    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(body)
        part.chmod(0o644)
        part.replace(file)
    except OSError as error:
        raise ComponentError(f"cannot write {file}: {error.strerror or error}") from error


def _serve(scrapes: "Scrapes", host: str, port: int) -> None:
    """Answer scrapes until a signal comes."""
    from rawdaq.control.metrics.server import MetricsServer
    from rawdaq.process.signals import stop_event

    scrapes.answer()  # what keeps all scrapes from being answered is reported now
    with MetricsServer(scrapes, host, port) as server, stop_event() as stopped:
        thread = threading.Thread(target=server.serve_forever, args=[_POLL_S], name="metrics")
        thread.start()
        click.echo(f"metrics at {server.url}")
        stopped.wait()
        server.shutdown()
        thread.join()
