"""A network in made-up time: senders that measure at the same instants, and what happens to their packets."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rawdaq.streams.assembly.assembly import Assembly
from rawdaq.streams.assembly.values import Part, Readout, Rules
from rawdaq.times import NS_PER_S

MS = 1_000_000
START_NS = 5_000 * NS_PER_S  # of the senders' clocks; ours begin at 0

#: From slot and instant: when it arrives and which time the sender says, or None for a lost one.
Fate = Callable[[int, int], tuple[int, int] | None]


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        assembly: after `flush`.
        sent: number of parts by slot.
        left_ns: readouts with the time at which they left.
        texts: what was logged, with slots.
    """

    assembly: Assembly
    sent: dict[int, int] = field(default_factory=dict[int, int])
    left_ns: list[tuple[int, Readout]] = field(default_factory=list[tuple[int, Readout]])
    texts: list[tuple[int | None, str]] = field(default_factory=list[tuple[int | None, str]])

    @property
    def readouts(self) -> list[Readout]:
        return [readout for _, readout in self.left_ns]

    def full(self) -> list[Readout]:
        return [readout for readout in self.readouts if len(readout.slots) == self.assembly.rules.slots]

    def reasons(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.assembly.by_reason.items()}


def payload(slot: int, instant: int) -> bytes:
    """Return data that say where they belong."""
    return b"%d of %d" % (instant, slot)


def instant_of(row: bytes) -> int:
    return int(row.split()[0])


def normal(slot: int, sent_ns: int) -> tuple[int, int]:
    """Return when a part arrives and its time: no fault."""
    return sent_ns + slot * 20_000, START_NS + sent_ns


def run(
    rules: Rules,
    instants: Iterable[int],
    interval_ns: int,
    fate: Fate = normal,
    after_ns: int = 0,
    *,
    stop: bool = True,
) -> Outcome:
    """Let all senders of *rules* measure, and return what comes of it.

    Args:
        rules: of the assembly.
        instants: their numbers.
        interval_ns: between two.
        fate: of each part.
        after_ns: how long to wait after the last one before the stop.
        stop: flush at the end.
    """
    outcome = Outcome(Assembly(rules))
    events: list[tuple[int, int, Part]] = []
    last = 0
    for last in instants:
        for slot in range(rules.slots):
            if (said := fate(slot, last * interval_ns)) is None:
                continue
            arrival_ns, time_ns = said
            part = Part(slot, time_ns, time_ns, payload(slot, last), arrival_ns)
            outcome.sent[slot] = outcome.sent.get(slot, 0) + 1
            heapq.heappush(events, (arrival_ns, len(events), part))
    play(outcome, events)
    if after_ns:
        _wait(outcome, after_ns + (last + 1) * interval_ns)
    if stop:
        for readout in outcome.assembly.flush():
            outcome.left_ns.append((-1, readout))
    check_identity(outcome.assembly)
    outcome.texts += outcome.assembly.changes()
    return outcome


def play(outcome: Outcome, events: list[tuple[int, int, Part]]) -> None:
    """Give the assembly what arrives, in order, and its turns between."""
    while events:
        arrival_ns, _, part = heapq.heappop(events)
        _wait(outcome, arrival_ns)
        outcome.left_ns += [(arrival_ns, readout) for readout in outcome.assembly.add(part, arrival_ns)]
        outcome.texts += outcome.assembly.changes()


def _wait(outcome: Outcome, until_ns: int) -> None:
    assembly = outcome.assembly
    turns = 0
    while (due_ns := assembly.due_ns) is not None and due_ns <= until_ns:
        outcome.left_ns += [(due_ns, readout) for readout in assembly.due(due_ns)]
        turns += 1
        assert turns < 10_000, "due comes back for nothing"
        outcome.texts += assembly.changes()


def check_identity(assembly: Assembly) -> None:
    """Every part is in exactly one place."""
    totals = assembly.totals()
    parts = totals.pop("parts")
    assert parts == sum(totals.values()), (parts, totals)
