"""What was sent to a DataLink server, and what of it the server has when the connection was lost in between."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rawdaq.datalink import DataLink, DataPacket, ServerRefused, Write
from rawdaq.protocols.datalink import expression_of, translated

#: Records that are remembered after their acknowledgement: a server that is killed loses less than a second of them.
_KEPT_PACKETS: Final = 1024
_KEPT_BYTES: Final = 1 << 20
_MAX_EXPRESSION_BYTES: Final = 2000  # ringserver takes 6000; without an expression it answers with all its streams
_MAX_READ: Final = 16  # packets that are looked at to find the newest of ours


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a server has.

    Attributes:
        found: how many of the packets that were not acknowledged it has: the first ones.
        lost: packets that it had acknowledged and has no more, because it crashed.
    """

    found: int = 0
    lost: Sequence[Write] = ()


class Sent:
    """The packets that the server got last, with the ids that it gave them as far as they are known."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int | None, Write]] = deque()
        self._kept_bytes = 0

    def add(self, packet_ids: Sequence[int | None], writes: Sequence[Write]) -> None:
        """Take note that the server has *writes*."""
        first = max(0, len(writes) - _KEPT_PACKETS)
        for packet_id, write in zip(packet_ids[first:], writes[first:], strict=True):
            self._kept.append((packet_id, write))
            self._kept_bytes += len(write.data)
        while len(self._kept) > _KEPT_PACKETS or self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1].data)

    async def compare(self, link: DataLink, writes: Sequence[Write]) -> Comparison:
        """Return what the server has of *writes*, which may have been sent, and of what was acknowledged before.

        A server takes what comes over a connection in order. So when it has one of our packets it has all before it,
        and only the newest of ours in its ring must be found.

        Raises:
            DataLinkError: the server does not answer.
        """
        kept = [write for _, write in self._kept]
        in_question = [*kept, *writes[:_KEPT_PACKETS]]
        if not in_question:
            return Comparison()
        newest, earliest_id = await self._newest(link, in_question)
        if newest is None:
            last_id = self._kept[-1][0] if self._kept else None
            is_overwritten = last_id is None or earliest_id > last_id  # by newer packets of others
            return Comparison() if is_overwritten else Comparison(0, self._take_back(await self._lost(link)))
        packet_id, index = newest
        found = max(0, index + 1 - len(kept))
        lost = self._take_back(len(kept) - index - 1)
        self.add([*([None] * (found - 1)), packet_id][:found], writes[:found])
        return Comparison(found, lost)

    def _take_back(self, count: int) -> list[Write]:
        """Forget the last *count* packets, and return them."""
        back = [self._kept.pop()[1] for _ in range(count)]
        self._kept_bytes -= sum(len(write.data) for write in back)
        return back[::-1]

    async def _newest(self, link: DataLink, in_question: Sequence[Write]) -> tuple[tuple[int, int] | None, int]:
        """Return the newest of *in_question* that the server has, its id there and its index, and the oldest id of all.

        None says that it seems to have none of them.
        """
        names = list(dict.fromkeys(translated(write.stream_id) for write in in_question))
        expression = expression_of(names)
        is_short = len(expression) <= _MAX_EXPRESSION_BYTES
        info = await link.info("STREAMS", expression if is_short else None)
        ours = set(names) | {write.stream_id for write in in_question}
        latest = sorted(each.latest_packet_id or 0 for each in info.streams if each.name in ours)
        earliest_id = info.status.earliest_packet_id or 0
        places = {_content(write): index for index, write in enumerate(in_question)}
        for packet_id in latest[: -_MAX_READ - 1 : -1]:
            packet = await _read(link, packet_id)
            index = None if packet is None else places.get(_content(packet))
            if index is not None:
                return (packet_id, index), earliest_id
        return None, earliest_id

    async def _lost(self, link: DataLink) -> int:
        """Return how many of the packets that it got last the server has no more."""
        lost = 0
        for packet_id, write in reversed(self._kept):
            packet = None if packet_id is None else await _read(link, packet_id)
            if packet is not None and _content(packet) == _content(write):
                return lost
            lost += 1
        return lost


async def _read(link: DataLink, packet_id: int) -> DataPacket | None:
    try:
        return await link.read(packet_id)
    except ServerRefused:
        return None


def _content(packet: DataPacket | Write) -> tuple[str, int, int, bytes]:
    """Return what makes a packet the same as another one, whatever its id."""
    return translated(packet.stream_id), packet.start_ns // 1000, packet.end_ns // 1000, packet.data
