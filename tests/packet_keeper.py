"""A publisher that keeps the packets that it gets."""

from collections.abc import Sequence

from rawdaq.packet import Packet
from rawdaq.publisher import Publisher


class PacketKeeper(Publisher):
    """Keeps packets, and lets plain bytes go."""

    def __init__(self) -> None:
        super().__init__("keeper")
        self.packets: list[Packet] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.packets += [item for item in batch if isinstance(item, Packet)]

    def content(self) -> list[tuple[object, ...]]:
        """Return what is the same when the same packets come again."""
        return [
            (each.stream, each.start_ns, each.rate_hz, each.timing_quality, each.sequence, each.samples.tolist())
            for each in self.packets
        ]
