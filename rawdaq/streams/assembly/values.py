"""What goes into an assembly and what comes out of it: parts, readouts, and the rules between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rawdaq.times import NS_PER_S


class Part(NamedTuple):
    """What one sender measured at one instant: the row of its slot.

    Attributes:
        slot: the row, from 0.
        time_ns: the sender's own time, of any origin.
        at_ns: the instant that it belongs to, on the same clock; the same, unless a row is filled piece by piece.
        data: the row as its sender wrote it.
        received_ns: the computer's UTC when it came.
    """

    slot: int
    time_ns: int
    at_ns: int
    data: bytes
    received_ns: int = 0


class Reason(StrEnum):
    """Why a readout was finished."""

    COMPLETE = "complete"  # all slots are there
    ACTIVE = "active"  # all are there but those of senders that are absent or have a wrong clock
    TIMER = "timer"
    NEWER = "newer"
    FULL = "full"
    EPOCH = "epoch"
    STOP = "stop"


#: Those of which nothing is missing that was awaited.
WHOLE = frozenset({Reason.COMPLETE, Reason.ACTIVE})


@dataclass(frozen=True, slots=True)
class Rules:
    """How parts become readouts; the defaults are those of a station file.

    Attributes:
        slots: how many rows there are.
        unused: those of them that no sender has.
        window_ns: parts nearer than this to a group's first part belong to it.
        max_wait_ns: how long a group is kept for its last parts, once half of the senders have passed it.
        span_ns: in device time, how far half of the senders may have passed a group; None: without limit.
        absent_ns: a sender that is silent for so long is not awaited.
        max_open: how many groups may be unfinished.
        max_open_bytes: how large they may be; also what may be set aside.
        ordered: readouts leave in order of time.
        keeps_last: of parts that come twice the later one stays.
        publishes_late: late parts are readouts of their own.
        step_ns: what is a step of a clock.
        reset_parts: how many parts of most senders make a step the beginning of a new epoch.
    """

    slots: int
    window_ns: int = 100_000
    max_wait_ns: int = NS_PER_S
    span_ns: int | None = NS_PER_S
    absent_ns: int = 10 * NS_PER_S
    max_open: int = 4096
    max_open_bytes: int = 256_000_000
    ordered: bool = True
    keeps_last: bool = False
    publishes_late: bool = False
    step_ns: int = NS_PER_S
    reset_parts: int = 3
    unused: frozenset[int] = frozenset()

    @property
    def everyone(self) -> int:
        """A mask of the slots that senders have."""
        return sum(1 << slot for slot in range(self.slots) if slot not in self.unused)


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """What belongs to one instant.

    Attributes:
        number: one more than that of the readout before, over epochs too.
        epoch: how often the senders' clocks were reset before it.
        time_ns: the senders' time of its earliest part.
        received_ns: the computer's UTC when its first part came.
        slots: the slot of each row, ascending.
        rows: of each slot its data.
        reason: why it was finished.
        late: it is a part whose readout has left before.
    """

    number: int
    epoch: int
    time_ns: int
    received_ns: int
    slots: Sequence[int]
    rows: Sequence[bytes]
    reason: Reason
    late: bool = False


class Change(NamedTuple):
    """Something that an operator may want to read in the log.

    Attributes:
        slot: whose; None: of all.
        text: what happened.
    """

    slot: int | None
    text: str
