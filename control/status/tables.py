"""The state of components for people: one line for each, or all about one; plain text when it is not a terminal.

A line for each component is at most as wide as the terminal. In a pipe nothing is cut.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from rawdaq.control.health.parts import part
from rawdaq.control.health.problem import Row
from rawdaq.control.status.columns import fitting
from rawdaq.protocols.command import JsonValue
from rawdaq.times import duration_text

_COLOURS = {"running": "green", "paused": "yellow", "stopped": "dim"} | dict.fromkeys(("dead", "failed", "hung"), "red")

#: A longer list says less than the table of the streams.
_MAX_LINES = 12

_PIPE_WIDTH = 1000  # lines must not break in a pipe


class _Columns(NamedTuple):
    """The columns of a table after its title, the most important first: what does not fit is left out from the end.

    Columns that are empty are left out too; --json shows the whole status.
    """

    title: str
    names: tuple[str, ...]


_TABLES = (
    _Columns("publishers", ("state", "delivered", "waiting", "dropped", "refused", "class")),
    _Columns("journal", ("behind_packets", "behind", "is_reading_journal", "dropped", "unreadable")),
    _Columns("decimation", ("rate_hz", "type", "refused", "reason")),
    _Columns("streams", ("age", "latency", "gaps", "last_sample", "rate_hz", "packets", "gap", "overlaps", "samples")),
    _Columns("topics", ("age", "messages", "skipped", "frame", "bytes")),
)
_GAP = 2  # between columns
_DURATIONS = ("latency", "gap", "behind")
_TEXTS = ("reason", "class", "receiver", "publishers", "file", "error")  # these may be cut


def print_list(rows: Sequence[Row]) -> None:
    """Print one line for each component."""
    columns = ("component", "state", "pid", "group", "receiver", "publishers", "file", "error")
    _print([_table(columns, rows, console_of_terminal().width)])


def print_summary(rows: Sequence[Row]) -> None:
    """Print one line for each component: its state, and what is wrong, else what comes."""
    console = console_of_terminal()
    title_width = max((len(str(row["title"])) for row in rows), default=0)
    state_width = max((len(str(row["state"])) for row in rows), default=0)
    for row in rows:
        line = Text(str(row["title"]).ljust(title_width), style="bold")
        line.append(f"  {str(row['state']).ljust(state_width)}", style=_COLOURS.get(str(row["state"]), ""))
        troubles = _troubles(row)
        line.append(f"  {'; '.join(troubles) or _activity(row)}", style="yellow" if troubles else "")
        line.rstrip()
        line.truncate(console.width, overflow="ellipsis")
        console.print(line)


def print_problems(rows: Sequence[Row]) -> None:
    """Print one line for each component with which something is wrong; none of it is cut."""
    console = console_of_terminal()
    for row in rows:
        if troubles := _troubles(row):
            line = Text(str(row["title"]), style="bold")
            line.append(f"  {row['state']}", style=_COLOURS.get(str(row["state"]), ""))
            line.append(f"  {'; '.join(troubles)}")
            console.print(line, soft_wrap=True)


def print_status(status: Row) -> None:
    """Print the status of one component: a headline, what is wrong, its receiver, publishers and streams."""
    head = Text(str(status["title"]), style="bold")
    uptime_s = status.get("uptime_s")
    state = str(status["state"])
    head.append(f"  {state}", style=_COLOURS.get(state, ""))
    troubles = _troubles(status) if state != "stopped" else []
    if isinstance(uptime_s, int | float):
        head.append(f"  pid {status.get('pid')}, up {duration(uptime_s)}", style="")
    elif troubles:
        head.append(f"  {troubles.pop(0)}", style="red")
    parts: list[Table | Text] = [head, *(Text(f"  ! {trouble}", style="yellow") for trouble in troubles)]
    parts += [Text(f"  {line}") for line in _lines(status.get("receiver"))]
    journal = part(status, "journal")
    parts += [Text(f"  {line}") for line in _lines({**journal, "cursors": None}, "journal")]
    width = console_of_terminal().width
    for title, columns in _TABLES:
        rows = _rows(title, journal.get("cursors") if title == "journal" else status.get(title))
        if rows:
            parts.append(_table((title, *columns), rows, width))
    _print(parts)


def clear() -> None:
    """Begin a new screen; in a pipe a new paragraph."""
    console = console_of_terminal()
    if console.is_terminal:
        console.clear()
    else:
        console.print()


def duration(seconds: float) -> str:
    """Return *seconds* in the two largest units that apply.

    >>> duration(59.4), duration(3700), duration(200000)
    ('59 s', '1 h 1 min', '2 d 7 h')
    """
    return f"{int(seconds)} s" if seconds < 60 else duration_text(seconds)


def _troubles(row: Row) -> list[str]:
    troubles = row.get("problems")
    return [str(trouble) for trouble in troubles] if isinstance(troubles, list) else []


def _activity(row: Row) -> str:
    """Return how long a component runs, and how old its newest sample or message is."""
    uptime_s = row.get("uptime_s")
    if not isinstance(uptime_s, int | float):
        return ""
    words = [f"pid {row.get('pid')}", f"up {duration(uptime_s)}"]
    for what in ("stream", "topic"):
        if found := _rows(what, row.get(f"{what}s")):
            ages = [age for each in found if isinstance(age := each.get("age_s"), int | float)]
            words.append(f"{len(found)} {what}{'s' * (len(found) > 1)}")
            words += [f"newest {_seconds(min(ages))} old"] if ages else []
    return ", ".join(words)


def _rows(title: str, entries: JsonValue) -> list[Row]:
    if not isinstance(entries, dict):
        return []
    rows = [{title: name, **entry} for name, entry in entries.items() if isinstance(entry, dict)]
    return [_readable(row) for row in rows]


def _readable(row: Row) -> Row:
    """Return *row* with durations and times as people read them."""
    shown = dict(row)
    for key in ("latency_s", "gap_s", "behind_s"):
        if isinstance(seconds := row.get(key), int | float):
            shown[key.removesuffix("_s")] = _seconds(seconds) if seconds or key == "latency_s" else ""
    if isinstance(age_s := row.get("age_s"), int | float):
        shown["age"] = _seconds(age_s)
    if isinstance(silent_s := row.get("silent_s"), int | float):
        shown["age"] = f"silent for {duration_text(silent_s)}"
    if isinstance(last := row.get("last_sample"), str) and last:
        shown["last_sample"] = f"{last[:19]}Z"
    return shown


def _seconds(seconds: float) -> str:
    """Return a short number of seconds.

    >>> _seconds(0.0042), _seconds(12.34), _seconds(-4576.712), _seconds(200_000)
    ('0.004 s', '12.3 s', '-4576.7 s', '2 d 7 h')
    """
    if abs(seconds) >= 100_000:
        return f"{'-' if seconds < 0 else ''}{duration_text(abs(seconds))}"
    return f"{seconds:.{3 if abs(seconds) < 10 else 1}f} s"


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


def _table(columns: Sequence[str], rows: Sequence[Row], width: int) -> Table:
    """Return a table of *rows* that is no wider than *width*; of *columns* the first is the most important one."""
    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=lines, pad_edge=False, show_edge=False, padding=(0, _GAP, 0, 0))
    cells = {column: [_cell(row.get(column)) for row in rows] for column in columns}
    filled = {column: values for column, values in cells.items() if column == columns[0] or any(values)}
    shown = fitting(filled, width, _GAP + 1, _TEXTS)  # with a line between the columns of a terminal
    for column, cut_to in shown.items():
        is_number = column in _DURATIONS or all(isinstance(row.get(column), int | float) for row in rows)
        justify: JustifyMethod = "right" if is_number else "left"
        name = column.replace("_", " ")
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", max_width=cut_to)
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


def console_of_terminal() -> Console:
    """Return what prints in lines as wide as the terminal; in a pipe nothing is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _print(parts: Iterable[Table | Text]) -> None:
    console = console_of_terminal()
    for each in parts:
        console.print(each)
