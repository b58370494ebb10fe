"""Which viewers see which streams: memory from the first viewer on, each message made once for all who want it."""

import asyncio
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from rawdaq.control.machine.feed import MAX_PUBLISHERS, Feed
from rawdaq.control.machine.sources import Source
from rawdaq.control.web.live.track import ColumnsTrack, SamplesTrack, StreamMemory
from rawdaq.control.web.live.viewer import Viewer
from rawdaq.control.web.messages import LiveRequest, LiveTable
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

MAX_STREAMS = 3000  # of one viewer
MAX_STREAMS_IN_ALL = 6000

_TICK_S = 0.1
_LOOK_S = 1.0
_LINGER_S = 30.0  # after the last viewer: for one who comes back, or loads the page again


class Hub:
    """The live streams that somebody looks at.

    Args:
        sources: returns where each stream comes from; another mapping when something has changed.
        history_s: how much of the past is kept.
        log: where trouble with publishers is logged.
        clock: seconds that only run forward.
    """

    def __init__(
        self,
        sources: Callable[[], Mapping[StreamId, Source]],
        history_s: float,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._history_s, self._log, self._clock = sources, history_s, log, clock
        self._viewers: set[Viewer] = set()
        self._groups: dict[frozenset[int], list[Viewer]] | None = None
        self._memories: dict[StreamId, StreamMemory] = {}
        self._used_s: dict[StreamId, float] = {}
        self._changed: set[StreamMemory] = set()
        self._feeds: list[Feed] = []
        self._numbers = itertools.count()
        self._seen: Mapping[StreamId, Source] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._flushed_s = 0.0
        self._looking: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ viewers

    def show(self, viewer: Viewer, request: LiveRequest) -> None:
        """Let *viewer* see what *request* says: a table, the past, and what comes from now on."""
        self.flush()  # or what others get next would come twice: in the past, and then
        viewer.restart()
        viewer.request, viewer.numbers = request, {}
        self._viewers.add(viewer)
        self._update(viewer, is_new=True)
        self._read_wanted()
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="live streams")

    def forget(self, viewer: Viewer) -> None:
        """Let *viewer* go."""
        now_s = self._clock()
        for memory in map(self._memories.get, map(StreamId.parse, viewer.numbers)):
            if memory is not None:
                self._used_s[memory.stream] = now_s
        self._viewers.discard(viewer)
        self._groups = None

    def _update(self, viewer: Viewer, *, is_new: bool) -> None:
        """Give *viewer* another table if what it sees has changed, and the past of what it did not see before."""
        if viewer.request is None:
            return
        streams, left_out = self._selected(viewer.request)
        width_ms = viewer.request.column_ms
        tracks = {str(stream): self._track(self._memory(stream), width_ms) for stream in streams}
        numbers = {stream: track.about.i for stream, track in tracks.items()}
        missing = self._missing(viewer.request)
        if not is_new and (numbers, left_out, missing) == (viewer.numbers, viewer.left_out, viewer.missing):
            return
        fresh = [track for stream, track in tracks.items() if viewer.numbers.get(stream) != track.about.i]
        viewer.numbers, viewer.left_out, viewer.missing = numbers, left_out, missing
        self._groups = None
        entries = [track.about for track in tracks.values()]
        viewer.tell(LiveTable(streams=entries, missing=dict(missing), left_out=left_out))
        since_ns = time.time_ns() - round(viewer.request.window_s * NS_PER_S)
        for track in fresh:
            viewer.tell(track.past(since_ns))

    def _selected(self, request: LiveRequest) -> tuple[list[StreamId], int]:
        """Return the streams that *request* means and that can be shown, and how many more there are."""
        if not request.streams:
            return [], 0
        found = [
            stream
            for stream, source in self._seen_sources().items()
            if (stream in self._memories or (source.address is not None and source.rate_hz))
            and stream.matches(request.streams)
        ]
        room = MAX_STREAMS_IN_ALL - len(self._memories)
        shown: list[StreamId] = []
        for stream in found[:MAX_STREAMS]:
            is_known = stream in self._memories
            if is_known or room > 0:
                shown.append(stream)
                room -= not is_known
        return shown, len(found) - len(shown)

    def _missing(self, request: LiveRequest) -> dict[str, str]:
        """Return the components of which *request* means streams that cannot be shown, with the reason."""
        if not request.streams:
            return {}
        silent = {address for feed in self._feeds for address in feed.unanswered()}
        found: dict[str, str] = {}
        for stream, source in self._seen_sources().items():
            if source.component in found or not (source.address is None or source.address in silent):
                continue
            if stream.matches(request.streams):
                found[source.component] = source.reason or f"its live publisher {source.address} does not answer"
        return found

    def _seen_sources(self) -> Mapping[StreamId, Source]:
        return self._seen or self._sources()

    # ------------------------------------------------------------------ streams

    def _memory(self, stream: StreamId) -> StreamMemory:
        known = self._memories.get(stream)
        if known is None:
            source = self._seen_sources()[stream]
            known = StreamMemory(stream, source.rate_hz or 1.0, source.sample_type, self._history_s)
            self._memories[stream] = known
        return known

    def _track(self, memory: StreamMemory, asked_ms: float) -> SamplesTrack | ColumnsTrack:
        width_ms = memory.width_ms(asked_ms)
        known = memory.tracks.get(width_ms)
        return memory.track(width_ms, next(self._numbers)) if known is None else known

    def take(self, packet: Packet) -> None:
        """Remember *packet* if somebody looks at its stream."""
        memory = self._memories.get(packet.stream)
        if memory is None:
            return
        if not memory.fits(packet):
            memory = StreamMemory(packet.stream, packet.rate_hz, packet.sample_type, self._history_s)
            self._memories[packet.stream] = memory
            self._update_all()
        if memory.add(packet) and memory.tracks:
            self._changed.add(memory)
            if memory.is_urgent:
                self.flush()
            elif self._flushing is None:
                delay_s = max(0.0, self._flushed_s + _TICK_S - self._clock())
                self._flushing = asyncio.get_running_loop().call_later(delay_s, self.flush)

    def memory_of(self, stream: StreamId) -> StreamMemory | None:
        """Return the memory of *stream*; None while nobody looks at it."""
        return self._memories.get(stream)

    def flush(self) -> None:
        """Give viewers what has come since the last time."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        now_s = self._clock()
        span_s, self._flushed_s = now_s - self._flushed_s, now_s
        blocks = {
            track.about.i: taken
            for memory in self._changed
            if self._memories.get(memory.stream) is memory
            for track in memory.tracks.values()
            if (taken := track.take())
        }
        self._changed.clear()
        if blocks:
            for numbers, viewers in self._grouped().items():
                if message := b"".join([each for i, each in blocks.items() if i in numbers]):
                    for viewer in viewers:
                        viewer.offer(message, min(span_s, _LOOK_S))

    def _grouped(self) -> dict[frozenset[int], list[Viewer]]:
        """Return the viewers by what they see."""
        if self._groups is None:
            groups: defaultdict[frozenset[int], list[Viewer]] = defaultdict(list)
            for viewer in self._viewers:
                groups[frozenset(viewer.numbers.values())].append(viewer)
            self._groups = dict(groups)
        return self._groups

    # ------------------------------------------------------------------ looking after all that

    async def _look(self) -> None:
        """Follow what streams there are, and leave those at which nobody looks any more; end when there are none."""
        while self._viewers or self._memories:
            await asyncio.sleep(_LOOK_S)
            self.look()
        self._looking = None

    def look(self) -> None:
        """Do what is to be done once a second."""
        self._seen = self._sources()
        self.flush()
        self._update_all()
        self._leave_unused()
        self._read_wanted()

    def _update_all(self) -> None:
        for viewer in list(self._viewers):
            self._update(viewer, is_new=False)

    def _leave_unused(self) -> None:
        now_s = self._clock()
        used = {number for viewer in self._viewers for number in viewer.numbers.values()}
        for stream, memory in list(self._memories.items()):
            memory.tracks = {width: track for width, track in memory.tracks.items() if track.about.i in used}
            if memory.tracks:
                self._used_s[stream] = now_s
            elif now_s - self._used_s.setdefault(stream, now_s) >= _LINGER_S:
                del self._memories[stream], self._used_s[stream]

    def _read_wanted(self) -> None:
        """Let the feeds read the streams that have a memory."""
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        sources = self._seen_sources()
        for stream in self._memories:
            source = sources.get(stream)
            if source is not None and source.address is not None:
                wanted[source.address].add(str(stream))
        new = [address for address in wanted if not any(address in feed.wanted for feed in self._feeds)]
        for feed in self._feeds:
            mine = {address: wanted[address] for address in feed.wanted if address in wanted}
            room = MAX_PUBLISHERS - len(mine)
            taken, new = new[:room], new[room:]
            feed.set_wanted(mine | {address: wanted[address] for address in taken})
        while new:
            taken, new = new[:MAX_PUBLISHERS], new[MAX_PUBLISHERS:]
            feed = Feed(self.take, self._log)
            feed.set_wanted({address: wanted[address] for address in taken})
            self._feeds.append(feed)

    async def aclose(self) -> None:
        """Read nothing more."""
        if self._flushing is not None:
            self._flushing.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        for feed in self._feeds:
            await feed.aclose()
