"""The screen: a list, the log of what the cursor is at, and keys. What is in lines is made elsewhere."""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from rawdaq.control.dash import detail, rows, texts
from rawdaq.control.dash.rows import Look
from rawdaq.control.dash.source import Log, Source
from rawdaq.control.dash.values.board import Board, Component, Stream
from rawdaq.control.dash.view import View

_LEAST_LOG_HEIGHT = 12  # of a screen that has room for a log
_MOST_LOG = 12
_LOG_LINES = 40
_PAGE = 10
_KEYS = "↑↓ move  Enter open  Tab streams  s sort  / filter  ? help  q quit"
_SHORT_KEYS = "? help  q quit"
_DETAIL_KEYS = "↑↓ scroll  Esc back  q quit"

_HELP = """\
Up, Down, j, k   move; PgUp, PgDn, Home, End too
Enter            open the component or stream
Tab              list streams, or components
s                sort by the next: worst, name, rate,
                 latency, gaps, drops, queue
r                the other way round
/                filter: words in a name, state or
                 reason; * and ? make it a pattern
                 of the whole name
Esc              back; ends a filter
l                hide or show the log
?                this help
q, Ctrl-C        quit

● runs   ! runs, and something is wrong
‖ paused   ○ stopped, offline, silent
✖ failed, dead or hung   ? unknown

rate/s: packets and messages a second.  Times are UTC.
drops: what publishers dropped.  queue: what waits there.
last: how old the newest sample is.  The log is that
of the component at the cursor."""


class Lines(Widget):
    """A part of the screen: lines that somebody else makes.

    Args:
        make: returns the lines for a width and a height.
        id: its name.
    """

    def __init__(self, make: Callable[[int, int], list[Text]], id: str) -> None:
        super().__init__(id=id)
        self._make = make

    def render(self) -> Text:
        """Return the lines."""
        lines = self._make(self.size.width, self.size.height)
        for line in lines:
            line.no_wrap = True
        return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


class _Pages(Screen[None]):
    """A screen of lines that can be scrolled."""

    CSS = "#page { height: 1fr; } #keys { height: 1; color: $text-muted; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,left,enter", "app.pop_screen", "back"),
        Binding("down,j", "scroll_by(1)", "down"),
        Binding("up,k", "scroll_by(-1)", "up"),
        Binding("pagedown,space", f"scroll_by({_PAGE})", "page down"),
        Binding("pageup", f"scroll_by(-{_PAGE})", "page up"),
        Binding("q", "app.quit", "quit"),
    ]

    def __init__(self, make: Callable[[int, int], list[Text]]) -> None:
        super().__init__()
        self._lines_of, self._top = make, 0

    def compose(self) -> ComposeResult:
        yield Lines(self._page, "page")
        yield Lines(lambda width, _: [Text(_DETAIL_KEYS if width >= len(_DETAIL_KEYS) else "Esc back")], "keys")

    def _page(self, width: int, height: int) -> list[Text]:
        lines = self._lines_of(width, height)
        self._top = max(0, min(self._top, len(lines) - height))
        return lines[self._top : self._top + height]

    def action_scroll_by(self, lines: int) -> None:
        """Scroll down by so many lines."""
        self._top += lines
        self.renew()

    def on_mouse_scroll_down(self) -> None:
        """Scroll."""
        self.action_scroll_by(3)

    def on_mouse_scroll_up(self) -> None:
        """Scroll."""
        self.action_scroll_by(-3)

    def renew(self) -> None:
        """Draw what is known now."""
        if self.is_mounted:
            self.query_one("#page", Lines).refresh()


