"""A progress bar on a terminal, and log lines above it."""

import asyncio
import io
import itertools
import logging
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from rawdaq.process.log import LineFormatter, configure
from rawdaq.replay.clock import Position
from rawdaq.replay.progress import is_watched, progress_text, show_progress
from tests.helpers import environment, until
from tests.makers import START_NS

S = 10**9


class Terminal(io.StringIO):
    """What a person would see."""

    def isatty(self) -> bool:
        return True


@contextmanager
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Generator[Terminal]:
    """Give standard error as a terminal, without any log; everything is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("rawdaq")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    shown = Terminal()
    root.handlers[:] = []
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", shown)
        patch.setenv("COLUMNS", "120")
        patch.setenv("TERM", "xterm")
        yield shown
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def position(second: float = 30, state: str = "playing", speed: float = 1.0, left_s: float | None = 30.0) -> Position:
    time_ns = START_NS + round(second * S)
    return Position(state, time_ns, time_ns, START_NS, START_NS + 60 * S, speed, left_s, 0.0, 0)


def test_only_our_log_on_a_terminal_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_terminal(monkeypatch) as terminal:
        assert not is_watched()
        logging.getLogger().addHandler(logging.StreamHandler(terminal))
        assert not is_watched()
        configure("INFO")
        assert is_watched()
        monkeypatch.setattr(terminal, "isatty", lambda: False)
        assert not is_watched()


async def test_bar_moves_on_and_log_lines_stand_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_terminal(monkeypatch) as terminal:
        configure("INFO")
        seconds = itertools.count(0, 15)
        task = asyncio.create_task(show_progress(lambda: position(next(seconds))))
        await until(lambda: "50.0 %" in terminal.getvalue())
        logging.getLogger("rawdaq.test").warning("something [bold]happens[/bold]")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (handler,) = logging.getLogger().handlers
        assert isinstance(handler, logging.StreamHandler)
        assert isinstance(handler.formatter, LineFormatter)
        assert handler.stream is terminal
        assert sys.stderr is terminal
    shown = terminal.getvalue()
    assert "2026-11-21T00:00:30Z speed 1 0:00:30 left" in shown
    assert "something [bold]happens[/bold]" in shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (position(), "50.0 % 2026-11-21T00:00:30Z speed 1 0:00:30 left"),
        (position(speed=float("inf"), left_s=3725.4), "50.0 % 2026-11-21T00:00:30Z speed max 1:02:05 left"),
        (position(state="paused", speed=0.5, left_s=None), "50.0 % 2026-11-21T00:00:30Z speed 0.5 (paused)"),
        (Position("looking at 3 files", None, None, 0, 0, 1.0, None, 0.0, 0), "0.0 % speed 1 (looking at 3 files)"),
    ],
)
def test_text_beside_the_bar(shown: Position, expected: str) -> None:
    assert progress_text(shown) == expected


def test_rich_is_not_loaded_without_a_terminal() -> None:
    code = "import sys, rawdaq.receivers.file_replayer as f; from rawdaq.replay.progress import is_watched; "
    code += "print(is_watched(), {'rich', 'obspy'} & set(sys.modules))"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False set()\n"
