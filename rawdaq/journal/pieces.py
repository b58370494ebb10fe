"""Parts of packets and of runs by the index of their samples: what is left of one of which some was delivered."""

from collections.abc import Callable

from rawdaq.messages.message import Message
from rawdaq.packet import Packet, PacketRun
from rawdaq.times import sample_time


def parts(item: Packet | PacketRun, begin: int, end: int) -> list[tuple[int, Packet | PacketRun]]:
    """Return the samples from *begin* up to *end* of *item*, each part with the index of its first sample.

    Whole packets of a run stay a run.
    """
    if isinstance(item, Packet):
        return [(begin, _part(item, begin, end))]
    size = item.samples.shape[1]
    first, last = -(-begin // size), end // size  # the whole packets
    if first > last:  # all in one packet
        return [(begin, _part(_packet(item, last), begin - last * size, end - last * size))]
    found: list[tuple[int, Packet | PacketRun]] = []
    if begin < first * size:
        found.append((begin, _part(_packet(item, first - 1), begin - (first - 1) * size, size)))
    if first < last:
        found.append((first * size, item[first:last]))
    if last * size < end:
        found.append((last * size, _part(_packet(item, last), 0, end - last * size)))
    return found


def rest(
    item: Packet | PacketRun | Message | bytes, is_known: Callable[[Packet | Message | bytes], bool]
) -> list[tuple[int, Packet | PacketRun | Message | bytes]]:
    """Return *item* from its first packet on that is not known, each part with the index of its first sample.

    Args:
        item: what comes next.
        is_known: says of one packet after the other, or of all that is no run, whether it was delivered.
    """
    if not isinstance(item, PacketRun):
        return [] if is_known(item) else [(0, item)]
    for index, packet in enumerate(item):
        if not is_known(packet):
            return [*parts(item, index * packet.size, item.size)]
    return []


def nothing_of(item: Packet | PacketRun) -> Packet:
    """Return a packet of the stream of *item* without samples, where its end would be."""
    packet = item if isinstance(item, Packet) else _packet(item, len(item) - 1)
    return _part(packet, packet.size, packet.size)


def _packet(run: PacketRun, index: int) -> Packet:
    return next(iter(run[index : index + 1]))


def _part(packet: Packet, begin: int, end: int) -> Packet:
    if (begin, end) == (0, packet.size):
        return packet
    start_ns = sample_time(packet.start_ns, begin, packet.rate_hz)
    return packet.replace(start_ns=start_ns, samples=packet.samples[begin:end])
