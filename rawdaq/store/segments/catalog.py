"""All segments of a store in order, and what their indexes answer."""

import threading
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterable, Set
from typing import NamedTuple

from rawdaq.store.errors import StoreClosed, unavailable
from rawdaq.store.folder import Folder
from rawdaq.store.segments.segment import ENDLESS, Answer, Index, Segment, Shared, know_already
from rawdaq.store.values import Loss

_LOADED = 64  # segments whose files and indexes are open
_KNOWN_LOSSES = 10_000  # remembered, so that what several readers find is counted once


class End(NamedTuple):
    """Up to where a store may be read.

    Args:
        segment: the last one; None while nothing was written.
        offset: where the bytes behind its last entry begin.
        position: behind its last entry.
        next_position: what the next entry may have; above that when positions are burnt.
    """

    segment: Segment | None
    offset: int
    position: int
    next_position: int


class Losses:
    """Counts what was found to be lost, each entry once.

    Args:
        report: called with each loss when it is found first.

    Attributes:
        count: how many entries.
        by_stream: how many of each stream; "?" where the stream is not known.
    """

    def __init__(self, report: Callable[[Loss], None]) -> None:
        self.count = 0
        self.by_stream: Counter[str] = Counter()
        self._report = report
        self._known: OrderedDict[tuple[int, int, str | None], None] = OrderedDict()

    def add(self, loss: Loss) -> None:
        """Count *loss*, unless that was done before."""
        key = (loss.first, loss.last, loss.stream)
        if key in self._known:
            return
        self._known[key] = None
        if len(self._known) > _KNOWN_LOSSES:
            self._known.popitem(last=False)
        self.count += loss.entries
        self.by_stream["?" if loss.stream is None else loss.stream] += loss.entries
        self._report(loss)


class Catalog:
    """The segments of a store; they may be looked at by any thread while one thread adds and removes some.

    Args:
        folder: where they are.
        report: called with each loss that is found.

    Attributes:
        shared: what all segments share.
        segments: in order; never changed, only replaced.
        end: up to where they may be read.
        losses: what was found to be lost.
    """

    def __init__(self, folder: Folder, report: Callable[[Loss], None]) -> None:
        self.path = folder.path
        self.segments: tuple[Segment, ...] = ()
        self.end = End(None, 0, 0, ENDLESS)
        self.losses = Losses(report)
        self.shared = Shared(folder, self.losses.add)
        self._loads = 0
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def oldest_position(self) -> int:
        """The first position that is kept."""
        segments = self.segments
        return segments[0].first if segments else self.end.position

    def append(self, segment: Segment, previous_end: int | None = None) -> None:
        """Add the segment that follows; *previous_end* is where the one before ends, where that is known."""
        with self._lock:
            if self.segments:
                self.segments[-1].follow(segment, previous_end)
            self.segments = (*self.segments, segment)

    def remove_oldest(self) -> Segment:
        """Forget the oldest segment."""
        with self._lock:
            oldest, *kept = self.segments
            oldest.is_retired = True
            self.segments = tuple(kept)
            return oldest

    def locate(self, position: int) -> Segment:
        """Return the segment that holds *position*, or the oldest.

        Raises:
            StoreClosed: there are no segments any more.
        """
        self.check_open()
        segments = self.segments
        return segments[max(bisect_right(segments, position, key=lambda segment: segment.first) - 1, 0)]

    def locate_with(self, streams: Set[str], position: int) -> Segment:
        """Return the first segment, from the one that holds *position* on, with one of these streams, or the last.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        first = self.locate(position).first
        later = [segment for segment in self.segments[:-1] if segment.first >= first]
        answers = self.ask_each(lambda index: not streams.isdisjoint(index.streams()), later)
        return next((segment for segment, has_some in answers if has_some), self.segments[-1])

    def ask_each(
        self, question: Callable[[Index], Answer], segments: Iterable[Segment], since_ns: int | None = None
    ) -> Generator[tuple[Segment, Answer]]:
        """Give what the index of each of *segments* answers; hold no more of them open than is good.

        Args:
            question: what to ask.
            segments: in which order.
            since_ns: leave out those in which all ends before that.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        self.check_open()
        for segment in segments:
            try:
                if since_ns is not None and segment.largest_end_ns() < since_ns:
                    continue
                answer = segment.ask(question)
            except OSError as error:
                if not segment.is_retired:
                    raise unavailable(error, self.path) from error
                continue
            self.unload()
            yield segment, answer

    def ask_all(self, question: Callable[[Index], Answer]) -> list[Answer]:
        """Return what the indexes of all segments answer, but of those that were removed meanwhile.

        Raises:
            StoreUnavailable: the disk cannot be read.
        """
        answers = list(self.ask_each(question, self.segments))
        return [answer for segment, answer in answers if not segment.is_retired]

    def unload(self) -> None:
        """Let go what has not been used for the longest time, when more is open than is good."""
        if self.shared.loads == self._loads:
            return
        self._loads = self.shared.loads
        loaded = [segment for segment in self.segments if segment.is_loaded]
        if len(loaded) > _LOADED:
            loaded.sort(key=lambda segment: segment.last_used)
            for segment in loaded[: len(loaded) - _LOADED]:
                segment.unload()

    def reopened(self) -> None:
        """Hold no file; each is opened anew when it is used next."""
        for segment in self.segments:
            segment.forget_file()

    def close(self) -> None:
        """Hold no file any more."""
        self.reopened()
        self.shared.recheck = know_already
        self.segments, self.end, self._is_closed = (), End(None, 0, self.end.position, ENDLESS), True

    def check_open(self) -> None:
        """See that there is something to read.

        Raises:
            StoreClosed: there is not.
        """
        if self._is_closed:
            raise StoreClosed(f"the store in {self.path} is closed")
