"""What a component that a service manager runs says of itself, in the line that ``systemctl status`` shows."""

import asyncio
import time
from collections.abc import Collection
from typing import cast

from rawdaq.control.health.problem import Row
from rawdaq.control.health.rule import health
from rawdaq.process.systemd.notify import Notifier
from rawdaq.receiver_server import ReceiverServer

_SHOWN = 3


def status_line(servers: Collection[ReceiverServer]) -> str:
    """Return what *servers* do, the worst first; of several only what is wrong.

    >>> status_line([])
    'nothing runs yet'
    """
    if not servers:
        return "nothing runs yet"
    lines: list[str] = []
    for server in servers:
        row = cast("Row", server.cmd_status())
        problems = [problem.text for problem in health(row, time.time_ns()).problems]
        lines += [f"{server.name}: {text}" for text in problems]
    if lines:
        more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        return "; ".join(lines[:_SHOWN]) + more
    streams = sum(len(server.stats.streams) for server in servers)
    return f"{', '.join(server.name for server in servers)}: running, {streams} streams"


async def announce(notifier: Notifier, servers: Collection[ReceiverServer], count: int) -> None:
    """Report to the manager when all *servers* run, if they are *count*, and their state, until cancelled."""

    async def say_ready() -> None:
        if len(servers) < count:  # one could not be built, which ends the process or has to be seen
            return
        for server in servers:
            await server.started.wait()
        notifier.status(status_line(servers))
        notifier.ready()

    await asyncio.gather(say_ready(), notifier.run(lambda: status_line(servers)))
