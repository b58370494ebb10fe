"""What SeedLink clients get: a view for those who ask for the same, and how far each of them has come."""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rawdaq.protocols.seedlink import Choice, SeedLinkVersion, StationRequest, StreamKey, selected_filter
from rawdaq.protocols.seedlink.selectors import SUBFORMATS, matches_glob
from rawdaq.ring.names import SeedName, seed_name
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.sending import MAX_REMEMBERED, Client, Follower, View
from rawdaq.ring.server.unconverted import Unconverted
from rawdaq.sockets.server.websocket import message_frame
from rawdaq.times import NS_PER_S

#: The filter that converts to miniSEED 3.
TO_VERSION_3: Final = "3"
#: Data may come so long after their time before a time window counts as over.
_LATE_NS = 10 * NS_PER_S
_WILD = frozenset("*?")


class Selection:
    """Which request of a client a stream belongs to, however many there are of both.

    Args:
        requests: what the client wants.

    Attributes:
        patterns: how many requests name no station alone.
    """

    def __init__(self, requests: Sequence[StationRequest]) -> None:
        self._requests = requests
        self._exact: dict[str, int] = {}
        self._patterns: list[tuple[int, str]] = []
        for place, request in enumerate(requests):
            if _WILD.isdisjoint(request.station):
                self._exact.setdefault(request.station, place)
            else:
                self._patterns.append((place, request.station))

    @property
    def patterns(self) -> int:
        """How many requests have a pattern of stations."""
        return len(self._patterns)

    def choose(self, seed: SeedName, subformat: str = "D") -> Choice | None:
        """Return why, and how, the records of a stream are sent; None when they are not."""
        place = self._place(seed.station_id)
        if place is None:
            return None
        key = StreamKey(seed.location, seed.channel, seed.format, subformat)
        conversion = selected_filter(self._requests[place].selectors, key)
        return None if conversion is None else Choice(place, conversion)

    def _place(self, station: str) -> int | None:
        exact = self._exact.get(station)
        for place, pattern in self._patterns:
            if exact is not None and place > exact:
                break
            if matches_glob(pattern, station):
                return place
        return exact


class SeedLinkView(View):
    """What clients get who ask for the same stations and streams in the same version.

    Args:
        version: what they speak.
        requests: what they ask for; where each of them begins does not matter here.
        is_websocket: whether each packet is a message.
        unconverted: counts records that cannot be what is asked for.
    """

    def __init__(
        self,
        version: SeedLinkVersion,
        requests: Sequence[StationRequest],
        is_websocket: bool,
        unconverted: Unconverted,
    ) -> None:
        self._is_v4 = version is SeedLinkVersion.V4
        self._selection = Selection(requests)
        self._is_websocket = is_websocket
        self._unconverted = unconverted
        self._may_send: dict[str, bool] = {}
        self._choices: dict[tuple[str, str], Choice | None] = {}

    def choice(self, packet: RingPacket) -> Choice | None:
        """Return why, and how, *packet* is sent; None when it is not."""
        head = packet.head
        if head is None:
            return None
        key = packet.name, head.subformat
        try:
            return self._choices[key]
        except KeyError:
            if len(self._choices) >= MAX_REMEMBERED:
                self._choices.clear()
            seed = seed_name(packet.name)
            choice = None if seed is None else self._selection.choose(seed, head.subformat)
            self._choices[key] = choice
            return choice

    def may_send(self, name: str) -> bool:
        """Whether packets of the stream *name* may be sent: of any kind of records."""
        answer = self._may_send.get(name)
        if answer is None:
            seed = seed_name(name)
            kinds = SUBFORMATS if seed is not None else ""
            if len(self._may_send) >= MAX_REMEMBERED:
                self._may_send.clear()
            answer = any(seed is not None and self._selection.choose(seed, kind) is not None for kind in kinds)
            self._may_send[name] = answer
        return answer

    def frame(self, packet: RingPacket) -> bytes:
        """Return *packet* as it is sent; empty when it is not."""
        choice = self.choice(packet)
        return b"" if choice is None else self.chosen(packet, choice)

    def chosen(self, packet: RingPacket, choice: Choice) -> bytes:
        """Return a packet that was chosen as it is sent; empty when the version cannot say it."""
        if not self._is_v4:
            data = packet.seedlink_3()
        elif choice.filter == TO_VERSION_3:
            data = packet.seedlink_4_as_3(self._unconverted.note)
        else:
            data = packet.seedlink_4()
        return message_frame(data) if self._is_websocket and data else data


