"""The lines of a list of components or streams: pure, from values to text, for any width from 20 columns on."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from rawdaq.control.dash import texts
from rawdaq.control.dash.values.board import Board, Component, Stream
from rawdaq.control.dash.values.trace import Traces, braille
from rawdaq.control.status.columns import fitting

LEAST_TRACE = 10
MOST_TRACE = 60
_MOST_NAME = 28
_NAME_COLUMN = "name"
_TRACE_COLUMN = "last minute"
_REASON_COLUMN = "what is wrong"
_LEAST_REASON = 30
_GAP = 1
_INDENT = "    "

#: Marks say the same as colours, for those who do not see these.
_MARKS = {
    "running": ("●", "green"),
    "paused": ("‖", "yellow"),
    "stopped": ("○", "bright_black"),
    "offline": ("○", "red"),
    "unknown": ("?", "yellow"),
    "silent": ("○", "red"),
} | dict.fromkeys(("dead", "failed", "hung"), ("✖", "red"))
_OTHER = ("?", "yellow")
_TROUBLED = "!"

Cell = tuple[str, str]  # text and style


class Column(NamedTuple):
    """A column of numbers or words.

    Attributes:
        title: what stands above it.
        width: in characters.
        is_left: whether it is aligned to the left.
    """

    title: str
    width: int
    is_left: bool = False


_COMPONENT_COLUMNS = (
    Column("state", 8, is_left=True),
    Column("since", 8),
    Column("rate/s", 6),
    Column("latency", 7),
    Column("gaps", 5),
    Column("drops", 5),
    Column("queue", 6),
    Column("data", 4),
)
_STREAM_COLUMNS = (Column("Hz", 5), Column("latency", 7), Column("last", 7), Column("gaps", 5))


class Look(NamedTuple):
    """How lines are made.

    Attributes:
        width: of a line.
        now_ns: the time.
        now_s: the clock of the traces.
        traces: the traces; None: there are none.
    """

    width: int
    now_ns: int
    now_s: float = 0.0
    traces: Traces | None = None


class _Plan(NamedTuple):
    """Which columns are there, and how wide those are that take what is left."""

    name: int
    columns: Sequence[Column]
    trace: int
    reason: int


def mark(item: Component | Stream) -> Cell:
    """Return the mark of its state, and its style."""
    shown = _MARKS.get(item.state, _OTHER)
    return (_TROUBLED, "bold yellow") if item.state == "running" and item.needs_a_person else shown


class ListLines:
    """The lines of a list.

    Args:
        items: components, or streams, in order.
        look: how.
    """

    def __init__(self, items: Sequence[Component] | Sequence[Stream], look: Look, *, is_of_streams: bool) -> None:
        self._items, self._look = items, look
        self._is_of_streams = is_of_streams
        self._plan = _plan(items, look, is_of_streams=is_of_streams)

    def header(self) -> Text:
        """Return the line above the list."""
        plan = self._plan
        title = "stream" if self._is_of_streams else "component"
        line = Text(f"  {texts.short(title, plan.name):{plan.name}}", style="bold")
        parts = [(each.title, each.width, each.is_left) for each in plan.columns]
        trace = [(texts.short(_TRACE_COLUMN, plan.trace), plan.trace, True)] if plan.trace else []
        reason = [("component" if self._is_of_streams else _REASON_COLUMN, plan.reason, True)] if plan.reason else []
        parts = [*trace, *parts, *reason] if self._is_of_streams else [*parts, *trace, *reason]
        for text, width, is_left in parts:
            line.append(f" {text:{'<' if is_left else '>'}{width}}")
        return line

    def height(self, index: int) -> int:
        """Return how many lines an item has: a reason that has no column has a line of its own."""
        item = self._items[index]
        has_line = isinstance(item, Component) and item.needs_a_person and not self._plan.reason
        return 2 if has_line and self._look.width >= len(_INDENT) + LEAST_TRACE else 1

    def lines(self, index: int) -> list[Text]:
        """Return the lines of an item."""
        item = self._items[index]
        line = Text(no_wrap=True, end="")
        line.append(*mark(item))
        name = texts.short(texts.clean(item.name), self._plan.name)
        line.append(f" {name:{self._plan.name}}", style="bold" if item.needs_a_person else "")
        if isinstance(item, Component):
            self._add_component(line, item)
        else:
            self._add_stream(line, item)
        if self.height(index) == 1:
            return [line]
        why = texts.clean(item.reason)
        return [line, Text(_cut(f"{_INDENT}{why}", self._look.width), style="yellow", no_wrap=True, end="")]

    def _add_component(self, line: Text, item: Component) -> None:
        self._add_cells(line, component_cells(item, self._look.now_ns))
        if self._plan.trace:
            stream = item.streams[0] if item.streams else None
            self._add_trace(line, stream)
        if self._plan.reason:
            line.append(
                f" {_cut(texts.clean(item.reason), self._plan.reason)}", "yellow" if item.needs_a_person else ""
            )

    def _add_stream(self, line: Text, item: Stream) -> None:
        if self._plan.trace:
            self._add_trace(line, item)
        self._add_cells(line, stream_cells(item))
        if self._plan.reason:
            line.append(f" {texts.short(texts.clean(item.component), self._plan.reason)}")

    def _add_cells(self, line: Text, cells: Mapping[str, Cell]) -> None:
        for column in self._plan.columns:
            text, style = cells[column.title]
            text = _cut(text, column.width)
            line.append(f" {text:{'<' if column.is_left else '>'}{column.width}}", style)

    def _add_trace(self, line: Text, stream: Stream | None) -> None:
        text, style = trace_or_note(stream, self._look, self._plan.trace)
        line.append(f" {text:{self._plan.trace}}", style)


def trace_or_note(stream: Stream | None, look: Look, width: int) -> Cell:
    """Return the last minute of a stream in one line, or why there is none."""
    if stream is None:
        return "", ""
    trace = look.traces.get(stream.name) if look.traces is not None else None
    if trace is not None:
        return braille(trace.window(look.now_s), width)[0], "cyan"
    return _cut(stream.note or "no packet yet", width), "bright_black"


def component_cells(item: Component, now_ns: int) -> dict[str, Cell]:
    """Return what stands in each column of a component."""
    has_data = texts.NOTHING if item.has_data is None else "yes" if item.has_data else "no"
    return {
        "state": (texts.clean(item.state), mark(item)[1] if item.state != "running" else ""),
        "since": (texts.clock(item.since_ns, now_ns), ""),
        "rate/s": (texts.rate(item.items_per_s), ""),
        "latency": (texts.seconds(item.latency_s), ""),
        "gaps": (texts.number(item.gaps), _warn(item.gaps)),
        "drops": (texts.number(item.dropped), _warn(item.dropped)),
        "queue": (texts.number(item.waiting), ""),
        "data": (has_data, "red" if item.has_data is False else ""),
    }


def stream_cells(item: Stream) -> dict[str, Cell]:
    """Return what stands in each column of a stream."""
    last = item.age_s if item.silent_s is None else item.silent_s
    return {
        "Hz": (texts.rate(item.rate_hz), ""),
        "latency": (texts.seconds(item.latency_s), ""),
        "last": (texts.seconds(last), "red" if item.silent_s is not None else ""),
        "gaps": (texts.number(item.gaps), _warn(item.gaps)),
    }


def _warn(count: int | None) -> str:
    return "yellow" if count else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"[:width]


def _plan(items: Sequence[Component] | Sequence[Stream], look: Look, *, is_of_streams: bool) -> _Plan:
    """Return which columns fit: the most important first, then a trace, then reasons."""
    columns = _STREAM_COLUMNS if is_of_streams else _COMPONENT_COLUMNS
    longest = max((len(texts.clean(each.name)) for each in items), default=0)
    most = _MOST_NAME if look.width >= 110 else 20
    first = 0 if is_of_streams or look.width < 24 else columns[0].width + _GAP
    name = max(6, min(longest or 9, most, look.width - 2 - first))
    left = look.width - 2 - name
    has_trace = look.traces is not None and left >= LEAST_TRACE + _GAP and is_of_streams
    reserved = LEAST_TRACE + _GAP if has_trace else 0
    cells = {_NAME_COLUMN: ["x" * (2 + name)]} | {each.title: ["x" * each.width] for each in columns}
    fits = fitting(cells, look.width - reserved, _GAP)
    shown = [each for each in columns if each.title in fits]
    left -= sum(each.width + _GAP for each in shown)
    if is_of_streams:
        reason = min(24, left - 2 * _GAP - MOST_TRACE // 2) if left > MOST_TRACE // 2 + 12 else 0
        reason = max(0, reason)
        trace = min(MOST_TRACE, left - _GAP - (reason + _GAP if reason else 0)) if has_trace else 0
        return _Plan(name, shown, trace, reason)
    reason = 0 if left < _LEAST_REASON + _GAP else left - _GAP
    trace = 0
    if look.traces is not None and left >= _LEAST_REASON + LEAST_TRACE + 2 * _GAP:
        trace = min(MOST_TRACE // 2, left - _LEAST_REASON - 2 * _GAP)
        reason = left - trace - 2 * _GAP
    return _Plan(name, shown, trace, reason)


def summary(board: Board, width: int, more: Sequence[str] = ()) -> Text:
    """Return the line that says how many components there are in which state, the worst first.

    Args:
        board: what there is.
        width: of the line.
        more: what is said at its end, as far as it fits.
    """
    line = Text(texts.clock(board.now_ns, board.now_ns), style="bold", no_wrap=True, end="")
    line.append(" UTC" if width >= 40 else "")
    states: dict[tuple[str, str], int] = {}
    for each in sorted(board.components, key=lambda each: -each.number):
        symbol, style = mark(each)
        word = "trouble" if symbol == _TROUBLED else each.state
        states[word, style] = states.get((word, style), 0) + 1
    for (word, style), count in states.items():
        line.append(f"  {count} {texts.clean(word)}", style)
    if not board.components:
        line.append("  no components")
    streams = len(board.streams) + sum(len(each.streams) for each in board.components)
    for text in [f"{streams} streams", *more]:
        if line.cell_len + 2 + len(text) <= width:
            line.append(f"  {text}", "bright_black" if text.endswith("streams") else "cyan")
    line.truncate(width, overflow="ellipsis")
    return line


def table(board: Board, items: Sequence[Component], width: int) -> list[Text]:
    """Return a table of components for a terminal, or a pipe, that shows it once."""
    made = ListLines(items, Look(width, board.now_ns), is_of_streams=False)
    return [made.header(), *(line for index in range(len(items)) for line in made.lines(index))]
