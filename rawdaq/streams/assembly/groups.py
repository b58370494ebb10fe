"""Groups of parts that belong together, until they leave as readouts."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto

from rawdaq.streams.assembly.values import Part, Reason, Rules


class Placed(Enum):
    """What a group did with a part."""

    ADDED = auto()
    COPY = auto()
    CONFLICT = auto()


class Group:
    """Parts that belong to one instant.

    Args:
        at_ns: the instant, that of its first part.
        opened_ns: when that came.
        received_ns: the same in UTC.

    Attributes:
        mask: the slots that are whole.
        is_reached: half of the senders have passed it.
        since_ns: since when that is so, or not so.
        reason: why it is finished; None: it is not.
        has_left: it is a readout now.
        size_bytes: of its parts.
    """

    __slots__ = (
        "at_ns",
        "has_left",
        "is_reached",
        "mask",
        "opened_ns",
        "parts",
        "reason",
        "received_ns",
        "since_ns",
        "size_bytes",
        "time_ns",
    )

    def __init__(self, at_ns: int, opened_ns: int, received_ns: int) -> None:
        self.at_ns = self.time_ns = at_ns
        self.opened_ns = self.since_ns = opened_ns
        self.received_ns = received_ns
        self.mask = self.size_bytes = 0
        self.is_reached = self.has_left = False
        self.reason: Reason | None = None
        self.parts: dict[int, Part] = {}

    def put(self, part: Part, bit: int, rules: Rules) -> Placed:
        """Take a part, or say why there is no place for it; with `Rules.keeps_last` it may replace another one."""
        if self.mask & bit:
            there = self.parts[part.slot]
            if there.at_ns == part.at_ns and there.data == part.data:
                return Placed.COPY
            if rules.keeps_last:
                self.size_bytes += len(part.data) - len(there.data)
                self.parts[part.slot] = part
                self.time_ns = min(each.at_ns for each in self.parts.values())
            return Placed.CONFLICT
        self.mask |= bit
        self.parts[part.slot] = part
        self.size_bytes += len(part.data)
        if part.at_ns < self.time_ns:
            self.time_ns = part.at_ns
        return Placed.ADDED

    def counts(self) -> Iterator[tuple[int, int]]:
        """Yield each slot and how many parts of it are here."""
        return ((slot, 1) for slot in self.parts)

    def rows(self) -> tuple[list[int], list[bytes]]:
        """Return the slots, ascending, and their data."""
        slots = sorted(self.parts)
        return slots, [self.parts[slot].data for slot in slots]


class Groups:
    """The groups that have not left, in order of time.

    Args:
        rules: of the assembly.
        make: makes a group; another one than `Group` may fill its rows piece by piece.

    Attributes:
        in_order: the groups.
        size_bytes: of their parts.
    """

    def __init__(self, rules: Rules, make: Callable[[int, int, int], Group] = Group) -> None:
        self.in_order: list[Group] = []
        self.size_bytes = 0
        self._rules, self._make = rules, make
        self._times: list[int] = []
        self._reached = 0  # so many, from the first on, are behind the front
        self._reach_ns: int | None = None
        self._timers: deque[tuple[int, Group]] = deque()  # those that are reached, and since when
        self._unreached: deque[tuple[int, Group]] = deque()  # those that are not, and since when

    def nearest(self, at_ns: int) -> Group | None:
        """Return the group that is nearest to an instant, within the window; of equal ones the earlier."""
        times, best, nearest_ns = self._times, None, self._rules.window_ns
        index = bisect_left(times, at_ns)
        if index and at_ns - times[index - 1] < nearest_ns:
            best, nearest_ns = self.in_order[index - 1], at_ns - times[index - 1]
        if index < len(times) and times[index] - at_ns < nearest_ns:
            best = self.in_order[index]
        return best

    def open(self, part: Part, now_ns: int) -> Group:
        """Return a new group at the place of *part*, which is not in it yet."""
        group = self._make(part.at_ns, now_ns, part.received_ns)
        index = bisect_left(self._times, part.at_ns)
        self._times.insert(index, part.at_ns)
        self.in_order.insert(index, group)
        is_reached = self._reach_ns is not None and part.at_ns < self._reach_ns
        self._reached += is_reached
        self._note(group, now_ns, is_reached=is_reached)
        return group

    def _note(self, group: Group, now_ns: int, *, is_reached: bool) -> None:
        group.is_reached, group.since_ns = is_reached, now_ns
        (self._timers if is_reached else self._unreached).append((now_ns, group))

    def reach(self, front_ns: int, now_ns: int) -> None:
        """Note which groups half of the senders have passed."""
        reach_ns = front_ns + self._rules.window_ns
        if reach_ns == self._reach_ns:
            return
        self._reach_ns, before = reach_ns, self._reached
        self._reached = bisect_left(self._times, reach_ns)
        for group in self.in_order[before : self._reached]:
            self._note(group, now_ns, is_reached=True)
        for group in self.in_order[self._reached : before]:  # the front went back
            self._note(group, now_ns, is_reached=False)

    def finish_older(self, than_ns: int) -> None:
        """Finish the groups before an instant, because of newer data."""
        if self._times and self._times[0] < than_ns:
            for group in self.in_order[: bisect_left(self._times, than_ns)]:
                group.reason = group.reason or Reason.NEWER

    def finish_whole(self, awaited: int, everyone: int) -> None:
        """Finish the groups of which all awaited slots are there."""
        for group in self.in_order:
            if group.reason is None and not awaited & ~group.mask:
                group.reason = Reason.COMPLETE if group.mask == everyone else Reason.ACTIVE

    def finish_all(self, reason: Reason) -> None:
        """Finish all groups."""
        for group in self.in_order:
            group.reason = group.reason or reason

    def finish_expired(self, now_ns: int) -> None:
        """Finish the groups that have waited long enough for their last parts."""
        for group in _due(self._timers, now_ns - self._rules.max_wait_ns, is_reached=True):
            group.reason = Reason.TIMER

    def astray(self, now_ns: int) -> list[Group]:
        """Return the groups that are ahead of all others, and have them no longer.

        They have some time more than a sender has before it is absent: senders that died just when a group was
        opened hold the front back until then.
        """
        found = _due(self._unreached, now_ns - self._rules.absent_ns - self._rules.max_wait_ns, is_reached=False)
        for group in found:
            self._remove(group)
        return found

    @property
    def due_ns(self) -> int | None:
        """When `finish_expired` or `astray` have something to do; None: not at all."""
        rules = self._rules
        waits = (self._timers, True, rules.max_wait_ns), (self._unreached, False, rules.absent_ns + rules.max_wait_ns)
        firsts = ((_first(waiting, is_reached=is_reached), wait_ns) for waiting, is_reached, wait_ns in waits)
        return min((since_ns + wait_ns for since_ns, wait_ns in firsts if since_ns is not None), default=None)

    def leave(self) -> list[Group]:
        """Return the finished groups that can leave, and have them no longer."""
        groups = self.in_order
        if not self._rules.ordered:
            leaving = [group for group in groups if group.reason is not None]
            for group in leaving:
                self._remove(group)
            return leaving
        count = 0
        while count < len(groups) and groups[count].reason is not None:
            count += 1
        leaving = groups[:count]
        del groups[:count], self._times[:count]
        self._reached = max(0, self._reached - count)
        for group in leaving:
            group.has_left = True
            self.size_bytes -= group.size_bytes
        return leaving

    def _remove(self, group: Group) -> None:
        index = bisect_left(self._times, group.at_ns)
        del self.in_order[index], self._times[index]
        self._reached -= index < self._reached
        group.has_left = True
        self.size_bytes -= group.size_bytes

    def forget(self) -> None:
        """Begin a new epoch; all groups have left before."""
        self._reach_ns, self._reached = None, 0
        self._timers.clear()
        self._unreached.clear()


def _first(waiting: deque[tuple[int, Group]], *, is_reached: bool) -> int | None:
    """Return since when the first of *waiting* waits; entries that are out of date are removed."""
    while waiting:
        since_ns, group = waiting[0]
        is_open = group.reason is None and not group.has_left
        if is_open and group.is_reached is is_reached and group.since_ns == since_ns:
            return since_ns
        waiting.popleft()
    return None


def _due(waiting: deque[tuple[int, Group]], until_ns: int, *, is_reached: bool) -> list[Group]:
    """Return those of *waiting* that have waited since *until_ns* or longer; they are removed."""
    found: list[Group] = []
    while (since_ns := _first(waiting, is_reached=is_reached)) is not None and since_ns <= until_ns:
        found.append(waiting.popleft()[1])
    return found
