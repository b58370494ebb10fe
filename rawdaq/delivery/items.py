"""What waits in the queue of a publisher: packets, records, messages or plain bytes, and what each counts as."""

from collections.abc import Iterable
from typing import TypeVar

from rawdaq.messages.message import Message
from rawdaq.miniseed.format import Record, RecordRun
from rawdaq.multipart import Multipart
from rawdaq.packet import Packet, PacketRun

Waiting = Packet | PacketRun | RecordRun | Message | Multipart | bytes
#: What a receiver publishes.
Published = Packet | PacketRun | Message | bytes
Item = TypeVar("Item", bound=Waiting)

#: Where dropped plain bytes and multiparts are counted, which belong to no stream.
NO_STREAM = "bytes"

#: What a waiting item costs besides its samples: objects, array headers, list slots (measured, rounded up).
_ITEM_OVERHEAD_BYTES = 400


# A union in an isinstance is made again for each call, and these are called for each item.
_SAMPLED = (Packet, PacketRun)
#: What belongs to no stream.
NAMELESS = (bytes, Multipart, Message)
_SIZED = (Multipart, Message)


def count_of(item: Waiting) -> int:
    """Return how many packets, records or messages *item* is."""
    return 1 if isinstance(item, bytes) else item.count


def size_bytes(item: Waiting) -> int:
    """Return about how much memory *item* holds while it waits."""
    if isinstance(item, _SAMPLED):
        return item.samples.nbytes + _ITEM_OVERHEAD_BYTES
    if isinstance(item, _SIZED):
        return item.size_bytes + _ITEM_OVERHEAD_BYTES
    return len(item if isinstance(item, bytes) else item.data) + _ITEM_OVERHEAD_BYTES


def stream_of(item: Waiting) -> str:
    """Return the name under which *item* is counted when it is dropped."""
    if isinstance(item, Message):
        return item.topic
    return NO_STREAM if isinstance(item, NAMELESS) else str(item.stream)


def owned(items: Iterable[Published]) -> list[Published]:
    """Return *items* as those of a selection have to wait: with samples of their own.

    Samples are views of all that was read at once, most of which a selection may have left out.
    """
    return [item if isinstance(item, bytes) else item.owned() for item in items]


def single(items: Iterable[Waiting]) -> list[Packet | Record | Message | Multipart | bytes]:
    """Return *items* with every run as the packets or records that it stands for."""
    singles: list[Packet | Record | Message | Multipart | bytes] = []
    for item in items:
        if isinstance(item, PacketRun | RecordRun):
            singles += item
        else:
            singles.append(item)
    return singles
