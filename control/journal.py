"""``control-rawdaq journal``: what the journal of a component holds, and how far its publishers are."""

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from rawdaq.control import invocation
from rawdaq.control.invocation import PROGRAM

if TYPE_CHECKING:
    from rawdaq.journal.folder import JournalReport


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@invocation.config_option
def journal(name: str, as_json: bool) -> int:
    """Show what the journal of a component holds, and how far its publishers are behind.

    The component may be running or not.
    """
    from rawdaq.errors import ComponentError
    from rawdaq.journal.folder import is_journal, report

    with invocation.runtime_files() as runtime:
        target = invocation.find_one(name, runtime)
    settings = target.settings
    if settings is None:
        raise ComponentError(f"{target.title} runs from {target.started_from}: name that with -c")
    if settings.journal is None:
        raise ComponentError(f"{target.title} has no journal; add `Journal: {{path: journal}}` to {settings.file}")
    path = settings.journal.path
    if not is_journal(path):
        raise ComponentError(f"{target.title} has not written a journal in {path} yet; {PROGRAM} start {target.title}")
    found = report(path)
    if as_json:
        streams = {name: extent._asdict() for name, extent in found.streams.items()}
        click.echo(json.dumps(dataclasses.asdict(found) | {"path": str(found.path), "streams": streams}, indent=2))
    else:
        for line in _lines(found, int(settings.journal.max_gb * 1e9)):
            click.echo(line)
    return 0


def _lines(found: "JournalReport", max_bytes: int) -> Iterator[str]:
    from rawdaq.times import duration_text, to_iso

    yield f"{found.path}: {found.size_bytes / 1e6:.1f} of {max_bytes / 1e6:.0f} MB"
    if found.oldest_ns is None or found.newest_ns is None:
        yield "nothing is in it"
    else:
        yield f"positions {found.oldest_position} to {found.next_position - 1}"
        yield f"samples {to_iso(found.oldest_ns)} to {to_iso(found.newest_ns)}"
    for stream, extent in sorted(found.streams.items()):
        yield f"stream {stream}: {extent.entries} entries, {to_iso(extent.start_ns)} to {to_iso(extent.end_ns)}"
    for name, cursor in sorted(found.cursors.items()):
        lag = f"{cursor.behind_packets} packets, {duration_text(cursor.behind_s)} behind"
        where = lag if cursor.behind_packets else "has all"
        yield f"publisher {name}: {where}; position {cursor.position}, moved {to_iso(cursor.moved_ns, 0)}"
