"""``control-rawdaq describe``: what a station file may say, with defaults and meanings."""

import json
import shutil
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rawdaq.control.describe.words import Subject


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def describe(name: str | None, as_json: bool) -> int:
    """Show every option of a receiver, a publisher or a block of a station file.

    Without a NAME all of them are listed with a line each. Classes of other packages are shown too.
    """
    from rawdaq.control import invocation
    from rawdaq.control.describe import text, words
    from rawdaq.errors import ComponentError

    if name is not None:
        with invocation.refusing():
            found = words.find(name)
        shown = [text.details(each, _width()) for each in found]
        click.echo(_json(found) if as_json else "\n\n".join(shown))
        return 0
    listed: list[Subject] = []
    status = 0
    for kind in words.HEADINGS:
        for each in words.names(kind):
            try:
                listed.append(words.subject(kind, each))
            except ComponentError as error:
                invocation.print_error(str(error))
                status = 1
    click.echo(_json(listed) if as_json else text.overview(listed, _width()))
    return status


def _width() -> int:
    return min(120, max(60, shutil.get_terminal_size().columns))


def _json(subjects: "list[Subject]") -> str:
    from dataclasses import asdict

    return json.dumps([{"kind": each.kind, **asdict(each.description)} for each in subjects], indent=2)


@click.command()
def schema() -> int:
    """Print the JSON schema of a station file, for editors.

    It knows every installed class. What only `check` can find, such as two channels of one name, is not in it.
    """
    from rawdaq.control import invocation
    from rawdaq.control.describe.schema import station_schema

    made, unusable = station_schema()
    for reason in unusable:
        invocation.print_error(f"{reason}; the schema takes any option of it")
    click.echo(json.dumps(made, indent=2))
    return 1 if unusable else 0
