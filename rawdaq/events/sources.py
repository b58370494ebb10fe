"""What came from each sender: its events, what is missing of them, and what was refused."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rawdaq.protocols.events import EventFormat
from rawdaq.protocols.events.counters import Counter, Jump

#: Senders can be forged, so the table has an end; a sender costs a few kilobytes.
MAX_SOURCES = 1000
OTHERS = "others"


@dataclass(slots=True)
class Source:
    """One device.

    Attributes:
        format: reads its messages.
        events: how many it sent.
        malformed: messages that break the format.
        foreign: messages of another kind.
        counter: follows its counter; None: it has none, or nothing of it came yet.
    """

    format: EventFormat
    events: int = 0
    malformed: int = 0
    foreign: int = 0
    counters: dict[str, Counter] = field(default_factory=dict[str, Counter])

    def step(self, device: str, value: int) -> Jump:
        """Return how the counter of *device*, of those that share the sender's address, goes on with *value*."""
        counter = self.counters.get(device)
        if counter is None:
            if len(self.counters) >= MAX_SOURCES:
                return Jump()  # names without end come of a field that names no device
            counter = self.counters.setdefault(device, Counter(self.format.counter_bits))
        return counter.step(value)

    def status(self) -> dict[str, object]:
        """Return what `status` shows."""
        counters = self.counters.values()
        return {
            "events": self.events,
            "missed": sum(counter.missed for counter in counters),
            "backwards": sum(counter.backwards for counter in counters),
            "malformed": self.malformed,
            "foreign": self.foreign,
            **self.format.status(),
        }


class Sources:
    """The table of all senders.

    Args:
        make_format: makes the format of one more.
    """

    def __init__(self, make_format: Callable[[], EventFormat]) -> None:
        self._make_format = make_format
        self._by_name: dict[str, Source] = {}

    def of(self, sender: str) -> Source:
        """Return the source called *sender*; beyond `MAX_SOURCES` of them all are one."""
        source = self._by_name.get(sender)
        if source is None:
            name = sender if len(self._by_name) < MAX_SOURCES else OTHERS
            source = self._by_name.get(name) or self._by_name.setdefault(name, Source(self._make_format()))
        return source

    def missed(self) -> int:
        """Return how many events are missing in all."""
        return sum(counter.missed for each in self._by_name.values() for counter in each.counters.values())

    def status(self) -> dict[str, dict[str, object]]:
        """Return what `status` shows of each."""
        return {name: source.status() for name, source in self._by_name.items()}
