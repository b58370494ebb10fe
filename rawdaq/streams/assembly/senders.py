"""The senders of an assembly: which are heard, whose clock is right, and how far most of them are."""

from bisect import bisect_left, insort
from collections import deque
from enum import Enum, auto
from typing import NamedTuple

from rawdaq.streams.assembly.values import Part, Rules
from rawdaq.times import NS_PER_S

_OFFSETS_NS = 60 * NS_PER_S  # for so long, and at most twice as long, the least delay of a sender is remembered
_NEVER = -(1 << 63)


class State(Enum):
    """What is known of a sender."""

    UNHEARD = auto()
    LIVE = auto()  # heard, and its last part is good
    OFF = auto()  # heard, and its last part has a wrong time
    ABSENT = auto()


class Aside(NamedTuple):
    """A part that was set aside, and when."""

    arrived_ns: int
    part: Part


class Sender:
    """One sender, and what became of its parts.

    Attributes:
        slot: its row.
        bit: the same as a mask.
        state: what is known of it.
        newest_ns: the largest time of its good parts in this epoch.
        heard_ns: when a part of it came.
        good_ns: when a good part of it came.
        aside: its parts with a wrong time, in order of arrival.
        parts: how many came.
        in_readouts: how many have left in readouts.
        copies: parts that were there already, byte for byte.
        conflicts: parts whose place was taken by another one.
        late: parts whose readout had left.
        astray: parts ahead of all others.
        missing: readouts without it.
    """

    __slots__ = (
        "_offset_ns",
        "_offsets_end_ns",
        "_old_offset_ns",
        "aside",
        "astray",
        "bit",
        "conflicts",
        "copies",
        "good_ns",
        "heard_ns",
        "in_readouts",
        "late",
        "missing",
        "newest_ns",
        "parts",
        "slot",
        "state",
    )

    def __init__(self, slot: int) -> None:
        self.slot, self.bit = slot, 1 << slot
        self.state = State.UNHEARD
        self.newest_ns: int | None = None
        self.heard_ns = self.good_ns = 0
        self.aside: deque[Aside] = deque()
        self.parts = self.in_readouts = self.copies = self.conflicts = self.late = self.astray = self.missing = 0
        self.forget()

    def forget(self) -> None:
        """Begin a new epoch."""
        self.state = State.UNHEARD
        self.newest_ns = None
        self._offset_ns = self._old_offset_ns = self._offsets_end_ns = _NEVER

    def continues(self, time_ns: int, now_ns: int, step_ns: int) -> bool:
        """Whether a part at *time_ns* goes on where the sender was."""
        newest_ns = self.newest_ns
        if newest_ns is None or time_ns < newest_ns - step_ns:
            return False
        if time_ns <= newest_ns + now_ns - self.good_ns + step_ns:
            return True
        # Parts that a network held back make the time since the last one short: the clock is the same all the same.
        return time_ns - now_ns <= max(self._offset_ns, self._old_offset_ns) + step_ns

    def note_good(self, time_ns: int, now_ns: int) -> None:
        """Remember when a good part came, and how little it was delayed."""
        self.heard_ns = self.good_ns = now_ns
        offset_ns = time_ns - now_ns
        if now_ns >= self._offsets_end_ns:
            self._old_offset_ns, self._offset_ns = self._offset_ns, offset_ns
            self._offsets_end_ns = now_ns + _OFFSETS_NS
        elif offset_ns > self._offset_ns:
            self._offset_ns = offset_ns


