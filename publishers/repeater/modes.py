"""Which frames an output sends: by their number and their time, never by how many came before.

``k`` is the number of a frame, counted from 0 or from the smallest number seen. So a lost frame shifts nothing after
it, outputs do not influence each other, and a source that begins again at 0 begins the pattern again.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rawdaq.times import NS_PER_S

#: Above this a block is a mistake.
MAX_BLOCK = 1_000_000_000


class Mode(StrEnum):
    """How frames are selected; each value is the word of configurations for it."""

    EVERY_NTH = "send_every_nth"  # one of each n
    EVERY_SEC = "send_every_sec"  # the first that arrives in each period
    EVERY_NTH_FRAME = "send_every_nth_frame"  # the first n of a block
    STRIDES = "strides"  # n, and not the next n


class Origin(StrEnum):
    """What frame numbers are counted from."""

    ZERO = "zero"
    FIRST = "first"  # the smallest number seen


class Rule(NamedTuple):
    """How an output selects.

    Attributes:
        mode: the mode.
        parameter: its number: frames, or seconds.
        block: the size of a block, for ``send_every_nth_frame``.
        origin: what frame numbers are counted from.
    """

    mode: Mode
    parameter: float
    block: int = 15
    origin: Origin = Origin.ZERO


def parameter_mistake(mode: Mode, parameter: float, block: int) -> str | None:
    """Return what would be right instead of *parameter*; None when it can be.

    >>> parameter_mistake(Mode.STRIDES, 0, 15)
    'is not a whole number of at least 1'
    """
    if mode is Mode.EVERY_SEC:
        is_right = math.isfinite(parameter) and parameter * NS_PER_S >= 1
        return None if is_right else "is not a number of seconds above 0"
    if not float(parameter).is_integer() or parameter < 1:
        return "is not a whole number of at least 1"
    if mode is Mode.EVERY_NTH_FRAME and parameter > block:
        return (
            f"is above frame_block {block}: the parameter frames of each block of frame_block frames are sent "
            "(the original had the two exchanged)"
        )
    return None


@dataclass(slots=True)
class _Stream:
    """What is remembered of one stream.

    Attributes:
        first: the smallest number seen.
        began_ns: when its first frame arrived.
        last_slot: the period of the last frame that was sent.
    """

    first: int
    began_ns: int
    last_slot: int = -1


class Selector:
    """Says of each frame of an output whether it is sent.

    >>> selector = Selector(Rule(Mode.EVERY_NTH, 2))
    >>> [frame for frame in range(5) if selector.wants(frame, 0)]
    [0, 2, 4]

    Args:
        rule: how; its parameter can be.
    """

    def __init__(self, rule: Rule) -> None:
        self._is_sent = _by_number(rule)
        self._period_ns = round(rule.parameter * NS_PER_S) if rule.mode is Mode.EVERY_SEC else None
        self._counts_from_first = rule.origin is Origin.FIRST
        self._streams: dict[object, _Stream] = {}

    def wants(self, frame: int, arrived_ns: int, stream: object = None) -> bool:
        """Return whether a frame is sent.

        Args:
            frame: its number in its stream.
            arrived_ns: when it arrived, by a clock that only runs forward.
            stream: the stream that it belongs to, each of which is selected by itself.
        """
        if self._period_ns is None and not self._counts_from_first:
            return self._is_sent(frame)
        known = self._streams.get(stream)
        if known is None:
            known = self._streams[stream] = _Stream(frame, arrived_ns)
        if self._period_ns is not None:
            now = (arrived_ns - known.began_ns) // self._period_ns
            if now <= known.last_slot:
                return False
            known.last_slot = now
            return True
        known.first = min(known.first, frame)
        return self._is_sent(frame - known.first)


def _by_number(rule: Rule) -> Callable[[int], bool]:
    """Return the function of a frame's number that *rule* means."""
    n, block = int(rule.parameter), rule.block
    if rule.mode is Mode.STRIDES:
        return lambda k: k // n % 2 == 0
    if rule.mode is Mode.EVERY_NTH_FRAME:
        return lambda k: k % block < n
    return lambda k: k % n == 0
