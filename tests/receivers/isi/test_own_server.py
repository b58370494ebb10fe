"""ISIReceiver and the ISI of a ring: what goes in on one side comes out on the other, once."""

from pathlib import Path
from typing import Any

import numpy as np

from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.receivers.isi import ISIReceiver
from rawdaq.ring.server.settings import ListenSettings
from tests.helpers import free_port, until
from tests.ring.records import NS_PER_S, SAMPLES, START_NS, packets
from tests.ring.rings import feed
from tests.ring.rings import serving as ring_serving
from tests.servers import Keeper, serving

STATION = StationSettings(network="XX", code="HUB")


def receiver(port: int, keeper: Keeper, state: Path) -> ISIReceiver:
    options: dict[str, Any] = {"reconnect_first_s": 0.01, "reconnect_max_s": 0.05, "start": "earliest"}
    return ISIReceiver([keeper], STATION, host="127.0.0.1", port=port, state=state, **options)


def seconds_of(keeper: Keeper) -> list[int]:
    """Return which seconds came, in order; each must hold the samples of its record."""
    seconds: list[int] = []
    for packet in keeper.kept:
        assert isinstance(packet, Packet)
        second = (packet.start_ns - START_NS) // NS_PER_S
        assert np.array_equal(packet.samples, np.arange(second * SAMPLES, (second + 1) * SAMPLES))
        assert (packet.rate_hz, packet.timing_quality, packet.marks) == (100.0, None, None)
        seconds.append(second)
    return seconds


async def test_each_sample_comes_once_through_restarts_of_both_sides(tmp_path: Path) -> None:
    keeper = Keeper()
    port = free_port()
    for first in range(0, 60, 20):
        async with ring_serving(tmp_path / "ring", isi=ListenSettings(port=port)) as publisher:
            await feed(publisher, packets(first, 10))
            server = receiver(port, keeper, tmp_path / "positions")
            async with serving(server):
                await until(lambda enough=first + 10: len(keeper.kept) >= enough)  # type: ignore[misc]
                await feed(publisher, packets(first + 10, 10))
                await until(lambda enough=first + 20: len(keeper.kept) >= enough)  # type: ignore[misc]
                shown: Any = server.cmd_status()["receiver"]
                assert set(shown["streams"]) == {"XX.AAA.00.HHN", "XX.AAA.00.HHZ", "XX.BBB..HHZ", "XX.CCC..BHZ"}
    assert sorted(seconds_of(keeper)) == list(range(60))
