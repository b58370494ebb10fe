"""All about one component, or one stream, as lines."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from rawdaq.control.dash import texts
from rawdaq.control.dash.rows import ListLines, Look, mark, trace_or_note
from rawdaq.control.dash.values.board import Board, Component, Stream
from rawdaq.control.dash.values.trace import WINDOW_S, braille
from rawdaq.control.health.parts import entries
from rawdaq.control.health.problem import Row

_GRAPH_LINES = 8
_LEAST_GRAPH = 3


def of_component(item: Component, look: Look) -> list[Text]:
    """Return the lines about a component: what is wrong, numbers, publishers, streams."""
    lines = [_headline(item), *_wrong(item.reasons, item.needs_a_person, look)]
    if item.last_error_seen_ns is not None:
        lines += wrapped(f"last error: {texts.clean(item.last_error)}", look.width, "bright_black")
        lines += wrapped(f"  seen last {texts.ago(item.last_error_seen_ns, look.now_ns)}", look.width, "bright_black")
    lines += [line for name, value in _facts(item, look) for line in wrapped(f"{name:9} {value}", look.width)]
    for name, said in entries(item.said.get("publishers")).items():
        lines += wrapped(_publisher(name, said), look.width, "" if said.get("state") == "running" else "yellow")
    if item.streams:
        streams = sorted(item.streams, key=lambda each: (-each.number, each.name))
        made = ListLines(streams, look, is_of_streams=True)
        lines += [Text(), made.header()]
        lines += [line for index in range(len(streams)) for line in made.lines(index)]
    return lines


def _publisher(name: str, shown: Row) -> str:
    """Return what a publisher does, in one line."""
    counts = ", ".join(f"{key} {shown[key]}" for key in ("delivered", "waiting", "dropped", "refused") if key in shown)
    return f"publisher {texts.clean(name)}: {texts.clean(str(shown.get('state')))}, {counts}"


def _headline(item: Component) -> Text:
    line = Text(no_wrap=True, end="")
    line.append(*mark(item))
    line.append(f" {texts.clean(item.name)}", "bold")
    line.append(f"  {texts.clean(item.state)}", mark(item)[1])
    return line


def _facts(item: Component, look: Look) -> Iterator[tuple[str, str]]:
    if item.since_ns is not None:
        yield "since", texts.ago(item.since_ns, look.now_ns)
    if item.restarted_ns is not None:
        yield "restarted", texts.ago(item.restarted_ns, look.now_ns)
    process = [f"pid {item.pid}"] if item.pid is not None else []
    process += [f"on {texts.clean(item.host)}"] if item.host else []
    process += [f"{item.cpu_percent:.1f} % of a core"] if item.cpu_percent is not None else []
    process += [texts.size(item.memory_bytes)] if item.memory_bytes is not None else []
    if process:
        yield "process", ", ".join(process)
    data = "unknown" if item.has_data is None else "yes" if item.has_data else "no"
    yield "data", f"{data}, {texts.rate(item.items_per_s)} a second, {texts.rate(item.samples_per_s)} samples/s"
    yield "latency", texts.seconds(item.latency_s)
    yield "losses", f"{texts.number(item.gaps)} gaps, {texts.number(item.dropped)} drops"
    yield "queue", f"{texts.number(item.waiting)} wait, {texts.size(item.waiting_bytes)}"


def _wrong(reasons: Sequence[str], needs_a_person: bool, look: Look) -> Iterator[Text]:
    style = "yellow" if needs_a_person else ""
    for reason in reasons:
        yield from wrapped(f"! {texts.clean(reason)}", look.width, style)


def of_stream(item: Stream, look: Look, height: int) -> list[Text]:
    """Return the lines about a stream: what is wrong, numbers, and its last minute as large as *height* allows."""
    head = Text(no_wrap=True, end="")
    head.append(*mark(item))
    head.append(f" {texts.clean(item.name)}", "bold")
    lines = [head, *_wrong([item.reason] if item.reason else [], item.needs_a_person, look)]
    silent = f", silent for {texts.seconds(item.silent_s)}" if item.silent_s is not None else ""
    facts = f"{texts.rate(item.rate_hz)} Hz, latency {texts.seconds(item.latency_s)}, {texts.number(item.gaps)} gaps"
    lines += wrapped(f"{facts}, newest sample {texts.seconds(item.age_s)} old{silent}", look.width)
    if item.component:
        lines += wrapped(f"of {texts.clean(item.component)}", look.width)
    return [*lines, *_graph(item, look, max(_LEAST_GRAPH, min(_GRAPH_LINES, height - len(lines) - 2)))]


def _graph(item: Stream, look: Look, height: int) -> list[Text]:
    trace = look.traces.get(item.name) if look.traces is not None else None
    if trace is None:
        text, style = trace_or_note(item, look, 200)
        return wrapped(text, look.width, style)
    window = trace.window(look.now_s)
    known = window[window[:, 0] == window[:, 0]]
    low, high = (float(known[:, 0].min()), float(known[:, 1].max())) if len(known) else (0.0, 0.0)
    lines = [Text(line, "cyan", no_wrap=True, end="") for line in braille(window, look.width, height)]
    return [Text(f"{high:g}"), *lines, Text(f"{low:g}    last {WINDOW_S} s")]


def wrapped(text: str, width: int, style: str = "") -> list[Text]:
    """Return *text* in lines of the width, broken between words where that goes."""
    lines = textwrap.wrap(text, max(1, width), break_on_hyphens=False)
    return [Text(each, style, no_wrap=True, end="") for each in lines]


def find(board: Board, name: str) -> Stream | None:
    """Return the stream *name*; None: it is not there any more."""
    return next((each for each in board.all_streams if each.name == name), None)
