"""Parts with a wrong time: they are set aside until it shows whether one sender is wrong, or all clocks were reset."""

from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice, pairwise

from rawdaq.streams.assembly.senders import Aside, Sender
from rawdaq.streams.assembly.values import Part, Rules
from rawdaq.times import NS_PER_S

_MAX_PARTS = 1000  # of a sender
_KEPT_NS = 5 * NS_PER_S


class Resets:
    """What is set aside, and when it shows that the clocks were reset.

    Args:
        rules: of the assembly.

    Attributes:
        count: parts that are set aside.
        size_bytes: of these.
    """

    def __init__(self, rules: Rules) -> None:
        self.count = self.size_bytes = 0
        self._rules = rules
        self._order: deque[tuple[int, Sender]] = deque()  # when a part of whom was set aside; some are gone already

    def set_aside(self, sender: Sender, part: Part, now_ns: int) -> Iterator[tuple[Sender, Part]]:
        """Keep a part; yield those that have to go for it."""
        if len(sender.aside) >= _MAX_PARTS:
            yield sender, self._take_first(sender)
        sender.aside.append(Aside(now_ns, part))
        self._order.append((now_ns, sender))
        self.count += 1
        self.size_bytes += len(part.data)
        while self.size_bytes > self._rules.max_open_bytes and self._order:
            oldest = self._order.popleft()[1]
            if oldest.aside:
                yield oldest, self._take_first(oldest)

    def _take_first(self, sender: Sender) -> Part:
        part = sender.aside.popleft().part
        self.count -= 1
        self.size_bytes -= len(part.data)
        return part

    def expired(self, now_ns: int, off: Collection[Sender]) -> list[tuple[Sender, Part]]:
        """Return the parts that were set aside long ago, and have them no longer.

        A slow sender whose time is wrong now keeps the last ones: else it could never have enough of them.
        """
        found: list[tuple[Sender, Part]] = []
        order = self._order
        while order and now_ns - order[0][0] >= _KEPT_NS:
            sender = order.popleft()[1]
            kept = self._rules.reset_parts if sender in off else 0
            while len(sender.aside) > kept and now_ns - sender.aside[0].arrived_ns >= _KEPT_NS:
                found.append((sender, self._take_first(sender)))
        return found

    def look_again(self, sender: Sender, now_ns: int) -> None:
        """Let what was kept of *sender*, whose time is right again, expire like that of others."""
        if sender.aside:
            self._order.append((now_ns, sender))

    def clear(self, senders: Collection[Sender]) -> list[tuple[Sender, Part]]:
        """Return all parts, and have none any longer."""
        self._order.clear()
        return [(sender, self._take_first(sender)) for sender in senders for _ in range(len(sender.aside))]

    def drop_of(self, sender: Sender) -> list[tuple[Sender, Part]]:
        """Return the parts of *sender*, which is absent now, and have them no longer."""
        return [(sender, self._take_first(sender)) for _ in range(len(sender.aside))]

    @property
    def due_ns(self) -> int | None:
        """When `expired` has something to do; None: not at all."""
        return self._order[0][0] + _KEPT_NS if self._order else None

    def agreeing(self, off: Collection[Sender], heard: int) -> tuple[int, int] | None:
        """Return by what time the clocks were reset, if more than half of the senders that are *heard* say it.

        Each must have set aside enough parts, of which the last ones rise, and they must agree.

        Returns:
            The least and the largest difference of the senders' time and ours.
        """
        step_ns, needed = self._rules.step_ns, heard // 2 + 1
        offsets = sorted(offset for sender in off if (offset := self._offset(sender)) is not None)
        for low, high in zip(offsets, offsets[needed - 1 :], strict=False):
            if high - low <= step_ns:
                return low, max(offset for offset in offsets if offset - low <= step_ns)
        return None

    def _offset(self, sender: Sender) -> int | None:
        """Return the difference of a sender's last time and ours, if its last times rise."""
        count, aside = self._rules.reset_parts, sender.aside
        if len(aside) < count:
            return None
        last = [each.part.time_ns for each in islice(reversed(aside), count)]
        is_rising = all(later > earlier for later, earlier in pairwise(last))
        return last[0] - aside[-1].arrived_ns if is_rising else None

    def take(self, senders: Collection[Sender], agreed: tuple[int, int]) -> list[Aside]:
        """Return the parts of all senders whose time is *agreed*, in order of arrival, and have them no longer."""
        taken: list[Aside] = []
        for sender in senders:
            if sender.aside and self._agrees(sender.aside[-1], agreed):
                taken += self._take_last_run(sender)
        taken.sort(key=lambda each: each.arrived_ns)
        return taken

    def _agrees(self, aside: Aside, agreed: tuple[int, int]) -> bool:
        offset_ns, step_ns = aside.part.time_ns - aside.arrived_ns, self._rules.step_ns
        return agreed[1] - step_ns <= offset_ns <= agreed[0] + step_ns

    def _take_last_run(self, sender: Sender) -> list[Aside]:
        """Return the last parts of a sender that continue each other."""
        run = [sender.aside.pop()]
        step_ns = self._rules.step_ns
        while sender.aside:
            before, after = sender.aside[-1], run[-1]
            forward_ns = after.part.time_ns - before.part.time_ns
            if not -step_ns <= forward_ns <= after.arrived_ns - before.arrived_ns + step_ns:
                break
            run.append(sender.aside.pop())
        self.count -= len(run)
        self.size_bytes -= sum(len(each.part.data) for each in run)
        run.reverse()
        return run
