"""Container files for tests, and objects to put into them."""

from collections.abc import Sequence
from pathlib import Path

from rawdaq.container.format.compression import CompressionChoice
from rawdaq.container.format.objects import Item
from rawdaq.container.writer import ContainerWriter
from rawdaq.messages.message import Message
from rawdaq.multipart import Multipart
from rawdaq.packet import Marks, Packet
from tests.makers import packet

#: When the first object without a time of its own is written; one ns more for each call of the clock.
CREATED_NS = 1_790_000_000_000_000_000


class Clock:
    """A clock that goes on by a step with each look at it."""

    def __init__(self, now_ns: int = CREATED_NS, step_ns: int = 1) -> None:
        self.now_ns, self.step_ns = now_ns, step_ns

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns - self.step_ns


def event(number: int, payload: bytes = b"\x01\x02") -> Message:
    """Return an event as a receiver publishes it; events are a second apart."""
    header = {"time_ns": CREATED_NS + number * 1_000_000_000, "source": number}
    return Message("~event.XX.DEMO.Trig", header, payload).published(number, "Trig", CREATED_NS)


ITEMS: Sequence[Item] = [
    b"",
    b"plain bytes",
    packet(0, 5),
    packet(1, 3, timing_quality=80, sequence=7, received_ns=CREATED_NS),
    packet(2, 3).replace(marks=Marks(2, 4, '{"a":1}')),
    event(1),
    event(2, b""),
    Message("~log", {"message": "Zürich", "level": 17}).published(0, "Logs", CREATED_NS),
]
MULTIPART = Multipart([b'{"frame":3}', b"pixels"], 17, 3, {"frame": 3}, 99)


def written(
    path: Path,
    blocks: Sequence[Sequence[Item]],
    compression: CompressionChoice = CompressionChoice.ZLIB,
    *,
    is_finished: bool = True,
) -> Path:
    """Return *path*, to which a file with these *blocks* was written."""
    writer = ContainerWriter(path, {"station": "XX.DEMO"}, compression, is_new=True, clock_ns=Clock())
    for block in blocks:
        for item in block:
            writer.write(item)
        writer.flush()
    writer.close() if is_finished else writer.abandon()
    return path


def same(one: Item, other: Item) -> bool:
    """Return whether two objects are the same; multiparts have no equality."""
    if isinstance(one, Multipart) and isinstance(other, Multipart):
        fields = ("frame", "keys", "header_part", "size_bytes")
        return list(map(bytes, one.parts)) == list(map(bytes, other.parts)) and all(
            getattr(one, each) == getattr(other, each) for each in fields
        )
    if isinstance(one, Packet) and isinstance(other, Packet):
        return one == other and one.marks == other.marks
    return type(one) is type(other) and one == other
