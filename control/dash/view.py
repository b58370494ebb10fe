"""What a person has chosen to see, and where in the list the cursor is; it knows no screen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.text import Text

from rawdaq.control.dash.rows import ListLines, Look
from rawdaq.control.dash.values.board import (
    Board,
    Component,
    Order,
    Stream,
    selected,
    sorted_components,
    sorted_streams,
)

_CURSOR = "reverse"


@dataclass(slots=True)
class View:
    """A list of components, or of streams.

    Attributes:
        board: what there is.
        is_of_streams: whether streams are listed.
        order: in which order.
        is_reversed: whether it is the other way round.
        words: what the items must have.
        cursor: the name of the item that is chosen; it stays on it when the order changes.
    """

    board: Board = field(default_factory=Board)
    is_of_streams: bool = False
    order: Order = Order.WORST
    is_reversed: bool = False
    words: str = ""
    cursor: str | None = None
    _top: int = 0
    _index: int = 0
    _items: Sequence[Component] | Sequence[Stream] = ()

    def renew(self, board: Board | None = None) -> None:
        """Make the list anew, of *board* if there is a new one."""
        self.board = self.board if board is None else board
        if self.is_of_streams:
            streams = selected(self.board.all_streams, self.words)
            self._items = sorted_streams(streams, self.order, is_reversed=self.is_reversed)
        else:
            components = selected(self.board.components, self.words)
            self._items = sorted_components(components, self.order, is_reversed=self.is_reversed)
        names = [_name(each) for each in self._items]
        found = names.index(self.cursor) if self.cursor in names else None
        self._go(min(self._index, len(self._items) - 1) if found is None else found)

    @property
    def items(self) -> Sequence[Component] | Sequence[Stream]:
        """What is listed, in order."""
        return self._items

    @property
    def chosen(self) -> Component | Stream | None:
        """The item at the cursor; None: the list is empty."""
        return self._items[self._index] if self._items else None

    @property
    def component(self) -> Component | None:
        """The component at the cursor, or that of the stream at it."""
        chosen = self.chosen
        if isinstance(chosen, Stream):
            return next((each for each in self.board.components if each.name == chosen.component), None)
        return chosen

    def move(self, by: int) -> None:
        """Move the cursor down by so many items."""
        self._go(max(0, min(self._index + by, len(self._items) - 1)))

    def _go(self, index: int) -> None:
        self._index = max(0, index)
        if self._items:
            self.cursor = _name(self._items[self._index])

    def at_line(self, line: int, look: Look) -> bool:
        """Move the cursor to the item that is shown in a line of the list; return whether there is one."""
        made, used = self._made(look), 0
        for index in range(self._top, len(self._items)):
            used += made.height(index)
            if line < used:
                self._go(index)
                return True
        return False

    def _made(self, look: Look) -> ListLines:
        return ListLines(self._items, look, is_of_streams=self.is_of_streams)

    def header(self, look: Look) -> Text:
        """Return the line above the list."""
        return self._made(look).header()

    def lines(self, look: Look, height: int) -> list[Text]:
        """Return the lines of the list that are seen in *height* lines, with the cursor among them."""
        made = self._made(look)
        self._top = max(0, min(self._top, self._index))
        while self._top < self._index and self._used(made, self._top, self._index) > height:
            self._top += 1
        while self._top > 0 and self._used(made, self._top - 1, len(self._items) - 1, height) <= height:
            self._top -= 1
        lines: list[Text] = []
        for index in range(self._top, len(self._items)):
            if len(lines) >= height:
                break
            shown = made.lines(index)
            if index == self._index:
                # Without its colours: reversed ones would fill the line with bars.
                shown[0] = Text(shown[0].plain.ljust(look.width), _CURSOR, no_wrap=True, end="")
            lines += shown
        return lines[:height]

    def _used(self, made: ListLines, first: int, last: int, enough: int = 1 << 30) -> int:
        """Return how many lines the items from *first* to *last* have, or more than *enough*."""
        used = 0
        for index in range(first, last + 1):
            used += made.height(index)
            if used > enough:
                break
        return used


def _name(item: Component | Stream) -> str:
    return item.key if isinstance(item, Component) else item.name
