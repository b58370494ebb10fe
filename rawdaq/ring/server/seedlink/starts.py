"""Where in the ring the requests of a SeedLink client begin."""

from collections.abc import Sequence

from rawdaq.protocols.seedlink import SeedLinkVersion, Start, StationRequest
from rawdaq.protocols.seedlink.v3 import SEQUENCES, full_sequence
from rawdaq.ring.names import seed_name
from rawdaq.ring.reading import RingReader
from rawdaq.ring.server.seedlink.view import Begin, Selection
from rawdaq.times import NS_PER_S


class Starts:
    """Finds where requests begin.

    Args:
        reader: of the ring.
        version: what the client speaks.
        requests: what it asks for.

    Attributes:
        names: the known streams of each request.
    """

    def __init__(self, reader: RingReader, version: SeedLinkVersion, requests: Sequence[StationRequest]) -> None:
        self._reader = reader
        self._is_v3 = version is SeedLinkVersion.V3
        self._requests = requests
        self.names: list[set[str]] = [set() for _ in requests]
        selection = Selection(requests)
        for name in reader.streams.names:
            seed = seed_name(name)
            choice = None if seed is None else selection.choose(seed)
            if choice is not None:
                self.names[choice.place].add(name)

    async def find(self) -> list[Begin]:
        """Return where each request begins.

        Raises:
            StoreError: the disk cannot be read.
        """
        return [await self._begin(place, request) for place, request in enumerate(self._requests)]

    async def _begin(self, place: int, request: StationRequest) -> Begin:
        if isinstance(request.start, int):
            return await self._from_number(place, request, request.start)
        if request.begin_ns is not None:
            return await self._from_time(place, request.begin_ns)
        return Begin(self._reader.oldest if request.start is Start.OLDEST else self._reader.end)

    async def _from_time(self, place: int, time_ns: int) -> Begin:
        position = await self._reader.find(self.names[place], time_ns)
        return Begin(self._reader.end if position is None else position, time_ns)

    async def _from_number(self, place: int, request: StationRequest, number: int) -> Begin:
        oldest, end = self._reader.oldest, self._reader.end
        if not self._is_v3:
            return Begin(min(max(number, oldest), end), request.begin_ns)
        full = full_sequence(number, oldest, end)
        if number == 0 and full % SEQUENCES:  # which is no number here: all that there is
            return Begin(oldest)
        if request.last_packet_ns is None or full % SEQUENCES != number:
            return Begin(full)
        for candidate in range(full, oldest - 1, -SEQUENCES):
            if await self._follows(candidate, request.last_packet_ns, place):
                return Begin(candidate)
        # The numbers are those of another server, or of a ring that was removed: only the time says where to go on.
        return await self._from_time(place, request.last_packet_ns)

    async def _follows(self, position: int, last_packet_ns: int, place: int) -> bool:
        """Return whether the packet in front of *position* can be the last one that the client has."""
        before = await self._reader.describe(position - 1)
        if before is None:  # it has made room; nothing says that the number is wrong
            return True
        name, start_ns = before
        return name in self.names[place] and start_ns // NS_PER_S == last_packet_ns // NS_PER_S
