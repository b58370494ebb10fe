"""SIGTERM and SIGINT end a process in order; a second signal ends it at once."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server(Protocol):
    """What serves until it is stopped: a `rawdaq.receiver_server.ReceiverServer`."""

    name: str

    async def serve(self) -> None:
        """Serve until `stop`."""

    def stop(self) -> None:
        """Let `serve` return."""


def _handler(stop: Callable[[], None]) -> Callable[[int], None]:
    """Return what a signal calls: *stop* the first time, the end of the process the second time."""
    is_stopping = False

    def handle(number: int) -> None:
        nonlocal is_stopping
        if is_stopping:
            os._exit(128 + number)  # the user does not want to wait for the orderly end
        is_stopping = True
        stop()

    return handle


@contextmanager
def stopping_on_signal(stop: Callable[[], None]) -> Generator[None]:
    """Call *stop* in the running loop at the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop, handle = asyncio.get_running_loop(), _handler(stop)
    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def stop_event() -> Generator[threading.Event]:
    """Yield an event that the first SIGTERM or SIGINT sets, for a command without an event loop."""
    event = threading.Event()
    handle = _handler(event.set)

    def on_signal(number: int, frame: FrameType | None) -> None:
        handle(number)

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def serve_until_signal(servers: Sequence[Server]) -> None:
    """Serve *servers* on this loop; SIGTERM and SIGINT stop them in order, a second one ends the process at once.

    Raises:
        ComponentError: one of them could not start or failed; the others are stopped in order.
    """

    def stop() -> None:
        for server in servers:
            server.stop()

    with stopping_on_signal(stop):
        tasks = [asyncio.create_task(server.serve(), name=server.name) for server in servers]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        stop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
