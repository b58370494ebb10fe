"""Messages as a table: of each component and sort how many came, how fast, and what is missing."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rawdaq.control.dump.messages.run import MessageView
from rawdaq.control.dump.messages.values import Shown
from rawdaq.control.dump.views import LiveDisplay, print_line, print_table
from rawdaq.messages.values import ReceivedEvent
from rawdaq.times import to_iso

if TYPE_CHECKING:
    from rich.table import Table

_REFRESH_S = 0.25
_PRINT_S = 10.0  # how often a table is printed where it cannot be redrawn
_MAX_ROWS = 10_000
_COLUMNS = ("kind", "name", "sort", "messages", "per s", "lost", "missed", "backwards", "last")
_WIDTH = 160  # no terminal, no width
_OTHERS = ("", "others", "")

Key = tuple[str, str, str]


@dataclass(slots=True)
class Figures:
    """Counters of the messages of one component and sort.

    Attributes:
        messages: how many came.
        lost: how many a jump of ``frame`` shows to be missing before them.
        missed: how many the counters of events show to be missing before them.
        backwards: how often such a counter, or the time, went back.
        last_ns: the time of the newest.
    """

    messages: int = 0
    lost: int = 0
    missed: int = 0
    backwards: int = 0
    last_ns: int = 0

    def add(self, shown: Shown) -> None:
        """Count one message."""
        self.messages += 1
        self.lost += shown.lost
        goes_back = shown.time_ns < self.last_ns
        if isinstance(shown.value, ReceivedEvent):
            self.missed += shown.value.missed
            self.backwards += shown.value.backwards or goes_back
        self.last_ns = shown.time_ns


class MessageTable(MessageView):
    """Counts, and prints a table at the end; elsewhere than on a terminal also now and then.

    Args:
        is_json: print one JSON object a row, at the end.
        is_live: redraw it on the terminal.
        monotonic: seconds that only run forward.
    """

    def __init__(self, *, is_json: bool, is_live: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._is_json, self._is_live = is_json, is_live and not is_json
        self._monotonic = monotonic
        self._began_s = self._due_s = monotonic()
        self._figures: dict[Key, Figures] = {}
        self._display = LiveDisplay()
        if not self._is_live:
            self._due_s += _PRINT_S

    def show(self, shown: Shown) -> None:
        """Count the message."""
        key = str(shown.message.kind), shown.name, shown.sort
        if key not in self._figures and len(self._figures) >= _MAX_ROWS:
            key = _OTHERS
        self._figures.setdefault(key, Figures()).add(shown)

    def tick(self, now_s: float) -> None:
        """Redraw or print the table when that is due."""
        if self._is_json or now_s < self._due_s:
            return
        self._due_s = now_s + (_REFRESH_S if self._is_live else _PRINT_S)
        self._draw()

    def close(self) -> None:
        """Print the last state."""
        if self._is_json:
            for row in self._rows():
                print_line(json.dumps(dict(zip(_COLUMNS, row, strict=True))))
        else:
            self._draw()
            self._display.stop()

    def _draw(self) -> None:
        if self._is_live:
            self._display.draw(lambda _: self._table())
        elif self._figures:
            print_table(self._table(), _WIDTH)

    def _rows(self) -> list[tuple[object, ...]]:
        passed_s = max(self._monotonic() - self._began_s, 1e-3)
        return [
            (
                *key,
                each.messages,
                round(each.messages / passed_s, 1),
                each.lost,
                each.missed,
                each.backwards,
                to_iso(each.last_ns, 3),
            )
            for key, each in sorted(self._figures.items())
        ]

    def _table(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for column in _COLUMNS:
            is_number = column in ("messages", "per s", "lost", "missed", "backwards")
            table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
        for row in self._rows():
            table.add_row(*map(str, row))
        return table
