"""The newest packets of a ring in memory: clients that keep up are served without a look at the disk."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import islice

from rawdaq.ring.packets import RingPacket

_MAX_BYTES = 64 << 20
_MAX_AGE_S = 30.0
_PACKET_BYTES = 600  # of one besides its data and its frames, which are as large as these
_FRAMES = 3
_CUT_AT = 1024  # packets that are no longer kept are cut off together


class Tail:
    """All packets from `first` to `end`, in order of their numbers.

    Args:
        position: where it begins.
        clock: seconds that only run forward.

    Attributes:
        first: it has every packet from this number on.
        end: behind the newest packet.
    """

    def __init__(self, position: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.first = self.end = position
        self._packets: list[RingPacket] = []
        self._positions: list[int] = []
        self._added_s: list[float] = []
        self._begin = 0  # what stands before it in the lists is no longer kept
        self._bytes = 0
        self._clock = clock

    @property
    def newest(self) -> RingPacket | None:
        """The newest packet; None when there is none in memory."""
        return self._packets[-1] if self._begin < len(self._packets) else None

    def add(self, packets: Sequence[RingPacket]) -> None:
        """Add what was written, and forget what is old, or too much."""
        now_s = self._clock()
        self._packets += packets
        self._positions += [packet.position for packet in packets]
        self._added_s += [now_s] * len(packets)
        self._bytes += sum(_size_bytes(packet) for packet in packets)
        self.end = packets[-1].position + 1
        self._forget(now_s - _MAX_AGE_S)

    def _forget(self, oldest_s: float) -> None:
        last = len(self._packets) - 1
        while self._begin < last and (self._bytes > _MAX_BYTES or self._added_s[self._begin] < oldest_s):
            self._bytes -= _size_bytes(self._packets[self._begin])
            self._begin += 1
        self.first = self._positions[self._begin] if self._begin else self.first
        if self._begin >= _CUT_AT and 2 * self._begin > len(self._packets):
            for each in (self._packets, self._positions, self._added_s):
                del each[: self._begin]
            self._begin = 0

    def since(self, position: int, max_bytes: int) -> list[RingPacket]:
        """Return packets from *position* on, at least one where there is one, about *max_bytes* of data at most."""
        begin = bisect_left(self._positions, position, self._begin)
        taken: list[RingPacket] = []
        for packet in islice(self._packets, begin, None):
            taken.append(packet)
            max_bytes -= len(packet.data)
            if max_bytes <= 0:
                break
        return taken

    def at(self, position: int) -> RingPacket | None:
        """Return the packet with this number; None when it is not in memory."""
        at = bisect_left(self._positions, position, self._begin)
        is_there = at < len(self._positions) and self._positions[at] == position
        return self._packets[at] if is_there else None


def _size_bytes(packet: RingPacket) -> int:
    return _PACKET_BYTES + _FRAMES * len(packet.data)
