"""Rings and servers of tests: opened and closed, with what looks after them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rawdaq.publishers.ring import RingPublisher
from rawdaq.ring.packets import NewPacket, RingPacket
from rawdaq.ring.ring import Ring
from rawdaq.ring.server.settings import ListenSettings, Rules
from tests.ring.records import number_of

SMALL_BYTES = 4_000_000
LOG = logging.getLogger("rawdaq.tests.ring")


@asynccontextmanager
async def ring(path: Path, max_bytes: int = 100_000_000, sync_s: float = 0.05, **more: Any) -> AsyncGenerator[Ring]:
    """Open a ring."""
    one = Ring(path, max_bytes, sync_s, LOG, **more)
    await one.open()
    try:
        yield one
    finally:
        await one.aclose()


async def contents(one: Ring) -> list[RingPacket]:
    """Return all that is in a ring, from the disk."""
    found: list[RingPacket] = []
    position = one.reader.oldest
    while position < one.reader.end:
        _, taken, position = await one.reader.from_(position)
        found += taken
    return found


def numbers(found: Sequence[RingPacket]) -> list[int]:
    """Return which records these are."""
    return [number_of(packet.data) for packet in found]


@asynccontextmanager
async def serving(path: Path, **options: Any) -> AsyncGenerator[RingPublisher]:
    """Run a publisher that serves both protocols on one port of loopback; ``change`` has limits of time."""
    change = options.pop("change", {})
    listens = {"seedlink": ListenSettings(port=0), "datalink": ListenSettings(port=0)}
    chosen: dict[str, Any] = {"max_gb": 0.1, "sync_s": 0.05, **listens, **options}
    publisher = RingPublisher(path, **chosen)
    change_rules(publisher, **change)
    await publisher.open()
    watching = asyncio.create_task(publisher.watch(), name="watch")
    try:
        yield publisher
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await publisher.aclose()


async def feed(publisher: RingPublisher, new: Sequence[NewPacket]) -> None:
    """Put records into the ring of a publisher."""
    await publisher.service.ring.append(new)


def change_rules(publisher: RingPublisher, **rules: Any) -> None:
    """Let a publisher that is not open yet have other limits of time."""
    service: Any = publisher.service
    for key, value in rules.items():
        assert key in Rules.__slots__
        object.__setattr__(service._rules, key, value)