class Dash(App[None]):
    """The dashboard.

    Args:
        source: where values come from.
        clock_s: seconds that only run forward, those of the traces.

    Attributes:
        view: what is shown.
        failure: why it has ended, if not by a key.
    """

    TITLE = "rawdaq"
    AUTO_FOCUS = None
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $background; }
    Lines { width: 100%; text-wrap: nowrap; text-overflow: ellipsis; }
    #summary, #header, #keys { height: 1; }
    #notes { height: auto; display: none; color: yellow; }
    #list { height: 1fr; }
    #log { height: 7; border-top: solid $primary; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    #keys { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", priority=True, show=False),
        Binding("down,j", "move(1)", "down"),
        Binding("up,k", "move(-1)", "up"),
        Binding("pagedown,space", f"move({_PAGE})", "page down"),
        Binding("pageup", f"move(-{_PAGE})", "page up"),
        Binding("home,g", "move(-1000000)", "first"),
        Binding("end,G", "move(1000000)", "last"),
        Binding("enter,right", "open", "open"),
        Binding("tab,shift+tab", "switch", "streams or components", priority=True),
        Binding("s", "sort", "sort"),
        Binding("r", "reverse", "reverse"),
        Binding("slash", "filter", "filter"),
        Binding("escape", "leave", "back"),
        Binding("l", "log", "log"),
        Binding("question_mark,h,f1", "help", "help"),
    ]

    def __init__(self, source: Source, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(ansi_color=True)
        self.view = View()
        self.failure: Exception | None = None
        self._source, self._clock_s = source, clock_s
        self._end_of_log = Log("log", [])
        self._is_log_wanted = True
        self._log_due = asyncio.Event()
        self._has_looked = False

    # ------------------------------------------------------------------ parts

    def compose(self) -> ComposeResult:
        """Yield the parts, from above."""
        yield Lines(self._summary, "summary")
        yield Lines(self._notes, "notes")
        yield Lines(lambda width, _: [self.view.header(self.look(width))], "header")
        yield Lines(self._list, "list")
        yield Lines(self._log_lines, "log")
        yield Input(id="filter", placeholder="words, or a pattern of a name", select_on_focus=False)
        yield Lines(lambda width, _: [Text(_KEYS if width >= len(_KEYS) else _SHORT_KEYS)], "keys")

    def on_mount(self) -> None:
        """Begin."""
        self.set_focus(None)
        self._arrange(self.size.height)
        self.run_worker(self._follow_values(), name="values")
        self.run_worker(self._follow_log(), name="log")

    def look(self, width: int) -> Look:
        """Return how lines of a width are made now."""
        return Look(width, self.view.board.now_ns, self._clock_s(), self._source.traces)

    def _summary(self, width: int, _: int) -> list[Text]:
        if not self._has_looked:
            return [Text("looking for components", no_wrap=True)]
        view = self.view
        order = f"by {view.order}{' reversed' if view.is_reversed else ''}"
        more = [order] + ([f"filter: {view.words}"] if view.words else [])
        return [rows.summary(view.board, width, more)]

    def _notes(self, width: int, _: int) -> list[Text]:
        notes = self._all_notes()
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        return [Text(texts.short(f"! {texts.clean(notes[0])}{more}", width))] if notes else []

    def _all_notes(self) -> list[str]:
        own = [self._source.no_traces] if self._source.no_traces and self.view.is_of_streams else []
        return [*self.view.board.notes, *own]

    def _list(self, width: int, height: int) -> list[Text]:
        lines = self.view.lines(self.look(width), height)
        if lines or not self._has_looked:
            return lines
        what = "streams" if self.view.is_of_streams else "components"
        return [Text(f"no {what}" + (f" with {self.view.words}; Esc shows all" if self.view.words else ""))]

    def _log_lines(self, _: int, height: int) -> list[Text]:
        lines = self._end_of_log.lines[-height:] if height else []
        return [
            Text(texts.clean(each.text), "red" if (each.level or 0) >= 40 else "yellow" if each.level == 30 else "")
            for each in lines
        ]

    # ------------------------------------------------------------------ values

    def show(self, board: Board) -> None:
        """Show *board* from now on."""
        self._has_looked = True
        self.view.renew(board)
        self._draw()

    def _draw(self) -> None:
        self._log_due.set()
        main = self.screen_stack[0]
        for name in ("summary", "notes", "header", "list"):
            main.query_one(f"#{name}", Lines).refresh(layout=name == "notes")
        main.query_one("#notes").display = bool(self._all_notes())
        if isinstance(self.screen, _Pages):
            self.screen.renew()

    async def _follow_values(self) -> None:
        try:
            await self._source.run(self.show)
        except Exception as error:  # it is printed when the terminal is as it was
            self.failure = error
            self.exit()

    async def _follow_log(self) -> None:
        while True:
            await self._log_due.wait()
            self._log_due.clear()
            found = await self._source.log(self.view.component, _LOG_LINES)
            if found != self._end_of_log:
                self._end_of_log = found
                part = self.screen_stack[0].query_one("#log", Lines)
                part.border_title = texts.clean(found.title)
                part.refresh()

    # ------------------------------------------------------------------ keys

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.view.move(by)
        self._draw()

    def action_switch(self) -> None:
        """List streams instead of components, or the other way round."""
        self.view.is_of_streams = not self.view.is_of_streams
        self.view.renew()
        self._draw()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.view.order = self.view.order.next
        self.view.renew()
        self._draw()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.view.is_reversed = not self.view.is_reversed
        self.view.renew()
        self._draw()

    def action_open(self) -> None:
        """Open what the cursor is at."""
        match self.view.chosen:
            case Component(key=key):
                self.push_screen(_Pages(lambda width, _: self._component(key, width)))
            case Stream(name=name):
                self.push_screen(_Pages(lambda width, height: self._stream(name, width, height)))
            case None:
                return

    def _component(self, key: str, width: int) -> list[Text]:
        item = self.view.board.component(key)
        return [Text("it is not there any more")] if item is None else detail.of_component(item, self.look(width))

    def _stream(self, name: str, width: int, height: int) -> list[Text]:
        item = detail.find(self.view.board, name)
        return [Text("it is not there any more")] if item is None else detail.of_stream(item, self.look(width), height)

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(_Pages(lambda width, _: [Text(line) for line in _fitted(_HELP, width)]))

    def action_filter(self) -> None:
        """Let a filter be written."""
        part = self.query_one("#filter", Input)
        part.display = True
        part.value = self.view.words
        part.focus()

    def action_leave(self) -> None:
        """End the filter."""
        part = self.query_one("#filter", Input)
        part.value = ""
        self._end_filter(part)
        self._filter("")

    def action_log(self) -> None:
        """Hide or show the log."""
        self._is_log_wanted = not self._is_log_wanted
        self._arrange(self.size.height)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key may do something now: not those of the list while something else is in front of it."""
        del parameters
        if isinstance(self.screen, _Pages):
            return action in ("quit", "pop_screen")
        return action != "switch" or not isinstance(self.focused, Input)

    # ------------------------------------------------------------------ events

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is written."""
        self._filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Leave the filter as it is, and return to the list."""
        self._end_filter(event.input)

    def _end_filter(self, part: Input) -> None:
        part.display = False
        self.set_focus(None)

    def _filter(self, words: str) -> None:
        self.view.words = words
        self.view.renew()
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Give the log what room there is."""
        self._arrange(event.size.height)

    def _arrange(self, height: int) -> None:
        part = self.screen_stack[0].query_one("#log", Lines)
        part.display = self._is_log_wanted and height >= _LEAST_LOG_HEIGHT
        part.styles.height = min(_MOST_LOG, height // 3)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to where the mouse is; a second click opens."""
        if not isinstance(event.widget, Lines) or event.widget.id != "list":
            return
        if self.view.at_line(event.y, self.look(event.widget.size.width)):
            self._draw()
            if event.chain > 1:
                self.action_open()

    def on_mouse_scroll_down(self) -> None:
        """Move the cursor down."""
        self.action_move(3)

    def on_mouse_scroll_up(self) -> None:
        """Move the cursor up."""
        self.action_move(-3)


def _fitted(text: str, width: int) -> list[str]:
    """Return *text*, in lines that fit: where they do not, each word of the second column follows the first."""
    lines = text.splitlines()
    if width >= max(map(len, lines)):
        return lines
    return [line.plain for each in lines for line in detail.wrapped(" ".join(each.split()), width)]


def run(source: Source) -> int:
    """Show *source* in this terminal until a person quits; return the exit status."""

    async def shown() -> int:
        app = Dash(source)
        try:
            await app.run_async()
        finally:
            await source.aclose()
        if app.failure is not None:
            raise app.failure
        return app.return_code or 0

    return asyncio.run(shown())