class Begin(NamedTuple):
    """Where a request begins, and which of its packets are meant.

    Attributes:
        position: the first number.
        begin_ns: only packets that end at or after this time; None: all.
    """

    position: int
    begin_ns: int | None = None


class SeedLinkFollower(Follower):
    """A client with requests that may begin and end each at its own place.

    Args:
        client: the client.
        view: what it gets.
        requests: what it asks for.
        begins: where each of them begins.
        stop: the number at which it has all that was stored; None: it wants what comes, too.
        end: behind the newest packet of the ring.
        names: of each request with an end, the streams that must have passed it.
        finish: called when it has all that it wants.
        clock: the time in nanoseconds.
    """

    view: SeedLinkView

    def __init__(
        self,
        client: Client,
        view: SeedLinkView,
        requests: Sequence[StationRequest],
        begins: Sequence[Begin],
        stop: int | None,
        end: Callable[[], int],
        names: Sequence[set[str]],
        finish: Callable[[], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(client, view, min(begin.position for begin in begins))
        self._begins = begins
        self._ends_ns = [request.end_ns for request in requests]
        self._same_from = max(begin.position for begin in begins)
        self._has_times = any(begin.begin_ns is not None for begin in begins)
        self._has_ends = any(end_ns is not None for end_ns in self._ends_ns)
        self._is_bounded = all(end_ns is not None for end_ns in self._ends_ns)
        self._stop, self._end = stop, end
        self._open_names = names
        self._had_names = [bool(each) for each in names]
        self._finish, self._clock = finish, clock

    @property
    def shares(self) -> bool:
        """Whether it gets all that its view shows."""
        return not (self._has_times or self._has_ends or self._stop is not None) and self.position >= self._same_from

    def frames(self, packets: Sequence[RingPacket]) -> list[bytes]:
        """Return what of *packets* it gets."""
        if self.shares:
            return self.view.frames(packets)
        frames: list[bytes] = []
        for packet in packets:
            choice = self.view.choice(packet)
            if choice is not None and self._is_meant(packet, choice.place):
                frames.append(self.view.chosen(packet, choice))
        return [frame for frame in frames if frame]

    def _is_meant(self, packet: RingPacket, place: int) -> bool:
        begin, end_ns = self._begins[place], self._ends_ns[place]
        if packet.position < begin.position or (self._stop is not None and packet.position >= self._stop):
            return False
        if end_ns is not None and packet.start_ns >= end_ns:
            self._open_names[place].discard(packet.name)
            return False
        return begin.begin_ns is None or packet.end_ns >= begin.begin_ns

    def advance(self, position: int) -> None:
        """Take note that it has all up to *position*."""
        super().advance(position)
        self.look_for_end()

    def look_for_end(self) -> None:
        """Finish when it has all that it wants."""
        if self.is_over or not (self._has_ends or self._stop is not None):
            return
        has_stored = self._stop is not None and self.position >= self._stop
        if has_stored or (self._is_bounded and self._has_passed()):
            self._finish()

    def _has_passed(self) -> bool:
        """Whether nothing more can be expected before the ends of all time windows."""
        has_all = self.position >= self._end()
        now_ns = self._clock()
        return all(
            (had_names and not names)
            or (has_all and end_ns is not None and now_ns >= end_ns + (_LATE_NS if had_names else 0))
            for had_names, names, end_ns in zip(self._had_names, self._open_names, self._ends_ns, strict=True)
        )
