"""Files to replay, a publisher that keeps what is played, and a play in one line."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.file_replayer import FileReplayer
from tests.makers import START_NS, STREAM
from tests.waveform_makers import EAST, NORTH, noise

S = 10**9
STATION = StationSettings(network="YY", code="HERE", location="00")
STREAMS = (STREAM, NORTH, EAST)

#: 15, 15 and 2 packets of a second, with a gap.
GIVEN = [
    noise(STREAM, START_NS, 1000),
    noise(STREAM, START_NS + 30 * S, 500),
    noise(NORTH, START_NS + 3 * S + 7_000_000, 1500),
    noise(EAST, START_NS + 20 * S, 100, rate_hz=62.5),
]


class Keeper(Publisher):
    """Keeps packets and when they arrived; *delay* is awaited before."""

    def __init__(self) -> None:
        super().__init__("keeper")
        self.packets: list[Packet] = []
        self.arrived_s: list[float] = []
        self.delay: Callable[[], Any] | None = None

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        if self.delay:
            await self.delay()
        self.packets += [item for item in batch if isinstance(item, Packet)]
        self.arrived_s += [time.monotonic()] * len(batch)


@asynccontextmanager
async def playing(files: Any, **options: Any) -> AsyncGenerator[tuple[FileReplayer, Keeper]]:
    """Play *files*; yield the receiver and what keeps its packets; stop it."""
    keeper = Keeper()
    receiver = FileReplayer([keeper], STATION, files=str(files), **options)
    task = asyncio.ensure_future(receiver.serve())
    try:
        yield receiver, keeper
    finally:
        receiver.stop()
        await task


async def play(files: Any, **options: Any) -> list[Packet]:
    """Return what is published until the component ends by itself."""
    keeper = Keeper()
    chosen: dict[str, Any] = {"speed": "max", **options}
    await FileReplayer([keeper], STATION, files=files, **chosen).serve()
    return keeper.packets
