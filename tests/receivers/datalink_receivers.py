"""DataLinkReceivers and what they are to bring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rawdaq.config.settings import StationSettings
from rawdaq.miniseed.format import Record, RecordFormat
from rawdaq.packet import Packet
from rawdaq.protocols.datalink import datalink_id
from rawdaq.publisher import Publisher
from rawdaq.receivers.datalink import DataLinkReceiver
from rawdaq.stream_id import StreamId
from tests.datalink_server import Server
from tests.makers import STREAM
from tests.record_makers import make, packets

STATION = StationSettings(network="XX", code="HUB")


class Keeper(Publisher):
    """Keeps all that comes."""

    def __init__(self) -> None:
        super().__init__("keeper")
        self.packets: list[Packet] = []
        self.other: list[bytes] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        for item in batch:
            if isinstance(item, bytes):
                self.other.append(item)
            else:
                self.packets.append(item)

    @property
    def starts(self) -> list[int]:
        return [packet.start_ns for packet in self.packets]

    def samples(self, stream: StreamId = STREAM) -> list[int]:
        return [value for each in self.packets if each.stream == stream for value in each.samples.tolist()]


def receiver(url: str, keeper: Keeper, state: Path, **options: Any) -> DataLinkReceiver:
    given: dict[str, Any] = {"reconnect_first_s": 0.01, "reconnect_max_s": 0.05, **options}
    return DataLinkReceiver([keeper], STATION, url=url, state=state, **given)


def records(count: int, stream: StreamId = STREAM, version: int = 2) -> list[Record]:
    """Return *count* records of small numbers that rise."""
    samples = np.random.default_rng(5).integers(-(2**28), 2**28, count * 120, dtype=np.int32)
    return make(packets(samples, stream=stream), RecordFormat(version))[:count]


def write(server: Server, some: Sequence[Record], kind: str = "MSEED") -> None:
    """Put *some* records into the ring."""
    for each in some:
        name = datalink_id(each.stream, kind)
        server.put(name, each.start_ns // 1000, each.end_ns // 1000, each.data)
