"""Finds where several streams begin an event at about one time, in whatever order their onsets become known."""

from collections import deque
from dataclasses import dataclass

from rawdaq.config.trigger import CoincidenceSettings
from rawdaq.stream_id import StreamId
from rawdaq.streams.trigger.detector import Onset
from rawdaq.times import NS_PER_S

#: Onsets of a stream that wait for those of others, and coincidences that later onsets may be part of.
_KEPT = 16


@dataclass(frozen=True, slots=True)
class Together:
    """Onsets of different streams that are one event.

    Attributes:
        onsets: in order of time.
    """

    onsets: tuple[Onset, ...]

    @property
    def time_ns(self) -> int:
        """Of the first onset."""
        return self.onsets[0].time_ns


class Coincidence:
    """Makes one event of those of several streams.

    An onset is part of at most one event; one that becomes known later and is near enough to all of an event's onsets
    makes no second one.

    Args:
        settings: how many streams, and how near.
    """

    def __init__(self, settings: CoincidenceSettings) -> None:
        self._count = settings.count
        self._within_ns = round(settings.within_s * NS_PER_S)
        self._waiting: dict[StreamId, deque[Onset]] = {}
        self._found: deque[Together] = deque(maxlen=_KEPT)

    def add(self, onset: Onset) -> Together | None:
        """Return the event that *onset* completes, if it does."""
        if any(self._is_part(onset, found) for found in self._found):
            return None
        best = self._best(onset)
        if len(best) < self._count:
            self._waiting.setdefault(onset.stream, deque(maxlen=_KEPT)).append(onset)
            return None
        for each in best:
            if each is not onset:
                self._waiting[each.stream].remove(each)
        self._found.append(Together(tuple(best)))
        return self._found[-1]

    def _is_part(self, onset: Onset, found: Together) -> bool:
        first_ns, last_ns = found.onsets[0].time_ns, found.onsets[-1].time_ns
        return last_ns - self._within_ns <= onset.time_ns <= first_ns + self._within_ns

    def _best(self, onset: Onset) -> list[Onset]:
        """Return the onsets around *onset*, one of each stream and all near to each other, most streams first."""
        near = [onset]
        for stream, onsets in self._waiting.items():
            if stream != onset.stream:
                near += [each for each in onsets if abs(each.time_ns - onset.time_ns) <= self._within_ns]
        near.sort(key=lambda each: each.time_ns)
        best: list[Onset] = []
        for first in near:
            if first.time_ns > onset.time_ns:
                break
            end_ns = first.time_ns + self._within_ns
            window = {each.stream: each for each in reversed(near) if first.time_ns <= each.time_ns <= end_ns}
            if len(window) > len(best):
                best = sorted(window.values(), key=lambda each: each.time_ns)
        return best
