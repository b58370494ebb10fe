"""The state of components as tables; plain text when the output is not a terminal."""

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rawdaq.control.rows import Row
from rawdaq.protocols.command import JsonValue

_COLOURS = {"running": "green", "dead": "red", "failed": "red", "paused": "yellow", "stopped": "dim"}

#: A longer list says less than the table of the streams.
_MAX_LINES = 12

#: The columns of each table, left out where they are empty; --json shows the whole status.
_STREAM_COLUMNS = ("packets", "samples", "rate_hz", "latency_s", "gaps", "gap_s", "overlaps", "last_sample")
_PUBLISHER_COLUMNS = ("class", "state", "delivered", "waiting", "dropped", "refused", "paused_reason")
_DECIMATION_COLUMNS = ("rate_hz", "type", "refused", "reason")
_JOURNAL_COLUMNS = ("behind_packets", "behind_s", "is_reading_journal", "unreadable", "dropped")
_TABLES = (("publishers", _PUBLISHER_COLUMNS), ("decimation", _DECIMATION_COLUMNS), ("streams", _STREAM_COLUMNS))


def print_list(rows: Sequence[Row]) -> None:
    """Print one line for each component."""
    _print([_table("", ("component", "state", "pid", "group", "receiver", "publishers", "file", "error"), rows)])


def print_status(status: Row) -> None:
    """Print the status of one component: a headline, its receiver, its publishers, decimated streams and streams."""
    head = Text(str(status["title"]), style="bold")
    uptime_s = status.get("uptime_s")
    state = str(status["state"])
    head.append(f"  {state}", style=_COLOURS.get(state, ""))
    if isinstance(uptime_s, int | float):
        head.append(f"  pid {status.get('pid')}, up {duration(uptime_s)}", style="")
    if error := status.get("error"):
        head.append(f"  {error}", style="red")
    parts: list[Table | Text] = [head, *(Text(f"  {line}") for line in _lines(status.get("receiver")))]
    if isinstance(journal := status.get("journal"), dict):
        parts += [Text(f"  {line}") for line in _lines({**journal, "cursors": None}, "journal")]
        if rows := _rows("journal", journal.get("cursors")):
            parts.append(_table("journal", ("journal", *_JOURNAL_COLUMNS), rows))
    for title, columns in _TABLES:
        rows = _rows(title, status.get(title))
        if rows:
            parts.append(_table(title, (title, *columns), rows))
    _print(parts)


def duration(seconds: float) -> str:
    """Return *seconds* in the two largest units that apply.

    >>> duration(59.4), duration(3700), duration(200000)
    ('59 s', '1 h 1 min', '2 d 7 h')
    """
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"


def _rows(title: str, entries: JsonValue) -> list[Row]:
    if not isinstance(entries, dict):
        return []
    return [{title: name, **entry} for name, entry in entries.items() if isinstance(entry, dict)]


def _lines(entry: JsonValue, name: str = "") -> Iterable[str]:
    """Yield the values of *entry* as lines, without empty ones."""
    if isinstance(entry, dict):
        plain = {key: value for key, value in entry.items() if not isinstance(value, dict | list)}
        words = [f"{key} {_cell(value)}" for key, value in plain.items() if _cell(value)]
        if words:
            yield f"{name}: {', '.join(words)}" if name else ", ".join(words)
        for key, value in entry.items():
            if key not in plain:
                yield from _limit_lines(value, key)
    elif isinstance(entry, list):
        for each in entry:
            yield from _lines(each if isinstance(each, dict) else {"": each}, name)


def _limit_lines(entry: JsonValue, name: str) -> Iterable[str]:
    """Return the lines of *entry*, or their number when they are too many."""
    lines = list(_lines(entry, name))
    return lines if len(lines) <= _MAX_LINES else [f"{name}: {len(lines)} (--json shows them)"]


def _table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=lines, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    shown = [column for column in columns if column == title or any(_cell(row.get(column)) for row in rows)]
    for column in shown:
        is_number = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column)), _COLOURS.get(str(row.get(column)), "")) for column in shown))
    return table


def _cell(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return "" if value is None else str(value)


def _print(parts: Iterable[Table | Text]) -> None:
    # Lines must not break in a pipe.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    for part in parts:
        console.print(part)
