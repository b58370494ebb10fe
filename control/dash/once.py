"""Shows once, as a table or as JSON objects, what the dashboard shows."""

import asyncio
from dataclasses import asdict

from rawdaq.control.dash.rows import table
from rawdaq.control.dash.source import Source
from rawdaq.control.dash.values.board import Board, Component, Order, Stream, sorted_components
from rawdaq.control.status.tables import console_of_terminal
from rawdaq.protocols.command import JsonValue
from rawdaq.times import to_iso


def look(source: Source) -> Board:
    """Return what *source* has to show."""

    async def looked() -> Board:
        try:
            return await source.look()
        finally:
            await source.aclose()

    return asyncio.run(looked())


def print_table(board: Board) -> None:
    """Print a line, or two, for each component, the worst first."""
    console = console_of_terminal()
    for line in table(board, sorted_components(board.components, Order.WORST), console.width):
        line.rstrip()
        line.end = "\n"
        console.print(line, soft_wrap=True)


def objects(board: Board) -> list[dict[str, JsonValue]]:
    """Return an object for each component, the worst first; times as ISO 8601, what is not known as null."""
    return [_component(each) for each in sorted_components(board.components, Order.WORST)]


def _component(item: Component) -> dict[str, JsonValue]:
    made = _known(item)
    del made["said"]
    made["streams"] = [_known(each) for each in item.streams]
    return made


def _known(item: Component | Stream) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for key, value in asdict(item).items():
        if key.endswith("_ns"):
            found[key.removesuffix("_ns")] = None if value is None else to_iso(value)
        else:
            found[key] = value
    return found