class Senders:
    """All senders of an assembly.

    Args:
        rules: of the assembly.

    Attributes:
        all: by slot.
        front_ns: the lower median of the newest times of the live ones; without any the last one that there was.
        awaited: a mask of the slots without which no readout is complete.
        everyone: a mask of the slots that have senders.
        off: those whose last part has a wrong time.
        check_ns: when `expire` has to be called.
    """

    def __init__(self, rules: Rules) -> None:
        self.all = [Sender(slot) for slot in range(rules.slots)]
        self.front_ns: int | None = None
        self.awaited = 0
        self.off: set[Sender] = set()
        self.check_ns: int | None = None
        self._rules = rules
        self.everyone = rules.everyone
        self._newest: list[int] = []  # of the live ones, sorted
        self._live = self._unheard = 0  # masks
        self._unheard_end_ns = self._front_at_ns = 0

    @property
    def live_count(self) -> int:
        """How many senders are live."""
        return len(self._newest)

    def forget(self) -> None:
        """Begin a new epoch: nobody has been heard."""
        for sender in self.all:
            sender.forget()
        self.front_ns = self.check_ns = None
        self.off.clear()
        self._newest.clear()
        self._live = self._unheard = self.awaited = 0

    def is_good(self, sender: Sender, time_ns: int, now_ns: int) -> bool:
        """Whether a part at *time_ns* has a right time: it continues its sender, or is where most senders are."""
        step_ns = self._rules.step_ns
        if sender.continues(time_ns, now_ns, step_ns):
            return True
        if self.front_ns is None:  # it is the first one of an epoch
            return True
        elapsed_ns = 0 if self._newest else now_ns - self._front_at_ns  # without live senders time goes on
        return abs(time_ns - self.front_ns - elapsed_ns) <= step_ns

    def take_good(self, sender: Sender, time_ns: int, now_ns: int) -> bool:
        """Note a good part; return whether the awaited slots changed."""
        newest_ns, newest = sender.newest_ns, self._newest
        if sender.state is State.LIVE and newest_ns is not None:
            has_changed = False
            if time_ns > newest_ns or time_ns < newest_ns - self._rules.step_ns:
                del newest[bisect_left(newest, newest_ns)]
                insort(newest, time_ns)
                sender.newest_ns = time_ns
        else:
            has_changed = self._enter(sender, time_ns, now_ns)
        sender.note_good(time_ns, now_ns)
        self.front_ns, self._front_at_ns = newest[(len(newest) - 1) >> 1], now_ns
        return has_changed

    def _enter(self, sender: Sender, time_ns: int, now_ns: int) -> bool:
        """Count a sender as live."""
        if not self._newest and not self.off:  # after the start, or after silence: the others may follow at once
            self._unheard, self._unheard_end_ns = self.everyone, now_ns + self._rules.absent_ns
        newest_ns = sender.newest_ns
        if newest_ns is None or not newest_ns - self._rules.step_ns <= time_ns <= newest_ns:
            sender.newest_ns = newest_ns = time_ns
        insort(self._newest, newest_ns)
        self.off.discard(sender)
        sender.state = State.LIVE
        self._live |= sender.bit
        self._check_by(now_ns + self._rules.absent_ns)
        return self._heard(sender)

    def take_off(self, sender: Sender, now_ns: int) -> bool:
        """Note a part with a wrong time; return whether the awaited slots changed."""
        sender.heard_ns = now_ns
        if sender.state is State.OFF:
            return False
        self._leave_live(sender)
        sender.state = State.OFF
        self.off.add(sender)
        self._check_by(now_ns + self._rules.absent_ns)
        return self._heard(sender)

    def _leave_live(self, sender: Sender) -> None:
        if sender.state is State.LIVE and sender.newest_ns is not None:
            del self._newest[bisect_left(self._newest, sender.newest_ns)]
            self._live &= ~sender.bit
            if self._newest:
                self.front_ns = self._newest[(len(self._newest) - 1) >> 1]

    def _heard(self, sender: Sender) -> bool:
        self._unheard &= ~sender.bit
        return self._await()

    def _await(self) -> bool:
        before, self.awaited = self.awaited, self._live | self._unheard
        return before != self.awaited

    def _check_by(self, time_ns: int) -> None:
        if self.check_ns is None or time_ns < self.check_ns:
            self.check_ns = time_ns

    def expire(self, now_ns: int) -> list[Sender]:
        """Return the senders that are absent by now; what was awaited of them is no longer."""
        absent_ns = self._rules.absent_ns
        gone: list[Sender] = []
        ends_ns: list[int] = []
        for sender in self.all:
            if sender.state in (State.LIVE, State.OFF):
                if now_ns - sender.heard_ns < absent_ns:
                    ends_ns.append(sender.heard_ns + absent_ns)
                    continue
                self._leave_live(sender)
                self.off.discard(sender)
                sender.state = State.ABSENT
                gone.append(sender)
        if self._unheard:
            if now_ns >= self._unheard_end_ns:
                self._unheard = 0
            else:
                ends_ns.append(self._unheard_end_ns)
        self.check_ns = min(ends_ns, default=None)
        self._await()
        return gone
