"""Puts together what many senders measured at one instant, although packets get lost, doubled, late, and clocks jump.

The rules know no clock and no socket: a caller hands over parts with the time of their arrival.

>>> assembly = Assembly(Rules(slots=2))
>>> assembly.add(Part(0, 1000, 1000, b"a"), now_ns=0)
[]
>>> (readout,) = assembly.add(Part(1, 1007, 1007, b"b"), now_ns=1)
>>> readout.number, readout.time_ns, readout.rows, readout.reason.value
(1, 1000, [b'a', b'b'], 'complete')
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from rawdaq.streams.assembly.groups import Group, Groups, Placed
from rawdaq.streams.assembly.resets import Resets
from rawdaq.streams.assembly.senders import Sender, Senders, State
from rawdaq.streams.assembly.values import Change, Part, Readout, Reason, Rules
from rawdaq.times import NS_PER_S, duration_text

_WAITS = 2000  # readouts whose waiting time is remembered
_MAX_CHANGES = 1000  # that nobody has asked for yet


class Assembly:
    """Makes readouts of parts.

    At every moment each part that came is in exactly one place: ``parts`` is the sum of ``in_readouts``, ``copies``,
    ``conflicts``, ``late``, ``astray``, ``set_aside`` and ``open`` (see `totals`).

    Args:
        rules: how parts become readouts.
        make_group: makes a group; another one than `Group` may fill its rows piece by piece.

    Attributes:
        senders: by slot, with their counters.
        used: the slots that have senders.
        epoch: how often the clocks were reset.
        next_number: that of the next readout.
        readouts: how many have left.
        late_readouts: how many of these are parts that came late.
        by_reason: how many of the others were finished for which reason.
        waits_ns: how long the last readouts waited, from their first part on.
    """

    def __init__(self, rules: Rules, make_group: Callable[[int, int, int], Group] = Group) -> None:
        self.rules = rules
        self.epoch, self.next_number = 0, 1
        self.readouts = self.late_readouts = 0
        self.by_reason: Counter[Reason] = Counter()
        self.waits_ns: deque[int] = deque(maxlen=_WAITS)
        self._clocks = Senders(rules)
        self.senders = self._clocks.all
        self._groups = Groups(rules, make_group)
        self._resets = Resets(rules)
        self._everyone = rules.everyone
        self.used = set(range(rules.slots)) - rules.unused
        self._left_ns: int | None = None
        self._now_ns = 0
        self._changes: deque[Change] = deque(maxlen=_MAX_CHANGES)

    # ------------------------------------------------------------------ what callers use

    def add(self, part: Part, now_ns: int) -> list[Readout]:
        """Take a part; return the readouts that leave because of it.

        Args:
            part: its slot must be one of `Rules.slots`.
            now_ns: when it came, by a clock that only runs forward.
        """
        self._now_ns = now_ns
        sender = self.senders[part.slot]
        sender.parts += 1
        if self._clocks.is_good(sender, part.time_ns, now_ns):
            return self._take(sender, part, now_ns)
        return self._set_aside(sender, part, now_ns)

    def use(self, slot: int) -> None:
        """Await a slot that was unused: it has a sender now."""
        self.used.add(slot)
        self._everyone |= 1 << slot
        self._clocks.everyone |= 1 << slot

    def due(self, now_ns: int) -> list[Readout]:
        """Return the readouts that leave because time has passed; call it at `due_ns`."""
        self._now_ns = now_ns
        clocks, groups = self._clocks, self._groups
        if clocks.check_ns is not None and now_ns >= clocks.check_ns:
            self._expire(now_ns)
        groups.finish_expired(now_ns)
        for group in groups.astray(now_ns):
            for slot, count in group.counts():
                self.senders[slot].astray += count
        self._count_astray(self._resets.expired(now_ns, clocks.off))
        return self._leave()

    @property
    def due_ns(self) -> int | None:
        """When `due` has something to do, if no part comes before; None: not at all."""
        times = (self._clocks.check_ns, self._groups.due_ns, self._resets.due_ns)
        return min((each for each in times if each is not None), default=None)

    def flush(self) -> list[Readout]:
        """Return all readouts that are not finished; what is set aside is counted."""
        self._groups.finish_all(Reason.STOP)
        self._count_astray(self._resets.clear(self.senders))
        return self._leave()

    def changes(self) -> list[Change]:
        """Return what happened since the last call."""
        found = list(self._changes)
        self._changes.clear()
        return found

    @property
    def open_groups(self) -> int:
        """How many readouts are not finished, or wait for earlier ones."""
        return len(self._groups.in_order)

    def totals(self) -> dict[str, int]:
        """Return what became of the parts."""
        senders = self.senders
        names = ("parts", "in_readouts", "copies", "conflicts", "late", "astray")
        found = {name: sum(getattr(sender, name) for sender in senders) for name in names}
        opened = sum(count for group in self._groups.in_order for _, count in group.counts())
        return found | {"set_aside": self._resets.count, "open": opened}

    # ------------------------------------------------------------------ good parts

    def _take(self, sender: Sender, part: Part, now_ns: int) -> list[Readout]:
        """Take a part with a right time."""
        if sender.state is not State.LIVE:
            self._note_good(sender, now_ns)
        has_changed = self._clocks.take_good(sender, part.time_ns, now_ns)
        groups, at_ns = self._groups, part.at_ns
        group = groups.nearest(at_ns)
        late: list[Readout] = []
        if group is not None:
            self._join(group, sender, part)
        elif self._left_ns is not None and at_ns < self._left_ns + self.rules.window_ns:
            late = self._take_late(sender, part)
        else:
            group = groups.open(part, now_ns)
            self._join(group, sender, part)
        front_ns, span_ns = self._clocks.front_ns, self.rules.span_ns
        if front_ns is not None:
            groups.reach(front_ns, now_ns)
            if span_ns is not None:
                groups.finish_older(front_ns - span_ns)
        if has_changed:
            groups.finish_whole(self._clocks.awaited, self._everyone)
        self._bound()
        return late + self._leave() if late else self._leave()

    def _note_good(self, sender: Sender, now_ns: int) -> None:
        self._resets.look_again(sender, now_ns)
        if sender.state is State.OFF:
            self._changes.append(Change(sender.slot, "its time is right again"))
        elif sender.state is State.ABSENT:
            self._changes.append(Change(sender.slot, "is there again"))

    def _join(self, group: Group, sender: Sender, part: Part) -> None:
        before = group.size_bytes
        placed = group.put(part, sender.bit, self.rules)
        self._groups.size_bytes += group.size_bytes - before
        if placed is Placed.ADDED:
            if not self._clocks.awaited & ~group.mask:
                group.reason = Reason.COMPLETE if group.mask == self._everyone else Reason.ACTIVE
        elif placed is Placed.COPY:
            sender.copies += 1
        else:
            sender.conflicts += 1

    def _take_late(self, sender: Sender, part: Part) -> list[Readout]:
        """Count a part whose readout has left, or return it as a readout of its own."""
        if not self.rules.publishes_late:
            sender.late += 1
            return []
        sender.in_readouts += 1
        self.late_readouts += 1
        return [self._numbered(part.at_ns, part.received_ns, [part.slot], [part.data], Reason.NEWER, late=True)]

    def _bound(self) -> None:
        """Finish the oldest groups while there are too many."""
        groups, rules = self._groups, self.rules
        if len(groups.in_order) <= rules.max_open and groups.size_bytes <= rules.max_open_bytes:
            return
        left_bytes, count = groups.size_bytes, len(groups.in_order)
        for group in groups.in_order:
            if count <= rules.max_open and left_bytes <= rules.max_open_bytes:
                break
            group.reason = group.reason or Reason.FULL
            left_bytes -= group.size_bytes
            count -= 1

    # ------------------------------------------------------------------ parts with a wrong time

    def _set_aside(self, sender: Sender, part: Part, now_ns: int) -> list[Readout]:
        """Set a part with a wrong time aside; it may be the one that shows that the clocks were reset."""
        clocks = self._clocks
        if sender.state is not State.OFF:
            self._note_off(sender, part, now_ns)
        has_changed = clocks.take_off(sender, now_ns)
        self._count_astray(self._resets.set_aside(sender, part, now_ns))
        off = len(clocks.off)
        if off > clocks.live_count and (agreed := self._resets.agreeing(clocks.off, off + clocks.live_count)):
            return self._begin_epoch(agreed)
        if not has_changed:
            return []
        if clocks.front_ns is not None:
            self._groups.reach(clocks.front_ns, now_ns)
        self._groups.finish_whole(clocks.awaited, self._everyone)
        return self._leave()

    def _note_off(self, sender: Sender, part: Part, now_ns: int) -> None:
        expected_ns = self._clocks.front_ns
        if not self._clocks.live_count and sender.newest_ns is not None:
            expected_ns = sender.newest_ns + now_ns - sender.good_ns
        off_ns = part.time_ns - (expected_ns or 0)
        where = "ahead of" if off_ns > 0 else "behind"
        text = f"its time is wrong: {duration_text(abs(off_ns) / NS_PER_S)} {where} the others, or where it was"
        self._changes.append(Change(sender.slot, text))

    def _count_astray(self, parts: Iterable[tuple[Sender, Part]]) -> None:
        """Count parts that were set aside for too long."""
        front_ns = self._clocks.front_ns
        for sender, part in parts:
            if front_ns is not None and part.time_ns < front_ns:
                sender.late += 1
            else:
                sender.astray += 1

    def _begin_epoch(self, agreed: tuple[int, int]) -> list[Readout]:
        """Finish all groups, forget the old time, and take the parts that have the new one."""
        self._groups.finish_all(Reason.EPOCH)
        readouts = self._leave()
        self._groups.forget()
        self._clocks.forget()
        self._left_ns = None
        self.epoch += 1
        taken = self._resets.take(self.senders, agreed)
        self._changes.append(Change(None, f"the clocks were reset: epoch {self.epoch} begins"))
        for arrived_ns, part in taken:
            readouts += self._again(part, arrived_ns)
        return readouts

    def _again(self, part: Part, arrived_ns: int) -> list[Readout]:
        """Take a part that was set aside; one that does not fit in the new epoch either stays there."""
        sender = self.senders[part.slot]
        if self._clocks.is_good(sender, part.time_ns, arrived_ns):
            return self._take(sender, part, arrived_ns)
        self._clocks.take_off(sender, arrived_ns)
        self._count_astray(self._resets.set_aside(sender, part, arrived_ns))
        return []

    # ------------------------------------------------------------------ time, and leaving

    def _expire(self, now_ns: int) -> None:
        """Await nothing of senders that are absent by now."""
        for sender in self._clocks.expire(now_ns):
            silent = duration_text((now_ns - sender.heard_ns) / NS_PER_S)
            self._changes.append(Change(sender.slot, f"is absent: nothing came for {silent}"))
            self._count_astray(self._resets.drop_of(sender))
        if self._clocks.front_ns is not None:
            self._groups.reach(self._clocks.front_ns, now_ns)
            if self.rules.span_ns is not None:
                self._groups.finish_older(self._clocks.front_ns - self.rules.span_ns)
        self._groups.finish_whole(self._clocks.awaited, self._everyone)

    def _leave(self) -> list[Readout]:
        groups = self._groups.in_order
        if not groups or (self.rules.ordered and groups[0].reason is None):
            return []
        return [self._readout(group) for group in self._groups.leave()]

    def _readout(self, group: Group) -> Readout:
        """Count a group that leaves, and return it as a readout."""
        reason = group.reason or Reason.STOP
        self.by_reason[reason] += 1
        self.waits_ns.append(self._now_ns - group.opened_ns)
        if self._left_ns is None or group.at_ns > self._left_ns:
            self._left_ns = group.at_ns
        for slot, count in group.counts():
            self.senders[slot].in_readouts += count
        slots, rows = group.rows()
        if len(slots) < len(self.used):
            for slot in self.used.difference(slots):
                self.senders[slot].missing += 1
        return self._numbered(group.time_ns, group.received_ns, slots, rows, reason)

    def _numbered(
        self, time_ns: int, received_ns: int, slots: list[int], rows: list[bytes], reason: Reason, *, late: bool = False
    ) -> Readout:
        number = self.next_number
        self.next_number += 1
        self.readouts += 1
        return Readout(number, self.epoch, time_ns, received_ns, slots, rows, reason, late)
