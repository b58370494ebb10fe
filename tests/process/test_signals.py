"""What signals do to a process."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from rawdaq.process import signals
from rawdaq.process.signals import stop_event, stopping_on_signal
from tests import forks


def test_a_signal_that_arrives_inside_the_lock_of_the_event_sets_it() -> None:
    """A command that waits in short steps holds this lock again and again."""
    with stop_event() as event:
        lock: threading.Condition = vars(event)["_cond"]
        with lock:
            os.kill(os.getpid(), signal.SIGINT)
        assert event.wait(10)


def _stopping(first: int, second: int, pause_s: float) -> Callable[[], int]:
    """Return a program that gets two signals, *pause_s* apart, and then ends with 7."""
    now_s = 0.0

    def main() -> int:
        handle = signals._handler(lambda: None, lambda: now_s)
        nonlocal now_s
        handle(first)
        now_s += pause_s
        handle(second)
        return 7

    return main


@pytest.mark.parametrize(
    ("first", "second", "pause_s", "status"),
    [
        (signal.SIGTERM, signal.SIGTERM, 0.2, 128 + signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT, 0.2, 128 + signal.SIGINT),
        (signal.SIGHUP, signal.SIGINT, 0.2, 128 + signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM, 0.01, 7),
        (signal.SIGHUP, signal.SIGHUP, 5, 7),
        (signal.SIGTERM, signal.SIGHUP, 5, 7),
    ],
)
def test_the_second_signal_ends_the_process_at_once_unless_a_closed_terminal_or_a_service_sends_it(
    first: int, second: int, pause_s: float, status: int
) -> None:
    assert forks.run(_stopping(first, second, pause_s)).returncode == status


def test_a_late_hangup_does_not_change_the_exit_status_of_a_process_that_ends() -> None:
    async def serve() -> None:
        stopped = asyncio.Event()
        with stopping_on_signal(stopped.set, is_last=True):
            os.kill(os.getpid(), signal.SIGHUP)
            await stopped.wait()

    def main() -> int:
        asyncio.run(serve())
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        return 7

    assert forks.run(main).returncode == 7
