"""The progress bar of a replay, on a terminal to which the log goes and nowhere else."""

import asyncio
import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rawdaq.process.log import LineFormatter
from rawdaq.replay.clock import Position, speed_text
from rawdaq.times import to_iso

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_REFRESH_S = 0.25
_STEPS = 10_000


def is_watched() -> bool:
    """Whether our log goes to a terminal: a component in the foreground, started by a person.

    A component in the background logs to a file, and a program that uses us as a library has a log of its own.
    """
    return bool(_log_handlers()) and sys.stderr.isatty()


def _log_handlers() -> list[logging.StreamHandler[TextIO]]:
    """Return the handlers of `rawdaq.process.log.configure` that write to standard error."""
    return [
        handler
        for handler in logging.getLogger().handlers
        if type(handler) is logging.StreamHandler
        and isinstance(handler.formatter, LineFormatter)
        and handler.stream is sys.stderr
    ]


async def show_progress(position: Callable[[], Position]) -> None:
    """Redraw the bar of *position* until cancelled; log lines appear above it."""
    progress = _bar()
    task = progress.add_task("", total=_STEPS, text="")
    with _log_above(progress):
        try:
            while True:
                _update(progress, task, position())
                await asyncio.sleep(_REFRESH_S)
        finally:
            _update(progress, task, position())


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    # Without rich's own thread: the event loop redraws.
    return Progress(
        BarColumn(bar_width=30), TextColumn("{task.fields[text]}"), console=Console(stderr=True), auto_refresh=False
    )


def _update(progress: "Progress", task: "TaskID", position: Position) -> None:
    progress.update(task, completed=round(_STEPS * position.fraction), text=progress_text(position))
    progress.refresh()


@contextmanager
def _log_above(progress: "Progress") -> Generator[None]:
    """Show the bar, and print log lines through rich, which puts them above it."""
    handlers, plain = _log_handlers(), sys.stderr
    progress.start()
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        progress.stop()
        for handler in handlers:
            handler.setStream(plain)


def progress_text(position: Position) -> str:
    """Return the text beside the bar: the time reached, speed and remaining time.

    >>> progress_text(Position("playing", 90 * 10**9, None, 0, 180 * 10**9, 2.0, 45.0, 0.0, 0))
    '50.0 % 1970-01-01T00:01:30Z speed 2 0:00:45 left'
    """
    reached = "" if position.time_ns is None else f"{to_iso(position.time_ns, 0)} "
    speed = str(speed_text(position.speed)).removesuffix(".0")
    left = "" if position.remaining_s is None else f" {_duration(position.remaining_s)} left"
    state = "" if position.state == "playing" else f" ({position.state})"
    return f"{100 * position.fraction:.1f} % {reached}speed {speed}{left}{state}"


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
