"""From datagrams to parts: whose they are, and which of them cannot be used."""

import ipaddress
from collections.abc import Callable, Iterator

from rawdaq.receivers.assembler.options import SlotSettings
from rawdaq.sockets.datagrams import plain_address
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.refusals import Refusals
from rawdaq.streams.assembly.readout_format import MAX_TIME_NS, DatagramRefused, ReadoutFormat
from rawdaq.streams.assembly.values import Part

FOREIGN = "foreign sender"
_MAX_ORIGINS = 10_000  # senders can be forged, so the table has an end


class Origin:
    """Where datagrams come from.

    Attributes:
        name: the address.
        slot: of its first row; None: it is foreign.
        packets: how many came.
        malformed: how many of them could not be used.
        delay_ns: arrival minus device time of its last part.
    """

    __slots__ = ("delay_ns", "malformed", "name", "packets", "slot")

    def __init__(self, name: str, slot: int | None) -> None:
        self.name, self.slot = name, slot
        self.packets = self.malformed = 0
        self.delay_ns: int | None = None


class Intake:
    """Makes parts of datagrams.

    Args:
        chosen: the format.
        slots: which sender is which row.
        is_ours: whether an address may send at all.
        refusals: counts what cannot be used.

    Attributes:
        count: how many slots there are.
        by_slot: who sent a row last.
    """

    def __init__(
        self, chosen: ReadoutFormat, slots: SlotSettings, is_ours: Callable[[str], bool], refusals: Refusals
    ) -> None:
        self.format = chosen
        self.refusals = refusals
        self._slots, self._is_ours = slots, is_ours
        self._by_field = slots.by == "field"
        self.count = slots.total if self._by_field else slots.total * chosen.numbers
        self.by_slot: list[Origin | None] = [None] * self.count
        self._origins: dict[tuple[str, int], Origin] = {}

    def origin(self, host: str, port: int) -> Origin:
        """Return what is known of a sender, by the address that its socket says."""
        origin = self._origins.get((host, port))
        if origin is None:
            if len(self._origins) >= _MAX_ORIGINS:
                self._origins.clear()  # who is still there comes back with the next datagram; the counters begin anew
            address = plain_address(host)
            origin = self._origins[host, port] = self._find(address, host_port(address, port))
        return origin

    def named(self, address: str) -> Origin:
        """Return what is known of a sender that has a ZMQ address."""
        origin = self._origins.get((address, 0))
        if origin is None:
            slot = 0 if self._by_field else self._slots.senders.get(address)
            origin = self._origins[address, 0] = Origin(address, slot)
        return origin

    def _find(self, host: str, peer: str) -> Origin:
        slots = self._slots
        if not self._is_ours(host):
            return Origin(host, None)
        if self._by_field:
            return Origin(peer, 0)
        if slots.by == "octet":
            number = ipaddress.ip_address(host).packed[-1] - slots.first
            return Origin(host, number * self.format.numbers if 0 <= number < slots.total else None)
        for name in (peer, host):
            if (slot := slots.senders.get(name)) is not None:
                return Origin(name, slot * self.format.numbers)
        return Origin(host, None)

    def parts(self, origin: Origin, datagram: bytes, received_ns: int) -> Iterator[Part]:
        """Yield the parts of a datagram; one that cannot be used is counted, and nothing of it counts."""
        base = origin.slot
        if base is None:
            self.refusals.count(FOREIGN, origin.name)
            return
        origin.packets += 1
        limit = self.count if self._by_field else self.format.numbers
        try:
            sections = self.format.sections(datagram)
            for time_ns, _, number in sections:
                if not 0 <= number < limit:
                    raise DatagramRefused(
                        "unknown slot", f"it says that it is number {number}, slots end at {limit - 1}"
                    )
                if not 0 <= time_ns <= MAX_TIME_NS:
                    raise DatagramRefused("time out of range", f"its time of {time_ns} ns is not in 0 to {MAX_TIME_NS}")
        except DatagramRefused as error:
            origin.malformed += 1
            self.refusals.count(error.reason, origin.name, error)
            return
        for time_ns, data, number in sections:
            slot = base + number
            self.by_slot[slot] = origin
            yield Part(slot, time_ns, time_ns, data, received_ns)
        if sections:
            origin.delay_ns = received_ns - sections[-1].time_ns

    def name(self, slot: int) -> str:
        """Return a slot in words, with its sender where it is known."""
        origin = self.by_slot[slot]
        known = origin.name if origin else self._configured(slot)
        return f"slot {slot} ({known})" if known else f"slot {slot}"

    def _configured(self, slot: int) -> str:
        number = slot // self.format.numbers
        return next((name for name, each in self._slots.senders.items() if each == number), "")
