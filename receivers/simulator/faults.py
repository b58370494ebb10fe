"""What goes wrong on the way of a simulated message: lost, doubled, late, out of order, cut; clocks that step or drift.

Decisions come from a generator of each sender's own, so that one seed always gives the same faults, whatever the pace.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import Field

from rawdaq.config.options import Settings
from rawdaq.times import NS_PER_S

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=-1e9, le=1e9)]

_GARBAGE_BYTES = 64
_PPM = 1_000_000
_MAX_RANGES = 100_000


class Fault(Settings):
    """What goes wrong from some moment on.

    Attributes:
        at_s: when it begins, from the start of the simulation.
        for_s: how long it lasts; without it, to the end. Steps and resets of clocks last.
        source: the source that has it; without it all have.
        slot: the sender that has it, from 0; without it all have.
        loss: how likely a message is lost.
        duplicate: how likely it is sent twice.
        reorder: how likely it is sent behind those that follow it.
        depth: how many of these.
        delay_s: how much later it is sent.
        jitter_s: up to how much later still, at random.
        short: how likely its end is missing.
        garbage: how likely random bytes follow it.
        burst: so many messages are held back, then sent at once.
        freeze: this slot sends nothing, and goes on with the number that it would have then.
        clock_step_s: the clock is set forward, or back, once.
        clock_reset: the clock is set to 0, once.
        drift_ppm: the clock gains so much.
    """

    at_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    for_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    source: str | None = None
    slot: Annotated[int, Field(ge=0)] | None = None
    loss: Probability = 0.0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    depth: Annotated[int, Field(ge=1, le=1000)] = 2
    delay_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    jitter_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    short: Probability = 0.0
    garbage: Probability = 0.0
    burst: Annotated[int, Field(ge=0, le=10_000)] = 0
    freeze: Annotated[int, Field(ge=0)] | None = None
    clock_step_s: Seconds = 0.0
    clock_reset: bool = False
    drift_ppm: Annotated[float, Field(ge=-_PPM, le=_PPM)] = 0.0

    def concerns(self, source: str, slot: int) -> bool:
        """Whether the sender *slot* of *source* has it."""
        return self.source in (None, source) and self.slot in (None, slot)

    @property
    def begin_ns(self) -> int:
        """When it begins."""
        return round(self.at_s * NS_PER_S)

    def is_on(self, elapsed_ns: int) -> bool:
        """Whether it is on so long after the start."""
        lasts_ns = elapsed_ns - self.begin_ns
        return lasts_ns >= 0 and (self.for_s is None or lasts_ns < self.for_s * NS_PER_S)


class Delivery(NamedTuple):
    """What leaves a sender.

    Attributes:
        at_ns: when, from the start of the simulation.
        data: the bytes.
    """

    at_ns: int
    data: bytes


@dataclass
class Counts:
    """What became of the messages of one sender.

    Attributes:
        made: all of them.
        lost: were not sent.
        duplicated: were sent twice.
        reordered: were sent behind later ones.
        cut: were sent without their end.
        garbage: how many messages of random bytes were sent besides.
        frozen: were not made, because the device was frozen.
        unsent: could not be sent, because the network refused or nobody was there.
    """

    made: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    cut: int = 0
    garbage: int = 0
    frozen: int = 0
    unsent: int = 0


class Clock:
    """The clock of one device.

    Args:
        origin_ns: its time at the start of the simulation.
    """

    def __init__(self, origin_ns: int = 0) -> None:
        self._base_ns = origin_ns
        self._since_ns = 0
        self._drift_ppm = 0.0
        self._done: set[int] = set()

    def read(self, elapsed_ns: int, faults: Iterable[Fault]) -> int:
        """Return its time *elapsed_ns* after the start; *faults* are those that it may have had by then."""
        drift_ppm = 0.0
        for fault in faults:
            if fault.begin_ns > elapsed_ns:
                continue
            if id(fault) not in self._done and (fault.clock_step_s or fault.clock_reset):
                self._done.add(id(fault))
                self._set(fault)
            if fault.is_on(elapsed_ns):
                drift_ppm += fault.drift_ppm
        if drift_ppm != self._drift_ppm:
            self._base_ns, self._since_ns, self._drift_ppm = self._at(elapsed_ns), elapsed_ns, drift_ppm
        return self._at(elapsed_ns)

    def _at(self, elapsed_ns: int) -> int:
        lasted_ns = elapsed_ns - self._since_ns
        return self._base_ns + lasted_ns + round(lasted_ns * self._drift_ppm / _PPM)

    def _set(self, fault: Fault) -> None:
        if fault.clock_reset:
            self._base_ns, self._since_ns = 0, fault.begin_ns
        self._base_ns += round(fault.clock_step_s * NS_PER_S)


class Numbers:
    """Whole numbers as ranges.

    >>> numbers = Numbers()
    >>> for each in (0, 1, 2, 5, 6, 3):
    ...     numbers.add(each)
    >>> numbers.text()
    '0-2,5-6,3'
    """

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []
        self._is_cut = False

    def add(self, number: int) -> None:
        """Add one; of very many ranges only the first are kept."""
        if self._ranges and number == self._ranges[-1][1] + 1:
            self._ranges[-1][1] = number
        elif len(self._ranges) < _MAX_RANGES:
            self._ranges.append([number, number])
        else:
            self._is_cut = True

    def text(self) -> str:
        """Return them in the order in which they came; what follows each other as one range."""
        words = [f"{first}-{last}" if last > first else f"{first}" for first, last in self._ranges]
        return ",".join(words + ["..."] * self._is_cut)


class Way:
    """The way of one sender's messages to their receiver.

    Args:
        seed: the same gives the same faults.

    Attributes:
        counts: what became of the messages.
        whole: the numbers of those that were sent whole, once or more often.
        twice: the numbers of those that were sent twice.
    """

    def __init__(self, seed: str) -> None:
        self.counts = Counts()
        self.whole = Numbers()
        self.twice = Numbers()
        self._random = random.Random(seed)
        self._behind: deque[tuple[int, bytes]] = deque()  # how many messages go first
        self._held: list[bytes] = []

    def carry(self, at_ns: int, number: int, data: bytes, faults: Iterable[Fault]) -> Iterator[Delivery]:
        """Yield what leaves because *data*, which is *number*, was to be sent *at_ns*, under *faults* that are on."""
        chance, counts, late_ns, depth, burst = self._random.random, self.counts, 0, 0, 0
        counts.made += 1
        copies, trash, is_whole = 1, b"", True
        for fault in faults:
            if chance() < fault.loss:
                copies = 0
            if chance() < fault.duplicate:
                copies = 2 if copies else 0
            if chance() < fault.reorder:
                depth = fault.depth
            if chance() < fault.short and data:
                data = data[: self._random.randrange(len(data))]
                counts.cut, is_whole = counts.cut + is_whole, False
            if chance() < fault.garbage:
                trash = self._random.randbytes(_GARBAGE_BYTES)
            late_ns += round((fault.delay_s + chance() * fault.jitter_s) * NS_PER_S)
            burst = max(burst, fault.burst)
        counts.lost += not copies
        if copies > 1:
            counts.duplicated += 1
            self.twice.add(number)
        if copies and is_whole:
            self.whole.add(number)
        counts.garbage += bool(trash)
        leaving = list(self._in_order([data] * copies, depth)) + ([trash] if trash else [])
        yield from (Delivery(at_ns + late_ns, each) for each in self._in_bursts(leaving, burst))

    def _in_order(self, copies: list[bytes], depth: int) -> Iterator[bytes]:
        """Yield *copies*, or keep them until *depth* later messages went by, and yield those whose time has come."""
        if depth and copies:
            self.counts.reordered += 1
        else:
            yield from copies
        waiting = [(count - 1, data) for count, data in self._behind]
        self._behind = deque(each for each in waiting if each[0] > 0)
        yield from (data for count, data in waiting if count <= 0)
        if depth:
            self._behind += ((depth, data) for data in copies)

    def _in_bursts(self, leaving: list[bytes], burst: int) -> list[bytes]:
        self._held += leaving
        if len(self._held) < burst:
            return []
        leaving, self._held = self._held, []
        return leaving

    def rest(self, at_ns: int) -> list[Delivery]:
        """Return what is still held back: it leaves at the end."""
        left = [data for _, data in self._behind] + self._held
        self._behind.clear()
        self._held = []
        return [Delivery(at_ns, data) for data in left]
