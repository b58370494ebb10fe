"""``control-rawdaq container info|check|recover|cat|export``."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation
from rawdaq.control.invocation import PROGRAM

if TYPE_CHECKING:
    from rawdaq.container import ContainerReader, SofReader

_CONTENTS = ("none", "log", "timestamp", "trigger", "frame")  # ssdaq's numbers of contents

_file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def container() -> None:
    """Look into container files (.rdc), and those of ssdaq (SOF, ICF).

    A file can be looked at while it is written; its name ends with .part then.
    """


@container.command()
@_file_argument
@invocation.json_option
def info(file: Path, as_json: bool) -> int:
    """Show what FILE is and what it holds."""
    with _opened(file) as reader:
        found = {key: str(value) if isinstance(value, Path) else value for key, value in reader.info._asdict().items()}
    if as_json:
        invocation.print_json(found)
        return 0
    from rawdaq.times import to_iso

    for key, value in found.items():
        text = to_iso(value, 9) if key.endswith("_ns") and isinstance(value, int) else value
        text = json.dumps(text, ensure_ascii=False) if isinstance(text, dict) else text
        click.echo(f"{key.removesuffix('_ns').replace('_', ' ')}: {'-' if text is None else text}")
    return 0


@container.command()
@_file_argument
def check(file: Path) -> int:
    """Read all of FILE; print what is damaged. Exit status 1: something is."""
    from rawdaq.container.sequence import describe

    with _opened(file) as reader:
        damages = [describe(damage) for damage in reader.check()]
        found = reader.info
        good = sum(1 for _ in reader)
    for line in damages:
        click.echo(f"{file}: {line}")
    if found.torn_bytes:
        click.echo(f"{file}: the last {found.torn_bytes} bytes are no whole block")
    click.echo(f"{file}: {good} objects in {found.blocks} blocks are good")
    if damages or found.torn_bytes:
        invocation.print_error(f"{file} is damaged; {PROGRAM} container recover {file} saves what is good")
        return 1
    return 0


@container.command()
@_file_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The new file.  [default: FILE.recovered.rdc]")
def recover(file: Path, output: Path | None) -> int:
    """Save all objects of FILE that are good into a new container file; FILE stays as it is."""
    from rawdaq.container.repair import recover as save

    target = output or file.with_name(f"{file.name}.recovered.rdc")
    with _opened(file) as reader, _writing(target):
        saved = save(reader, target)
    for line in saved.damages:
        click.echo(f"{file}: {line}")
    click.echo(f"{target}: {saved.objects} objects are saved")
    return 0 if saved.objects else 1


@container.command()
@_file_argument
@click.option("--start", default=0, show_default=True, help="Index of the first object; negative: from the end.")
@click.option("-n", "--count", type=click.IntRange(min=0), help="How many objects.  [default: all]")
@click.option("--from", "from_", metavar="TIME", help="Objects from this time on, like 2026-11-29T12:00:00Z.")
@click.option("--to", metavar="TIME", help="Objects before this time.")
@click.option("-f", "--follow", "is_following", is_flag=True, help="Then show what comes, until the file is finished.")
def cat(file: Path, start: int, count: int | None, from_: str | None, to: str | None, is_following: bool) -> int:
    """Print the objects of FILE, each as one line of JSON."""
    times = _times(from_, to)
    try:
        with _opened(file) as reader:
            for line in islice(_lines(reader, start, times, is_following=is_following), count):
                click.echo(line.encode("utf-8", "backslashreplace"))
    except BrokenPipeError:
        invocation.drop_output()
    except KeyboardInterrupt:
        if not is_following:
            raise
    return 0


def _times(begin: str | None, end: str | None) -> tuple[int, int] | None:
    from rawdaq.times import from_iso

    if begin is None and end is None:
        return None
    with invocation.refusing():
        return from_iso(begin) if begin else -(1 << 63), from_iso(end) if end else 1 << 63


def _lines(
    reader: "ContainerReader | SofReader", start: int, times: tuple[int, int] | None, *, is_following: bool
) -> Iterator[str]:
    from rawdaq.container.export import as_json
    from rawdaq.container.reader import ContainerReader

    index = max(0, start + len(reader)) if start < 0 else start
    stored = (
        reader.follow_stored(start=index)
        if is_following and isinstance(reader, ContainerReader)
        else reader.walk(index)
    )
    for each in stored:
        if times is None or (each.time_ns is not None and times[0] <= each.time_ns < times[1]):
            yield json.dumps(as_json(each), ensure_ascii=False, separators=(",", ":"))


@container.command()
@_file_argument
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["jsonl", "sof"]), help="By default as OUTPUT ends.")
@click.option("--content", type=click.Choice(_CONTENTS), default="none", help="What ssdaq's DataReader finds in a SOF.")
def export(file: Path, output: Path, form: str | None, content: str) -> int:
    """Write the objects of FILE into the new file OUTPUT: as lines of JSON, or as ssdaq's SOF version 1."""
    from rawdaq import __version__
    from rawdaq.container.export import as_bytes, write_json_lines
    from rawdaq.container.sof import write_sof

    form = form or {".jsonl": "jsonl", ".sof": "sof"}.get(output.suffix.lower())
    if form is None:
        raise click.UsageError(f"{output} ends neither with .jsonl nor with .sof: give --format")
    with _opened(file) as reader, _writing(output):
        if form == "jsonl":
            count = write_json_lines(output, reader)
        else:
            created_s = (reader.info.created_ns or 0) // 1_000_000_000
            number = _CONTENTS.index(content)
            count = write_sof(output, map(as_bytes, reader), created_s, f"rawdaq {__version__}", content=number)
        damages = len(reader.damaged)
    click.echo(f"{output}: {count} objects")
    if damages:
        invocation.print_error(f"{file} is damaged: {damages} parts of it are left out")
    return 1 if damages else 0


def _opened(file: Path) -> "ContainerReader | SofReader":
    """Return a reader of *file*.

    Raises:
        ContainerError: it is no container.
        ComponentError: it cannot be read.
    """
    from rawdaq.container.export import open_container
    from rawdaq.disk.remedies import describe
    from rawdaq.errors import ComponentError

    try:
        return open_container(file)
    except OSError as error:
        raise ComponentError(f"cannot read {file}: {describe(error)}") from error


@contextmanager
def _writing(target: Path) -> Generator[None]:
    """Say in words why the new file *target* cannot be written.

    Raises:
        ComponentError: that is so.
    """
    from rawdaq.disk.remedies import describe_write
    from rawdaq.errors import ComponentError

    try:
        yield
    except FileExistsError as error:
        raise ComponentError(f"{target} exists, and is not written over: give another name") from error
    except OSError as error:
        raise ComponentError(describe_write(error, target)) from error
