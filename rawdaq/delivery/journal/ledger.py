"""Which samples are delivered, where records are made of packets: a record may begin anywhere in one."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.stream import RecordCounts
from rawdaq.stream_id import StreamId


class Place(NamedTuple):
    """A sample in a journal.

    Attributes:
        position: of its entry.
        sample: its index in that.
    """

    position: int
    sample: int


class _Entered(NamedTuple):
    """Samples that became part of records, or will."""

    position: int
    sample: int  # of the first of them
    end: int  # how many samples of the stream there are up to the last of them


class _Stream:
    """The samples of one stream, in the order in which the record maker got them.

    Attributes:
        counts: what the maker has made of them.
        entered: what is not wholly done.
        begun: how many samples had entered before those of `entered`.
        total: how many have entered.
        done: how many are in delivered records, or refused.
        through: of each record that is made and not delivered, what `done` is when it is.
        made: how many samples are in records, the undelivered included, or refused.
        refused: how many of these were refused.
        rest: the place behind the last that has entered.
    """

    __slots__ = ("begun", "counts", "done", "entered", "made", "refused", "rest", "through", "total")

    def __init__(self, rest: Place) -> None:
        self.counts: RecordCounts | None = None
        self.entered: deque[_Entered] = deque()
        self.begun = self.total = self.done = self.made = self.refused = 0
        self.through: deque[int] = deque()
        self.rest = rest

    def take_refused(self) -> None:
        """Count what was refused since: it follows what is made last."""
        if self.counts is not None and self.counts.refused != self.refused:
            self.made += self.counts.refused - self.refused
            self.refused = self.counts.refused
            if self.through:
                self.through[-1] = self.made
            else:
                self.done = self.made

    def place(self) -> Place:
        """Return the place of the first sample that is not done; `rest` when all are."""
        self.take_refused()
        entered = self.entered
        while entered and entered[0].end <= self.done:
            self.begun = entered.popleft().end
        if not entered:
            return self.rest
        return Place(entered[0].position, entered[0].sample + self.done - self.begun)


class SampleLedger:
    """Knows of each stream the first sample that is not in a delivered record.

    Args:
        counts_of: returns what the record maker has made of a stream; None when it has not got any of it.
    """

    def __init__(self, counts_of: Callable[[StreamId], RecordCounts | None]) -> None:
        self._counts_of = counts_of
        self._streams: dict[StreamId, _Stream] = {}
        self._made = self._delivered = 0  # runs of records
        self._whole: deque[tuple[int, int]] = deque()  # positions, and `_delivered` when their records are delivered

    def begin(self, places: Mapping[StreamId, Place]) -> None:
        """Begin streams at *places*; the others begin where their first sample is."""
        self._streams = {stream: _Stream(place) for stream, place in places.items()}

    def enter(self, stream: StreamId, place: Place, size: int) -> None:
        """Note that the record maker has got *size* samples from *place* on; the rest of their entry is done."""
        behind = Place(place.position + 1, 0)
        line = self._line(stream, behind)
        line.total += size
        line.entered.append(_Entered(place.position, place.sample, line.total))
        line.rest = behind

    def enter_whole(self, position: int) -> None:
        """Note that of an entry of plain bytes, perhaps a whole record, all has been made that is made of it."""
        if self._delivered < self._made:
            self._whole.append((position, self._made))

    def made(self, runs: Sequence[RecordRun]) -> None:
        """Note that the record maker has made *runs*, before they are delivered."""
        self._made += len(runs)
        for run in runs:
            line = self._line(run.stream, Place(0, 0))
            line.made += sum(run.sample_counts)
            line.through.append(line.made)
        for stream in {run.stream for run in runs}:
            self._streams[stream].take_refused()

    def _line(self, stream: StreamId, rest: Place) -> _Stream:
        line = self._streams.get(stream)
        if line is None:
            line = self._streams[stream] = _Stream(rest)
        if line.counts is None:
            line.counts = self._counts_of(stream)
        return line

    def delivered(self, run: RecordRun) -> None:
        """Note that *run* is delivered; those of one stream are delivered in the order in which they were made."""
        line = self._streams[run.stream]
        line.done = line.through.popleft()
        self._delivered += 1
        while self._whole and self._whole[0][1] <= self._delivered:
            self._whole.popleft()

    def places(self) -> tuple[dict[StreamId, Place], int | None]:
        """Return the first sample of each stream that is not done, and the lowest position of one that waits."""
        places: dict[StreamId, Place] = {}
        lowest: int | None = self._whole[0][0] if self._whole else None
        for stream, line in self._streams.items():
            place = places[stream] = line.place()
            if line.entered and (lowest is None or place.position < lowest):
                lowest = place.position
        return places, lowest
