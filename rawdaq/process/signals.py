"""SIGTERM, SIGINT and SIGHUP end a process in order, a second SIGTERM or SIGINT ends it at once.

SIGUSR1 tries paused publishers now. Under a service manager SIGHUP is a reload.
"""

import _thread
import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SAME_S = 0.1  # a stop by systemd reaches what runs under sudo or su twice: from systemd, and passed on by these


class Server(Protocol):
    """What serves until it is stopped: a `rawdaq.receiver_server.ReceiverServer`."""

    name: str

    async def serve(self) -> None:
        """Serve until `stop`."""

    def stop(self) -> None:
        """Let `serve` return."""

    def cmd_retry(self) -> str:
        """Try paused publishers now."""
        ...


def _handler(stop: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> Callable[[int], None]:
    """Return what a signal calls: *stop* the first time, the end of the process the second time.

    A hang-up is never a second time: a closed terminal sends one, and its shell another one; systemd sends one right
    after SIGTERM where a unit has ``SendSIGHUP=``.
    """
    stopping_s: float | None = None

    def handle(number: int) -> None:
        nonlocal stopping_s
        if stopping_s is None:
            stopping_s = clock()
            stop()
        elif number != signal.SIGHUP and clock() - stopping_s > _SAME_S:
            os._exit(128 + number)  # the user does not want to wait for the orderly end

    return handle


def _nothing() -> None:
    """Do nothing at SIGUSR1, whose default is to end the process."""


def _stop_signals() -> list[signal.Signals]:
    """Return the signals that stop this process: all but those that its parent lets it ignore, as nohup does."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def stopping_on_signal(
    stop: Callable[[], None],
    retry: Callable[[], object] = _nothing,
    *,
    is_last: bool = False,
    reload: Callable[[], object] | None = None,
) -> Generator[None]:
    """Call *stop* in the running loop at the first signal to stop, and *retry* at SIGUSR1.

    A second SIGTERM or SIGINT ends the process at once.

    Args:
        stop: called once.
        retry: called each time.
        is_last: whether the process ends afterwards; a late SIGHUP or SIGUSR1 must not change its exit status then.
        reload: called at SIGHUP, which then is no signal to stop.
    """
    loop, handle, numbers = asyncio.get_running_loop(), _handler(stop), _stop_signals()
    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    if reload is not None:
        numbers = [*numbers, *([] if signal.SIGHUP in numbers else [signal.SIGHUP])]
        loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_signal_handler(signal.SIGUSR1, retry)
    try:
        yield
    finally:
        for number in (*numbers, signal.SIGUSR1):
            loop.remove_signal_handler(number)
            if is_last and number in (signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_event() -> Generator[threading.Event]:
    """Yield an event that the first signal to stop sets, for a command without an event loop."""
    event = threading.Event()
    # The signal may find this thread inside the lock of the event, which `set` would wait for without an end.
    handle = _handler(lambda: _thread.start_new_thread(event.set, ()))

    def on_signal(number: int, frame: FrameType | None) -> None:
        handle(number)

    before = {number: signal.signal(number, on_signal) for number in _stop_signals()}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def serve_until_signal(servers: Sequence[Server]) -> None:
    """Serve *servers* on this loop; a signal to stop ends them in order, a second one ends the process at once.

    Raises:
        ComponentError: one of them could not start or failed; the others are stopped in order.
    """

    def stop() -> None:
        for server in servers:
            server.stop()

    def retry() -> None:
        for server in servers:
            server.cmd_retry()

    with stopping_on_signal(stop, retry):
        tasks = [asyncio.create_task(server.serve(), name=server.name) for server in servers]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        stop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
