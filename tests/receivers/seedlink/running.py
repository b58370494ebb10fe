"""A receiver that runs against the tests' own server, and records of a second each."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.seedlink import SeedLinkReceiver
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S
from tests.helpers import until
from tests.makers import START_NS
from tests.packet_keeper import PacketKeeper
from tests.seedlink_peer import SeedLinkPeer
from tests.seedlink_store import Stored
from tests.waveform_makers import noise, records

STATION = StationSettings(network="XX", code="HUB")
BOTH = pytest.mark.parametrize("version", [3, 4])


def stored(second: int, sequence: int | None = None, *, name: str = "XX.AAA.00.HHZ", version: int = 2) -> Stored:
    """Return a record of the 100 samples of one second; its number is the second unless *sequence* says another one."""
    stream = StreamId.parse(name)
    packet = noise(stream, START_NS + second * NS_PER_S, 100)
    (record,) = records([packet], version)
    station = f"{stream.network}_{stream.station}"
    number = second if sequence is None else sequence
    codes = stream.location, stream.channel
    return Stored(station, *codes, number, packet.start_ns, packet.end_ns, record, str(version))


class ByteKeeper(Publisher):
    """Keeps plain bytes."""

    def __init__(self) -> None:
        super().__init__("bytes")
        self.messages: list[bytes] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.messages += [item for item in batch if isinstance(item, bytes)]


@contextlib.asynccontextmanager
async def receiving(
    port: int, *more: Publisher, **options: Any
) -> AsyncGenerator[tuple[SeedLinkReceiver, PacketKeeper]]:
    """Run a receiver with quick reconnection; yield it and what keeps the packets that it publishes."""
    keeper = PacketKeeper()
    chosen: dict[str, Any] = {"stations": {"XX_AAA": []}, "start": "earliest", **options}
    receiver = SeedLinkReceiver(
        [keeper, *more], STATION, host="127.0.0.1", port=port, reconnect_first_s=0.01, reconnect_max_s=0.02, **chosen
    )
    task = asyncio.ensure_future(receiver.serve())
    try:
        yield receiver, keeper
    finally:
        receiver.stop()
        await task


def seconds(packets: list[Packet], name: str = "XX.AAA.00.HHZ") -> list[int]:
    """Return the seconds of which packets of a stream came, in their order."""
    return [(each.start_ns - START_NS) // NS_PER_S for each in packets if str(each.stream) == name]


async def arrived(peer: SeedLinkPeer, state: Path, count: int, **options: Any) -> tuple[SeedLinkReceiver, PacketKeeper]:
    """Run a receiver until it has *count* packets."""
    async with peer.listening() as port, receiving(port, state=state, **options) as (receiver, keeper):
        await until(lambda: len(keeper.packets) >= count)
    return receiver, keeper
