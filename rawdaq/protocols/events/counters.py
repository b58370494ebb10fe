"""Jumps of the counter that a device writes into each of its messages."""

from typing import NamedTuple


class Jump(NamedTuple):
    """How a counter goes on.

    Attributes:
        missed: how many messages are missing before this one.
        backwards: whether it is no higher than the one before: a message came late or twice, or the device began anew.
    """

    missed: int = 0
    backwards: bool = False


class Counter:
    """Follows the counter of one device, which begins anew after all its bits are used, and whenever the device does.

    >>> counter = Counter(8)
    >>> [counter.step(value) for value in (254, 255, 0, 3, 0)]
    [Jump(missed=0, backwards=False), Jump(missed=0, backwards=False), Jump(missed=0, backwards=False), \
Jump(missed=2, backwards=False), Jump(missed=0, backwards=False)]

    Args:
        bits: how many it has.

    Attributes:
        missed: in all.
        backwards: how many times it went back, to another number than 0.
    """

    def __init__(self, bits: int) -> None:
        self.missed = 0
        self.backwards = 0
        self._numbers = 1 << bits
        self._last: int | None = None
        self._before: int | None = None  # it went back

    def step(self, value: int) -> Jump:
        """Return how *value* follows the value before it."""
        last, self._last = self._last, value
        if last is None or value in (0, (last + 1) % self._numbers):
            return Jump()
        if self._before is not None and value == (self._before + 1) % self._numbers:
            self._before = None  # what came late is over
            return Jump()
        ahead = (value - last - 1) % self._numbers
        if value > last or ahead < self._numbers >> 4:  # or it passed the highest number meanwhile
            self.missed += ahead
            return Jump(ahead)
        self._before = last if self._before is None else max(last, self._before)
        self.backwards += 1
        return Jump(backwards=True)
