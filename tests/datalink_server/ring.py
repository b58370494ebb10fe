"""The ring: slots, positions and what ringserver 4.5 makes of a position whose slot was overwritten."""

import re
import time
from dataclasses import dataclass, field
from typing import NamedTuple

LEGACY = re.compile(rb"^([0-9A-Z]{1,2})_([0-9A-Z]{1,5})_([0-9A-Z]{0,2})_([0-9A-Z])([0-9A-Z])([0-9A-Z])/MSEED$")


class RingPacket(NamedTuple):
    sid: bytes
    id: int
    time_us: int
    start_us: int
    end_us: int
    data: bytes

    def wire(self) -> bytes:
        """Return it as a reader gets it."""
        times = b"%d %d %d" % (self.time_us, self.start_us, self.end_us)
        header = b"PACKET %s %d %s %d" % (self.sid, self.id, times, len(self.data))
        return b"DL" + bytes([len(header)]) + header + self.data


@dataclass
class Ring:
    """So many slots; packets are counted from 0, their ids from `next_id` on.

    Attributes:
        capacity: how many packets it holds.
        packets: those that it holds, the oldest first.
        written: how many were ever written.
    """

    capacity: int = 1000
    packets: list[RingPacket] = field(default_factory=list["RingPacket"])
    written: int = 0
    next_id: int = 1

    @property
    def first(self) -> int:
        """The count of the oldest packet."""
        return self.written - len(self.packets)

    def put(self, sid: bytes, start_us: int, end_us: int, data: bytes, number: int | None = None) -> RingPacket:
        """Add a packet and drop the oldest when the ring is full."""
        packet_id = self.next_id if number is None else number
        packet = RingPacket(sid, packet_id, time.time_ns() // 1000, start_us, end_us, data)
        self.packets.append(packet)
        self.next_id = packet_id + 1
        self.written += 1
        if len(self.packets) > self.capacity:
            del self.packets[0]
        return packet

    def crash(self, lost: int) -> None:
        """Lose the last packets, as kill -9 does: their ids are given again."""
        if lost:
            self.next_id = self.packets[-lost].id
            del self.packets[-lost:]
            self.written -= lost

    def find(self, packet_id: int) -> tuple[int, RingPacket] | None:
        """Return the count and the packet with this id."""
        for at, packet in enumerate(self.packets):
            if packet.id == packet_id:
                return self.first + at, packet
        return None

    def after(self, count: int) -> int:
        """Return the count of the packet behind the position *count*, which is a slot: whatever is in it now."""
        if count < 0:
            return self.first
        while count < self.first:
            count += self.capacity
        return min(count, self.written - 1) + 1

    def at(self, count: int) -> RingPacket | None:
        """Return the packet with this count, None when it is not written yet."""
        return self.packets[count - self.first] if self.first <= count < self.written else None


def kept(sid: bytes, protocol: str) -> bytes:
    """Return the id under which a packet is kept."""
    if protocol == "1.0":
        return sid[:59]
    match = LEGACY.match(sid)
    return b"FDSN:" + b"_".join(match.groups()) + b"/MSEED" if match else sid
