"""A receiver that runs against the tests' own server, and packets of a second each."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.isi import ISIReceiver
from rawdaq.times import NS_PER_S
from tests.isi.server_peer import IsiServerPeer
from tests.makers import START_NS
from tests.packet_keeper import PacketKeeper

STATION = StationSettings(network="II", code="HUB")
START_S = START_NS / NS_PER_S
NAME = "II.AAK.00.BHZ"
RATE_HZ = 20


def samples(second: int, rate_hz: float = RATE_HZ) -> list[int]:
    """Return the samples of one second, which count up through all of them."""
    size = round(rate_hz)
    return list(range(second * size, (second + 1) * size))


def add(peer: IsiServerPeer, *seconds: int, name: str = "aak.bhz.00", **more: Any) -> None:
    """Let the server have packets of a second each."""
    sta, chn, loc = name.split(".")
    for second in seconds:
        peer.add(sta, chn, loc, START_S + second, RATE_HZ, samples(second), **more)


@contextlib.asynccontextmanager
async def receiving(port: int, *more: Publisher, **options: Any) -> AsyncGenerator[tuple[ISIReceiver, PacketKeeper]]:
    """Run a receiver with quick reconnection; yield it and what keeps the packets that it publishes."""
    keeper = PacketKeeper()
    chosen: dict[str, Any] = {"start": "earliest", "reconnect_first_s": 0.01, "reconnect_max_s": 0.02, **options}
    receiver = ISIReceiver([keeper, *more], STATION, host="127.0.0.1", port=port, **chosen)
    task = asyncio.ensure_future(receiver.serve())
    try:
        yield receiver, keeper
    finally:
        receiver.stop()
        await task


def seconds(packets: Sequence[Packet], name: str = NAME) -> list[int]:
    """Return the seconds of which packets of a stream came, in their order."""
    return [(each.start_ns - START_NS) // NS_PER_S for each in packets if str(each.stream) == name]


def values(packets: Sequence[Packet], name: str = NAME) -> list[int]:
    """Return all samples of a stream, in their order."""
    return [value for each in packets if str(each.stream) == name for value in each.samples.tolist()]


def data_requests(peer: IsiServerPeer) -> list[list[tuple[str, float, float]]]:
    """Return the windows of each request for data that do not end: those that do not only list streams."""
    windows = [[(str(each.name), each.beg, each.end) for each in request.windows] for request in peer.requests]
    return [each for each in windows if each and each[0][2] == -4.0]
