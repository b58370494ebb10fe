"""What every source of the dashboard can do."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from rawdaq.control.dash.values.board import Board, Component
from rawdaq.control.dash.values.trace import Traces

#: How often values are renewed.
INTERVAL_S = 1.0


class LogLine(NamedTuple):
    """A line of a log.

    Attributes:
        level: as Python's logging counts; None: the line does not say it.
        text: the line.
    """

    level: int | None
    text: str


class Log(NamedTuple):
    """The end of a log.

    Attributes:
        title: whose it is.
        lines: the oldest first.
    """

    title: str
    lines: list[LogLine]


class Source(Protocol):
    """Where values come from; one event loop uses it."""

    @property
    def traces(self) -> Traces | None:
        """The traces of streams; None: there can be none, `no_traces` says why."""
        ...

    @property
    def no_traces(self) -> str:
        """Why there are no traces."""
        ...

    async def run(self, show: Callable[[Board], object]) -> None:
        """Call *show* about once a second until cancelled."""
        ...

    async def look(self) -> Board:
        """Return what there is, without traces; this takes a second or more."""
        ...

    async def log(self, component: Component | None, count: int) -> Log:
        """Return the last *count* lines of the log of *component*, or of all where nothing is selected."""
        ...

    async def aclose(self) -> None:
        """Release everything."""
        ...
