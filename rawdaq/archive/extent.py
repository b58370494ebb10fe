"""Which samples some packets or records hold, for people who must know what waits or what is lost."""

from collections.abc import Iterable
from dataclasses import dataclass

from rawdaq.messages.message import Message
from rawdaq.miniseed.format import Record, RecordRun
from rawdaq.multipart import Multipart
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time, to_iso

_NAMED = 5  # streams that a text lists


@dataclass(slots=True)
class _Part:
    """What is of one stream."""

    start_ns: int
    end_ns: int
    samples: int

    def __str__(self) -> str:
        return f"{self.samples} samples from {to_iso(self.start_ns, 3)} to {to_iso(self.end_ns, 3)}"


class Extent:
    """Streams, the time range of each, and how many samples; of plain bytes and messages their number and size.

    >>> import numpy as np
    >>> packet = Packet(StreamId("XX", "DEMO", "00", "HHZ"), 0, 100.0, np.zeros(200, "<i4"))
    >>> print(Extent([packet, b"plain"]))
    XX.DEMO.00.HHZ: 200 samples from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.990Z; 1 message (5 bytes)

    Args:
        items: packets, records, runs of them, messages or plain bytes.

    Attributes:
        messages: how many messages and plain bytes.
        message_bytes: their size.
    """

    def __init__(self, items: Iterable[object] = ()) -> None:
        self.messages = self.message_bytes = 0
        self._parts: dict[StreamId, _Part] = {}
        for item in items:
            self.add(item)

    def __bool__(self) -> bool:
        return bool(self._parts or self.messages)

    def add(self, item: object) -> None:
        """Include *item*."""
        if isinstance(item, Packet | PacketRun):
            self.add_samples(item.stream, item.start_ns, item.end_ns, item.size)
        elif isinstance(item, RecordRun):
            end_ns = sample_time(item.starts_ns[-1], item.sample_counts[-1] - 1, item.rate_hz)
            self.add_samples(item.stream, item.starts_ns[0], end_ns, sum(item.sample_counts))
        elif isinstance(item, Record):
            self.add_samples(item.stream, item.start_ns, item.end_ns, item.sample_count)
        elif isinstance(item, Message | Multipart | bytes):
            self.messages += 1
            self.message_bytes += len(item) if isinstance(item, bytes) else item.size_bytes

    def add_samples(self, stream: StreamId, start_ns: int, end_ns: int, samples: int) -> None:
        """Include samples of *stream* from *start_ns* to *end_ns*, the time of the last one."""
        part = self._parts.get(stream)
        if part is None:
            self._parts[stream] = _Part(start_ns, end_ns, samples)
            return
        part.start_ns = min(part.start_ns, start_ns)
        part.end_ns = max(part.end_ns, end_ns)
        part.samples += samples

    @property
    def seconds(self) -> float:
        """The longest of the time ranges."""
        return max((part.end_ns - part.start_ns for part in self._parts.values()), default=0) / NS_PER_S

    def __str__(self) -> str:
        """The extent in words; of many streams the first few by name."""
        shown = [f"{stream}: {part}" for stream, part in sorted(self._parts.items())[:_NAMED]]
        others = [part for _, part in sorted(self._parts.items())[_NAMED:]]
        if others:
            start_ns, end_ns = min(part.start_ns for part in others), max(part.end_ns for part in others)
            rest = _Part(start_ns, end_ns, sum(part.samples for part in others))
            shown.append(f"{len(others)} more streams: {rest}")
        if self.messages:
            shown.append(f"{self.messages} message{'s' * (self.messages > 1)} ({self.message_bytes} bytes)")
        return "; ".join(shown)
