"""What the tests of SeedLinkPluginPublisher share."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np

from rawdaq.delivery.fanout import Fanout
from rawdaq.packet import Packet
from rawdaq.publishers.seedlink_pipe.publisher import SeedLinkPluginPublisher
from tests import fanouts
from tests.makers import START_NS, STREAM
from tests.pipe_server import PipeServer

FULL_BYTES = 57_000  # of 65 536; frames do not fill each page of a pipe


@contextlib.asynccontextmanager
async def opened(server: PipeServer | None = None, **options: Any) -> AsyncGenerator[SeedLinkPluginPublisher]:
    """A publisher to *server*, open while the block runs."""
    if server is not None:
        options["fd"] = server.fd
    publisher = SeedLinkPluginPublisher(**options)
    await publisher.open()
    try:
        yield publisher
    finally:
        await publisher.aclose()
        await publisher.aclose()


@contextlib.asynccontextmanager
async def running(
    *publishers: SeedLinkPluginPublisher, clock_ns: Callable[[], int] | None = None
) -> AsyncGenerator[Fanout]:
    """Deliver to *publishers* as a component does."""
    fanout = Fanout(publishers, fanouts.LOG, *([clock_ns] if clock_ns else []))
    async with fanouts.running(fanout):
        yield fanout


def raw(values: Any, dtype: str = "<i4", *, start_ns: int = START_NS, rate_hz: float = 100.0, **more: Any) -> Packet:
    return Packet(more.pop("stream", STREAM), start_ns, rate_hz, np.array(values, dtype), **more)
