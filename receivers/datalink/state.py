"""Where a reader is in the ring of a server: in memory, and in a file that survives it."""

import hashlib
import json
from collections import deque
from pathlib import Path
from typing import Any, Final, NamedTuple

from rawdaq.datalink import DataPacket
from rawdaq.disk.files import replace_file

_RECENT_PACKETS: Final = 4096


class Mark(NamedTuple):
    """A packet that was read, known again by its content: its id and time may name another one after a crash.

    Attributes:
        packet_id: its number.
        packet_time_ns: when the server took it.
        digest: of its stream, its times and its data.
    """

    packet_id: int
    packet_time_ns: int
    digest: str

    @classmethod
    def of(cls, packet: DataPacket) -> "Mark":
        """Return the mark of *packet*."""
        named = f"{packet.stream_id} {packet.start_ns} {packet.end_ns} ".encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(named + packet.data, digest_size=8).hexdigest()
        return cls(packet.packet_id, packet.packet_time_ns, digest)


class ReaderState:
    """What was read.

    Attributes:
        marks: packets that were read, the newest first; the older they are, the fewer.
        ends: of each stream the time of the last sample that was read.
        newest: the packet that was read last in this run.
    """

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.ends: dict[str, int] = {}
        self.newest: DataPacket | None = None

    def note(self, packet: DataPacket) -> None:
        """Take note that *packet* was read."""
        self.newest = packet
        name, end_ns = packet.stream_id, packet.end_ns
        self.ends[name] = max(self.ends.get(name, end_ns), end_ns)

    def set_mark(self) -> None:
        """Make a mark of the newest packet, and let go of some older ones: one remains for each doubling of the way."""
        if self.newest is None:
            return
        newest = Mark.of(self.newest)
        kept: dict[int, Mark] = {}
        for mark in self.marks:  # of two at about the same distance the older one stays, so that it gets there
            kept[(newest.packet_id - mark.packet_id).bit_length()] = mark
        self.marks = [newest, *(mark for mark in kept.values() if mark != newest)]

    def as_json(self) -> str:
        """Return it as text."""
        return json.dumps({"version": 1, "marks": self.marks, "ends": self.ends})

    @classmethod
    def from_json(cls, text: str) -> "ReaderState":
        """Return what `as_json` wrote.

        Raises:
            ValueError: it did not write this.
        """
        found: Any = json.loads(text)
        state = cls()
        try:
            state.marks = [Mark(int(number), int(time_ns), str(digest)) for number, time_ns, digest in found["marks"]]
            state.ends = {str(name): int(end_ns) for name, end_ns in found["ends"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it has no marks or no ends: {error!r}") from None
        return state


def load(path: Path) -> ReaderState | None:
    """Return the state in the file *path*, None when there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else.
    """
    try:
        return ReaderState.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def save(path: Path, text: str) -> None:
    """Write *text* to the file *path*, all of it or nothing.

    Raises:
        OSError: that is impossible; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())


class RecentPackets:
    """The last few thousand packets, by which one that comes twice is recognised."""

    def __init__(self, limit: int = _RECENT_PACKETS) -> None:
        self._limit = limit
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, packet: DataPacket) -> bool:
        """Add *packet*; return whether it is new."""
        key = hash((packet.stream_id, packet.start_ns, packet.end_ns, packet.data))
        if key in self._known:
            return False
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > self._limit:
            self._known.discard(self._order.popleft())
        return True
