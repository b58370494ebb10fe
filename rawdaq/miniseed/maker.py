"""Packets in, miniSEED records out: streaming, aware of gaps, without a clock.

Each record has the start time and the sequence number that it deserves; see ``docs/decisions/records.md``.
"""

from collections.abc import Iterable

from rawdaq.miniseed.encodings import plans
from rawdaq.miniseed.format import Encoding, Record, RecordFormat, RecordRun, why_not
from rawdaq.miniseed.stream import RecordCounts, StreamRecords
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time

__all__ = ["Encoding", "Record", "RecordCounts", "RecordFormat", "RecordMaker", "RecordRun", "why_not"]

_ENOUGH = 1 << 8  # records of a stream that may be full before they are made: more would only take memory
_MAX_TOGETHER = 1 << 17  # samples of a run that are appended at once: what is copied is still in the cache when encoded


class RecordMaker:
    """Turns packets of any number of streams into records of one format.

    Packets that follow each other to half a sample interval fill records. A gap, an overlap, another rate or another
    type of samples closes the record at hand. A record begins at the time, and has the timing quality, of the packet
    in which its first sample lies.

    Args:
        record_format: what the records look like.

    Attributes:
        due_ns: when `flush_due` must be called at the latest, None when nothing waits; may be early, never late.
    """

    def __init__(self, record_format: RecordFormat) -> None:
        self.due_ns: int | None = None
        self._format = record_format
        self._plans = plans(record_format.encoding)
        self._streams: dict[StreamId, StreamRecords] = {}
        self._held: dict[StreamRecords, None] = {}

    @property
    def counts(self) -> dict[StreamId, RecordCounts]:
        """What was made of each stream so far."""
        return {stream: records.counts for stream, records in self._streams.items()}

    def waiting(self) -> list[tuple[StreamId, int, int, int]]:
        """Return of each stream whose samples wait for their record to fill: time of the first and the last, number."""
        waiting = [(stream, records.pending) for stream, records in self._streams.items() if records.pending.size]
        return [
            (stream, each.start_ns, sample_time(each.start_ns, each.size - 1, each.rate_hz), each.size)
            for stream, each in waiting
        ]

    def counts_of(self, stream: StreamId) -> RecordCounts | None:
        """Return what was made of *stream* so far, None when no packet of it came; it goes on counting."""
        records = self._streams.get(stream)
        return None if records is None else records.counts

    def add(self, packets: Iterable[Packet | PacketRun], now_ns: int, at_once: int = 1) -> list[RecordRun]:
        """Return the records that *packets* fill; per stream they are in the order of the samples.

        When ``flush_after_s`` of the format is 0, nothing waits: the last record of each stream may not be full.

        Args:
            packets: of streams for which `why_not` knows no reason.
            now_ns: the time at which they are added, for `due_ns`.
            at_once: when about so many records of a stream are full they are made; until then they are held, for
                `take`. Many made at once cost less than one by one.
        """
        made: list[RecordRun] = []
        touched, streams, plans_by_type = self._held, self._streams, self._plans
        enough = _ENOUGH if at_once == 1 else at_once
        for packet in packets:
            records = streams.get(packet.stream) or self._begin(packet.stream)
            touched[records] = None
            if isinstance(packet, PacketRun):
                self._add_parts(records, packet, now_ns, enough, made)
            elif not records.pending.append(packet, now_ns, records.usual):
                records.add(packet, plans_by_type[packet.dtype], now_ns, made)
        self._held = {}
        due_ns = self.due_ns
        for records in touched:
            size = records.pending.size
            if not records.flush_after_ns:
                records.make(made, is_closing=True)
            elif at_once == 1 or size >= at_once * records.usual:
                if size >= records.try_at:
                    records.make(made, is_closing=False)
            else:
                self._held[records] = None
            if records.pending.size and (due_ns is None or now_ns + records.flush_after_ns < due_ns):
                due_ns = now_ns + records.flush_after_ns
        self.due_ns = due_ns
        return made

    def _add_parts(
        self, records: StreamRecords, run: PacketRun, now_ns: int, enough: int, made: list[RecordRun]
    ) -> None:
        """Add *run* in pieces, so that what is copied is still in the cache when it is encoded."""
        plan, step = self._plans[run.dtype], max(1, _MAX_TOGETHER // run.samples.shape[1])
        for first in range(0, len(run), step):
            records.add(run if step >= len(run) else run[first : first + step], plan, now_ns, made)
            if records.pending.size >= enough * records.usual:
                records.make(made, is_closing=False)

    @property
    def is_holding(self) -> bool:
        """Whether records may be full that `take` would make."""
        return bool(self._held)

    def take(self) -> list[RecordRun]:
        """Return the records that are full, those that `add` held included."""
        made: list[RecordRun] = []
        for records in self._held:
            if records.pending.size >= records.try_at:
                records.make(made, is_closing=False)
        self._held = {}
        return made

    def _begin(self, stream: StreamId) -> StreamRecords:
        records = self._streams[stream] = StreamRecords(self._format, stream)
        return records

    def flush_due(self, now_ns: int) -> list[RecordRun]:
        """Return what waited for `RecordFormat.flush_after_s` by *now_ns*, as records that may not be full."""
        made: list[RecordRun] = []
        if self.due_ns is None or self.due_ns > now_ns:
            return made
        waiting: list[int] = []
        for records in self._streams.values():
            oldest_ns = records.oldest_ns
            if oldest_ns is not None and oldest_ns + records.flush_after_ns <= now_ns:
                records.make(made, is_closing=True)
            elif oldest_ns is not None:
                waiting.append(oldest_ns + records.flush_after_ns)
        self.due_ns = min(waiting, default=None)
        return made

    def flush(self) -> list[RecordRun]:
        """Return all that waits, as records that may not be full."""
        made: list[RecordRun] = []
        for records in self._streams.values():
            records.make(made, is_closing=True)
        self.due_ns = None
        return made
