"""What the dashboard shows at a time, and which of it in which order; it asks nothing and reads no clock."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeVar

from rawdaq.control.health.problem import NEEDS_A_PERSON, Row
from rawdaq.protocols.command import JsonValue


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a component; what is not known is None.

    Attributes:
        name: ``NET.STA.LOC.CHA``.
        component: the title of its component; empty where only its packets are known.
        rate_hz: samples per second.
        latency_s: from the time of the newest sample to its arrival.
        age_s: how old the newest sample is.
        silent_s: for how long nothing has come though it should.
        gaps: so far.
        number: how bad it is, as `rawdaq.control.health` counts.
        reason: what is wrong; empty when nothing is.
        note: why there can be no trace; empty where there can be one.
    """

    name: str
    component: str = ""
    rate_hz: float | None = None
    latency_s: float | None = None
    age_s: float | None = None
    silent_s: float | None = None
    gaps: int | None = None
    number: int = 0
    reason: str = ""
    note: str = ""

    @property
    def state(self) -> str:
        """What it does, in one word."""
        return "silent" if self.silent_s is not None else "running"

    @property
    def needs_a_person(self) -> bool:
        """Whether something is wrong that lasts."""
        return self.number >= NEEDS_A_PERSON


@dataclass(frozen=True, slots=True)
class Component:
    """A component; what is not known is None.

    Attributes:
        key: what makes it the same one.
        name: what people call it.
        state: ``running``, ``paused``, ``failed``, ``offline`` and so on; ``unknown`` when it says nothing.
        host: the machine; empty: this one.
        pid: its process.
        since_ns: since when it is in this state.
        uptime_s: since its start.
        has_data: whether anything came lately.
        items: packets and messages so far.
        items_per_s: lately.
        samples: so far.
        samples_per_s: lately.
        latency_s: the largest of all streams that are not silent.
        gaps: of all streams, so far.
        dropped: by all publishers, so far.
        waiting: in all queues.
        waiting_bytes: the size of that.
        cpu_s: of its process so far.
        cpu_percent: of one core, lately.
        memory_bytes: of its process.
        number: how bad it is, as `rawdaq.control.health` counts.
        reasons: what is wrong, the worst first.
        last_error: what was wrong last, when nothing is now.
        last_error_seen_ns: when that was seen last.
        restarted_ns: when it was seen in another process than before.
        streams: its streams.
        said: its status or report as it is.
    """

    key: str
    name: str
    state: str
    host: str = ""
    pid: int | None = None
    since_ns: int | None = None
    uptime_s: float | None = None
    has_data: bool | None = None
    items: int | None = None
    items_per_s: float | None = None
    samples: int | None = None
    samples_per_s: float | None = None
    latency_s: float | None = None
    gaps: int | None = None
    dropped: int | None = None
    waiting: int | None = None
    waiting_bytes: int | None = None
    cpu_s: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    number: int = 0
    reasons: tuple[str, ...] = ()
    last_error: str = ""
    last_error_seen_ns: int | None = None
    restarted_ns: int | None = None
    streams: tuple[Stream, ...] = ()
    said: Row = field(default_factory=dict[str, JsonValue], compare=False, repr=False)

    @property
    def needs_a_person(self) -> bool:
        """Whether something is wrong that lasts."""
        return self.number >= NEEDS_A_PERSON

    @property
    def reason(self) -> str:
        """The worst of what is wrong; empty when nothing is."""
        return self.reasons[0] if self.reasons else ""


Item = TypeVar("Item", Component, Stream)


@dataclass(frozen=True, slots=True)
class Board:
    """All that is shown at a time.

    Attributes:
        now_ns: when.
        components: all of them.
        streams: those of no component, of which only packets are known.
        notes: what a reader must know beside all that, such as mistakes in station files.
    """

    now_ns: int = 0
    components: tuple[Component, ...] = ()
    streams: tuple[Stream, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all_streams(self) -> list[Stream]:
        """The streams of all components, and those of none."""
        return [stream for component in self.components for stream in component.streams] + list(self.streams)

    def component(self, key: str | None) -> Component | None:
        """Return the component *key*; None: it is not there any more."""
        return next((each for each in self.components if each.key == key), None)


class Order(StrEnum):
    """In which order lines are; `worst` and `name` begin with the worst and with a, all others with the most."""

    WORST = "worst"
    NAME = "name"
    RATE = "rate"
    LATENCY = "latency"
    GAPS = "gaps"
    DROPS = "drops"
    QUEUE = "queue"

    @property
    def next(self) -> "Order":
        """The one after it; after the last the first."""
        every = list(Order)
        return every[(every.index(self) + 1) % len(every)]


_OF_COMPONENTS: dict[Order, Callable[[Component], float | None]] = {
    Order.WORST: lambda each: each.number,
    Order.RATE: lambda each: each.items_per_s,
    Order.LATENCY: lambda each: each.latency_s,
    Order.GAPS: lambda each: each.gaps,
    Order.DROPS: lambda each: each.dropped,
    Order.QUEUE: lambda each: each.waiting,
}
_OF_STREAMS: dict[Order, Callable[[Stream], float | None]] = {
    Order.WORST: lambda each: each.number,
    Order.RATE: lambda each: each.rate_hz,
    Order.LATENCY: lambda each: each.latency_s,
    Order.GAPS: lambda each: each.gaps,
}


def sorted_components(components: Iterable[Component], order: Order, *, is_reversed: bool = False) -> list[Component]:
    """Return *components* in *order*; those that are equal by name, those of which it is not known last."""
    return _sorted(components, _OF_COMPONENTS.get(order), is_reversed=is_reversed)


def sorted_streams(streams: Iterable[Stream], order: Order, *, is_reversed: bool = False) -> list[Stream]:
    """Return *streams* in *order*; what streams do not have, such as drops, is an order by name."""
    return _sorted(streams, _OF_STREAMS.get(order), is_reversed=is_reversed)


def _sorted(items: Iterable[Item], value: Callable[[Item], float | None] | None, *, is_reversed: bool) -> list[Item]:
    by_name = sorted(items, key=lambda each: each.name, reverse=is_reversed and value is None)
    if value is None:
        return by_name
    known = [(found, each) for each in by_name if (found := value(each)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=not is_reversed)
    return [each for _, each in known] + [each for each in by_name if value(each) is None]


def selected(items: Sequence[Item], words: str) -> list[Item]:
    """Return those of *items* in whose name, state or reason all *words* are; a pattern must fit the whole name.

    >>> [each.name for each in selected([Stream("XX.A..HHZ"), Stream("XX.B..HHZ")], "xx.b*")]
    ['XX.B..HHZ']
    """
    wanted = words.lower().split()
    return [each for each in items if all(_has(each, word) for word in wanted)] if wanted else list(items)


def _has(item: Component | Stream, word: str) -> bool:
    name = item.name.lower()
    if any(mark in word for mark in "*?["):
        return fnmatchcase(name, word)
    more = item.reasons if isinstance(item, Component) else (item.reason, item.component)
    return word in " ".join((name, item.state, *more)).lower()
