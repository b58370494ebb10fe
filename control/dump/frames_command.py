"""``rawdaq-dump --frames``: a consumer of frames, with the options of the original's script and ours."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control.invocation import drop_output, version_option
from rawdaq.errors import InvalidValue, RawdaqError

if TYPE_CHECKING:
    from rawdaq.control.dump.frame_files import FrameFile
    from rawdaq.control.dump.frames import Arrival


@click.command("rawdaq-dump --frames", context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-dump")
@click.option("-a", "--address", default="tcp://localhost:9610", show_default=True, help="Where frames come from.")
@click.option("--bind", is_flag=True, help="Bind that address, for an output that connects.")
@click.option(
    "-m", "--mode", type=click.Choice(["pull", "sub"], case_sensitive=False), default="pull", show_default=True
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["file", "gf", "TestMetadata"], case_sensitive=False),
    default="file",
    show_default=True,
    help="Form of the header: JSON, or seven numbers.",
)
@click.option("--header-part", type=click.IntRange(min=0), default=0, help="Which part is the header; rawdaq's own: 1.")
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="End after N frames.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", help="End after S seconds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--headers", "with_headers", is_flag=True, help="Show each header, indented.")
@click.option("--quiet", is_flag=True, help="Show the totals alone.")
@click.option(
    "--write",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.npy|FILE.h5",
    help="Write the arrays to a new file (an old one is replaced).",
)
@click.option("--expect", metavar="N,N-N...", help="End after these frame numbers; other ones mean exit status 1.")
def frames(
    address: str,
    bind: bool,
    mode: str,
    form: str,
    header_part: int,
    count: int | None,
    seconds: float | None,
    as_json: bool,
    with_headers: bool,
    quiet: bool,
    path: Path | None,
    expect: str | None,
) -> None:
    """Consume frames of a detector or a repeater: one line each, then frames, bytes, rate, and what is missing.

    The exit status is 1 when nothing came, or not what --expect says.
    """
    from rawdaq.control.dump.frame_files import frame_file
    from rawdaq.control.dump.frame_reader import FrameReader
    from rawdaq.process.signals import stop_event
    from rawdaq.protocols.array import HeaderForm

    expected = _expected(expect)
    count = count or (None if expected is None else len(expected))
    kind = HeaderForm(form)
    try:
        reader = FrameReader(address, binds=bind, subscribes=mode == "sub", form=kind, header_part=header_part)
        file = None if path is None else frame_file(path)
    except (InvalidValue, ValueError) as error:
        raise click.UsageError(str(error)) from error
    except (RawdaqError, OSError) as error:
        raise click.ClickException(str(error)) from error
    output = _Output(file, as_json=as_json, with_headers=with_headers, quiet=quiet)
    try:
        with stop_event() as stop:
            reader.read(stop, count, seconds, output.take)
    except BrokenPipeError:
        drop_output()
    except (RawdaqError, OSError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        output.close()
    click.echo(reader.stats.summary(), err=True)
    if not reader.stats.frames or (expected is not None and reader.stats.order != expected):
        sys.exit(1)


class _Output:
    """Where frames go: lines, and a file when there is one."""

    def __init__(self, file: "FrameFile | None", *, as_json: bool, with_headers: bool, quiet: bool) -> None:
        self._file = file
        self._as_json, self._with_headers, self._quiet = as_json, with_headers and not as_json, quiet

    def take(self, came: "Arrival") -> None:
        """Write a frame that came."""
        if self._file is not None:
            self._file.write(came)
        if self._quiet:
            return
        click.echo(came.json() if self._as_json else came.line())
        if self._with_headers:
            click.echo(came.header())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _expected(text: str | None) -> list[int] | None:
    from rawdaq.control.dump.frames import parse_numbers

    try:
        return None if text is None else parse_numbers(text)
    except ValueError:
        raise click.UsageError(f"--expect {text} is not a list of frame numbers, like 0-9,12") from None
