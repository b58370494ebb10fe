"""The records of one stream: what waits to become some, and when it is enough."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rawdaq.miniseed.encodings import ENCODING_NAMES, NO_PLAN, Plan, can_exceed, right_count, wanted_code
from rawdaq.miniseed.format import MAX_RATE_HZ, MIN_RATE_HZ, RecordFormat, RecordRun, flush_after_ns
from rawdaq.miniseed.packer import FLOAT32, FLOAT64, INT32, STEIM2, Packer
from rawdaq.miniseed.patch import MAX_SEQUENCE
from rawdaq.miniseed.pending import PendingSamples
from rawdaq.miniseed.series import Series, is_compiled, plain_series, stamp, steim2_series
from rawdaq.packet import Packet, PacketRun, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import MAX_YEAR, MIN_YEAR, NS_PER_S, from_calendar

_log = logging.getLogger("rawdaq.miniseed")

#: Times that a record can say.
_MIN_NS, _MAX_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 0, 0, 0)
_STEP_NS = 1000  # miniSEED 2 has microseconds
_MakeSeries = Callable[[int, int, Samples, int, bool], Series]
_SERIES: Mapping[int, _MakeSeries] = {
    STEIM2: steim2_series,
    INT32: plain_series,
    FLOAT32: plain_series,
    FLOAT64: plain_series,
}
_MAX_SERIES = 1 << 10  # records made in one go: what is made and not right is made again


@dataclass(slots=True)
class RecordCounts:
    """What was made of one stream.

    Attributes:
        records: records made.
        samples: samples in them.
        fallbacks: records that hold a step or a value for which the encoding has no room.
        refused: samples that no record can carry, for their rate or time; logged.
    """

    records: int = 0
    samples: int = 0
    fallbacks: int = 0
    refused: int = 0


def _is_possible(packet: Packet | PacketRun) -> bool:
    """Return whether a record can say the rate and the times of *packet*."""
    if not (MIN_RATE_HZ <= packet.rate_hz <= MAX_RATE_HZ and _MIN_NS <= packet.start_ns):
        return False
    return packet.start_ns + packet.size * NS_PER_S / packet.rate_hz <= _MAX_NS


class StreamRecords:
    """Makes the records of one stream.

    Attributes:
        counts: what was made so far.
        pending: the samples that wait.
        usual: samples that filled the last record.
        flush_after_ns: how long a sample may wait for its record to fill.
        try_at: samples with which the next attempt is worth its cost.
    """

    def __init__(self, record_format: RecordFormat, stream: StreamId) -> None:
        self.counts = RecordCounts()
        self.pending = PendingSamples(NO_PLAN.dtype, 1.0)
        self.usual = self.try_at = 1
        self.flush_after_ns = flush_after_ns(record_format, 1.0)
        self._stream, self._format = stream, record_format
        self._length_bytes = record_format.length_bytes
        self._packer = Packer(record_format, stream)
        self._plan: Plan = NO_PLAN
        self._has_logged_flags = False
        self._wanted = wanted_code(record_format.encoding)
        self._logged_codes: set[int] = set()
        self._least = 1  # samples that can fill a record
        self._limit = _MAX_SERIES
        self._make_series: _MakeSeries | None = None
        self._header = b""  # of records of a series

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest sample that waits had arrived."""
        return self.pending.arrived_ns if self.pending.size else None

    def add(self, packet: Packet | PacketRun, plan: Plan, now_ns: int, out: list[RecordRun]) -> None:
        """Append *packet*; when it does not continue what waits, that becomes records first."""
        pending = self.pending
        if pending.append(packet, now_ns, self.usual) or not packet.size:
            return
        is_alike = plan is self._plan and packet.rate_hz == pending.rate_hz and packet.marks == pending.marks
        if is_alike and packet.dtype != pending.taken:
            pending.taken = packet.dtype
            if pending.append(packet, now_ns, self.usual):
                return
        self.make(out, is_closing=True)
        if not _is_possible(packet):
            return self._refuse(packet.size, f"{packet.rate_hz} Hz from {packet.start_ns} ns on")
        if not is_alike:
            self._begin(plan, packet)
        # No encoding fills a record with less than one sample in every word that is not header.
        self._least = max(1, (self._length_bytes - 128) // self.pending.samples.itemsize)
        self.usual = self.try_at = self._least
        self.pending.append(packet, now_ns, self.usual)

    def _begin(self, plan: Plan, packet: Packet | PacketRun) -> None:
        """Let packets like *packet* wait from now on."""
        self._plan = plan
        self.pending = PendingSamples(plan.dtype, packet.rate_hz, packet.dtype, packet.marks)
        if not self._packer.set_run(plan.letter, packet.rate_hz, packet.marks):
            self._log_lost_flags()
        self.flush_after_ns = flush_after_ns(self._format, packet.rate_hz)
        self._log_other_encoding(plan)
        make = _SERIES.get(plan.codes[0]) if is_compiled() else None
        self._header = (self._packer.series_header(plan.codes[0]) if make else None) or b""
        self._make_series = make if self._header else None

    def _log_other_encoding(self, plan: Plan) -> None:
        """Log once when samples of this type are stored in another encoding than the one that was asked for."""
        if self._wanted is not None and plan.codes[0] != self._wanted and plan.codes[0] not in self._logged_codes:
            self._logged_codes.add(plan.codes[0])
            _log.warning(
                "%s: records are %s, not %s as asked for: it cannot hold %s samples",
                self._stream,
                ENCODING_NAMES[plan.codes[0]],
                ENCODING_NAMES[self._wanted],
                plan.dtype,
            )

    def _log_lost_flags(self) -> None:
        """Log once that records are too short for the flags of what they are made of."""
        if not self._has_logged_flags:
            self._has_logged_flags = True
            _log.warning(
                "%s: records of %d bytes have no room for all its flags, which are left out; make them longer",
                self._stream,
                self._length_bytes,
            )

    def _log_fallback(self, code: int) -> None:
        """Log once that a record holds steps or values for which the encoding has no room."""
        if not self.counts.fallbacks:
            _log.warning(
                "%s: a record is %s: some samples do not fit %s; such records are counted as fallbacks",
                self._stream,
                ENCODING_NAMES[code],
                ENCODING_NAMES[self._plan.codes[0]],
            )

    def make(self, out: list[RecordRun], is_closing: bool) -> None:
        """Append the records that are full by now to *out*; when *is_closing*, all that waits as records.

        The caller sees whether that is worth while: `try_at` samples wait, or any when *is_closing*.
        """
        pending = self.pending
        # One possible packet after the other may lead beyond the last year that records can say.
        if pending.start_ns + pending.size * pending.interval_ns > _MAX_NS:
            return self._drop(f"{pending.rate_hz} Hz from {pending.start_ns} ns on")
        samples, done, is_pinned = pending.samples, 0, False
        while samples.size - done >= (1 if is_closing else self.try_at):
            made = 0
            if self._make_series is not None:
                made = self._make_quickly(self._make_series, samples[done:], is_closing, out)
            if not made:
                if not is_pinned:
                    self._packer.pin(samples)
                    is_pinned = True
                made = self._make_slowly(samples, done, is_closing, out)
            if not made:
                self._drop(self._packer.why_not())
                break
            done += made
        if is_pinned:
            self._packer.unpin()

    def _make_quickly(self, make: _MakeSeries, samples: Samples, is_closing: bool, out: list[RecordRun]) -> int:
        """Make as many records of *samples*, all that wait, as there are.

        Returns:
            How many samples are dealt with: in records, or, at the end, waiting for more. 0: the next one cannot be
            made so.
        """
        table, counts, is_stuck = make(len(self._header), self._length_bytes, samples, _MAX_SERIES, is_closing)
        first, total, pending = 0, len(counts), self.pending
        while first < total:
            starts_ns = [pending.start_ns] if total == 1 else pending.starts_ns(counts[first:], _STEP_NS)
            end = first + len(starts_ns)
            sequence = self.counts.records % MAX_SEQUENCE + 1
            quality = pending.lowest_quality(counts[first]) if pending.is_mixed else pending.timing_quality
            data = stamp(table[first:end], self._header, starts_ns, counts[first:end], sequence, quality)
            self._add_run(starts_ns, counts[first:end], data, out)
            first = end
        done = sum(counts)
        waiting = 0 if is_stuck or total == len(table) else samples.size - done
        self._plan_next(counts, waiting)
        return done + waiting

    def _make_slowly(self, samples: Samples, first: int, is_closing: bool, out: list[RecordRun]) -> int:
        """Make records of pinned *samples* from *first* on by libmseed; return how many samples are dealt with.

        The record at hand alone falls back to another encoding; what follows is tried in the wanted one again.
        """
        needs_check = can_exceed(self._plan.codes[0], samples)
        for code in self._plan.codes[1:] if self._make_series else self._plan.codes:
            if made := self._pack(samples[first:], first, code, needs_check, is_closing, out):
                return made
        return 0

    def _pack(
        self, samples: Samples, first: int, code: int, needs_check: bool, is_closing: bool, out: list[RecordRun]
    ) -> int:
        """Make the records of *samples*, from *first* of what is pinned on, that one call of libmseed makes right.

        Returns:
            How many samples are dealt with: in records, or, at the end, waiting for more. 0: *code* cannot hold them.
        """
        pending, packer = self.pending, self._packer
        sequence, is_fallback = self.counts.records % MAX_SEQUENCE + 1, code != self._plan.codes[0]
        limit = self._limit if packer.is_serial and not is_fallback and not pending.is_mixed else 1
        quality = pending.lowest_quality(self.usual) if pending.is_mixed else pending.timing_quality
        records, counts = packer.pack(first, code, pending.start_ns, sequence, quality, limit)
        if pending.is_mixed and counts and quality != (lowest := pending.lowest_quality(counts[0])):
            quality = lowest  # how much the record holds is known only now
            records, counts = packer.pack(first, code, pending.start_ns, sequence, quality, limit)
        starts_ns = pending.starts_ns(counts, _STEP_NS)
        self._limit = 1 if len(starts_ns) < len(counts) else min(2 * self._limit, _MAX_SERIES)
        if needs_check:
            del starts_ns[right_count(code, samples, counts) :]
        waiting = 0
        if len(starts_ns) == len(counts) and sum(counts) == samples.size and not is_closing:
            starts_ns.pop()  # the last record took all there was, so it may have room for more
            waiting = counts[-1]
        made = len(starts_ns)
        self._plan_next(counts[:made], waiting)
        if made:
            data = packer.finished(records[:made], sequence, quality)
            self._add_run(starts_ns, counts[:made], data, out)
            if is_fallback:
                self._log_fallback(code)
                self.counts.fallbacks += 1
        return sum(counts[:made]) + waiting

    def _plan_next(self, counts: list[int], waiting: int) -> None:
        """Decide when to try again, as so many samples are *waiting* that do not fill a record, behind some that do.

        An attempt costs as much as a record. The signal may become livelier: then fewer samples fill a record.
        """
        if counts:
            self.usual = max(self._least, counts[-1])
            self.try_at = max(self._least, self.usual * 7 // 8, waiting * 9 // 8 + 1)
        else:
            self.try_at = max(self._least, waiting * 9 // 8 + 1)

    def _add_run(self, starts_ns: list[int], sample_counts: list[int], data: bytes, out: list[RecordRun]) -> None:
        """Add finished records to *out*; their samples wait no longer."""
        out.append(RecordRun(self._stream, starts_ns, sample_counts, self.pending.rate_hz, data))
        samples = sum(sample_counts)
        self.counts.records += len(sample_counts)
        self.counts.samples += samples
        self.pending.drop(samples)

    def _drop(self, reason: str) -> None:
        self._refuse(self.pending.size, reason)
        self.pending.drop(self.pending.size)

    def _refuse(self, count: int, reason: str) -> None:
        if not self.counts.refused:
            _log.error("%s: no record can carry these samples, counted as refused: %s", self._stream, reason)
        self.counts.refused += count
