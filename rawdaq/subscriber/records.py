"""What the readers of servers of miniSEED records have in common: what they count, and what they let through."""

import logging
from collections.abc import Iterable

from rawdaq.packet import Packet
from rawdaq.stream_id import check_patterns
from rawdaq.subscriber.reader import PacketReader


class RecordReader(PacketReader):
    """A `PacketReader` of a server that sends records from now on.

    Raises:
        InvalidValue: a pattern that can name no stream.
    """

    is_live = True

    def __init__(self, streams: str | Iterable[str], timeout_s: float | None, logger: logging.Logger | None) -> None:
        super().__init__(streams, timeout_s, logger)
        check_patterns(self.streams)
        self._unusable = 0
        self._passed_over: set[str] = set()

    @property
    def malformed(self) -> int:
        """How many records were skipped because they hold no waveform, or cannot be read."""
        return self._unusable

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that came though no pattern selects them."""
        return sorted(self._passed_over)

    def _selected(self, packet: Packet | None) -> Packet | None:
        """Return *packet* with its number, if a pattern selects it; count it, and records without one."""
        if packet is None:
            self._unusable += 1
            return None
        if not packet.stream.matches(self.streams):
            self._passed_over.add(str(packet.stream))
            return None
        self.received[packet.stream] += 1
        return packet.numbered(self.received[packet.stream] - 1)
