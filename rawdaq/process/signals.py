"""Servers that run until a signal ends them in order."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Generator, Sequence
from typing import Protocol


class Server(Protocol):
    """What serves until it is told to stop: a `rawdaq.receiver_server.ReceiverServer`."""

    name: str

    async def serve(self) -> None:
        """Serve until `stop`."""

    def stop(self) -> None:
        """Let `serve` return."""


@contextlib.contextmanager
def stopping_on_signal(stop: Callable[[], None]) -> Generator[None]:
    """Call *stop* at the first SIGTERM or SIGINT of this process; a second one ends it at once."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    stopping = False

    def heed(number: int) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)  # the user does not want to wait for the orderly end
        stopping = True
        stop()

    for number in signals:
        loop.add_signal_handler(number, heed, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


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
