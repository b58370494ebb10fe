"""A publisher on a port of its own, and waiting for its subscribers: what tests of live streams share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from tests.helpers import until


@asynccontextmanager
async def publishing(**options: Any) -> AsyncGenerator[ZMQTCPPublisher]:
    """Give an open publisher on this machine, and close it."""
    publisher = ZMQTCPPublisher(options.pop("ip", "127.0.0.1"), 0, **options)
    await publisher.open()
    try:
        yield publisher
    finally:
        await publisher.aclose()


def subscribers(publisher: ZMQTCPPublisher) -> list[dict[str, Any]]:
    """Return the status of those that have subscribed to something."""
    found: Any = publisher.status()["subscribers"]
    return [subscriber for subscriber in found if subscriber["topics"]]


async def subscribed(publisher: ZMQTCPPublisher, count: int = 1) -> None:
    """Return when *count* subscribers are there."""
    await until(lambda: len(subscribers(publisher)) == count)
