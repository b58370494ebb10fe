"""When each simulated device sends what: a plan played without a clock or a socket, so that tests need neither."""

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

from rawdaq.receivers.simulator.faults import Clock, Delivery, Fault, Way
from rawdaq.receivers.simulator.makers import maker_of
from rawdaq.receivers.simulator.plan import SourceSettings
from rawdaq.times import NS_PER_S


class Outgoing(NamedTuple):
    """A message that is to leave.

    Attributes:
        at_ns: when, from the start of the simulation.
        source: of which source.
        slot: from which of its senders.
        data: the bytes.
    """

    at_ns: int
    source: str
    slot: int
    data: bytes


class Source:
    """The senders of one kind.

    Args:
        name: its name in the plan.
        settings: what the plan says.
        seed: the same gives the same values and faults.

    Attributes:
        rate_hz: how many contents a sender makes a second; may be changed.
        number: of the content that comes next.
        ways: of the messages of each sender.
    """

    def __init__(self, name: str, settings: SourceSettings, seed: int) -> None:
        self.name, self.settings = name, settings
        self.number = 0
        self._rate_hz = settings.rate_hz
        self._anchor = 0, 0  # when the rate was set, and the number that came next
        self._maker = maker_of(settings, f"{seed}/{name}")
        self._clocks = [Clock() for _ in range(settings.senders)]
        self.ways = [Way(f"{seed}/{name}/{slot}") for slot in range(settings.senders)]

    def begin(self, start_ns: int) -> None:
        """Let clocks that show UTC show *start_ns* at the start of the simulation."""
        if self.settings.origin == "utc":
            self._clocks = [Clock(start_ns) for _ in self._clocks]

    @property
    def rate_hz(self) -> float:
        """How many contents a sender makes a second."""
        return self._rate_hz

    def set_rate(self, rate_hz: float) -> None:
        """Make *rate_hz* contents a second after the next message."""
        self._anchor = self._measured_ns(self.number), self.number
        self._rate_hz = rate_hz

    def skip_to(self, elapsed_ns: int) -> None:
        """Go on at *elapsed_ns* with the number that is next, as a device does after a pause."""
        self._anchor = max(elapsed_ns, self._anchor[0]), self.number

    def _measured_ns(self, number: int) -> int:
        anchor_ns, first = self._anchor
        return anchor_ns + round((number - first) * NS_PER_S / self._rate_hz)

    @property
    def next_ns(self) -> int:
        """When the next messages leave: their last content has been measured then."""
        return self._measured_ns(self.number + self.settings.per_packet - 1)

    def messages(self, faults: Sequence[Fault]) -> Iterator[Outgoing]:
        """Yield what leaves because the time of the next messages has come, of all senders."""
        at_ns, count = self.next_ns, self.settings.per_packet
        measured_ns = [self._measured_ns(self.number + index) for index in range(count)]
        for slot, way in enumerate(self.ways):
            own = [fault for fault in faults if fault.concerns(self.name, slot)]
            times_ns = [self._clocks[slot].read(each, own) for each in measured_ns]
            now = [fault for fault in own if fault.is_on(at_ns)]
            if any(fault.freeze == slot for fault in now):
                way.counts.frozen += 1
                continue
            data = self._maker(slot, self.number, times_ns)
            yield from self._outgoing(slot, way.carry(at_ns, self.number // count, data, now))
        self.number += count

    def rest(self, at_ns: int) -> Iterator[Outgoing]:
        """Yield what is still held back."""
        for slot, way in enumerate(self.ways):
            yield from self._outgoing(slot, way.rest(at_ns))

    def _outgoing(self, slot: int, deliveries: Iterator[Delivery] | list[Delivery]) -> Iterator[Outgoing]:
        return (Outgoing(each.at_ns, self.name, slot, each.data) for each in deliveries)

    def truth(self) -> Iterator[dict[str, object]]:
        """Yield for each sender what was really sent; messages are numbered from 0, each has `per_packet` contents."""
        for slot, way in enumerate(self.ways):
            numbers = {"sent": way.whole.text(), "twice": way.twice.text()}
            per_packet = self.settings.per_packet
            yield {"source": self.name, "slot": slot, "per_packet": per_packet, **numbers, **asdict(way.counts)}


class Simulation:
    """All sources of a plan.

    Args:
        sources: by name.
        faults: what goes wrong when; more can be added later.
        seed: the same gives the same values and faults.
        end_ns: when it ends, from the start; None: never.

    Attributes:
        sources: by name.
        faults: what goes wrong when.

    Raises:
        InvalidValue: a source does not fit its format or its layout.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceSettings],
        faults: Sequence[Fault] = (),
        seed: int = 0,
        end_ns: int | None = None,
    ) -> None:
        self.sources = {name: Source(name, settings, seed) for name, settings in sources.items()}
        self.faults = list(faults)
        self._end_ns = end_ns
        self._late: list[tuple[int, int, Outgoing]] = []
        self._order = itertools.count()

    def begin(self, start_ns: int) -> None:
        """Say that the simulation starts at *start_ns*, UTC; call it before `take`."""
        for source in self.sources.values():
            source.begin(start_ns)

    @property
    def next_ns(self) -> int | None:
        """When something is due next; None when all is over."""
        due = [source.next_ns for source in self.sources.values() if self._is_open(source)]
        due += [self._late[0][0]] if self._late else []
        return min(due, default=None)

    def _is_open(self, source: Source) -> bool:
        return self._end_ns is None or source.next_ns < self._end_ns

    def take(self, elapsed_ns: int) -> Iterator[Outgoing]:
        """Yield what is due by *elapsed_ns*, in the order of time."""
        while True:
            sources = [source for source in self.sources.values() if self._is_open(source)]
            source = min(sources, key=lambda each: each.next_ns, default=None)
            made_ns = None if source is None or source.next_ns > elapsed_ns else source.next_ns
            while self._late and self._late[0][0] <= (elapsed_ns if made_ns is None else made_ns):
                yield heapq.heappop(self._late)[2]
            if source is None or made_ns is None:
                return
            for message in source.messages(self.faults):
                if message.at_ns <= made_ns:
                    yield message
                else:
                    heapq.heappush(self._late, (message.at_ns, next(self._order), message))

    def rest(self, elapsed_ns: int) -> list[Outgoing]:
        """Return, at the end, what is on its way or held back."""
        late = [heapq.heappop(self._late)[2] for _ in range(len(self._late))]
        return late + [message for source in self.sources.values() for message in source.rest(elapsed_ns)]

    def truth(self) -> list[dict[str, object]]:
        """Return for each sender what was really sent."""
        return [row for source in self.sources.values() for row in source.truth()]
