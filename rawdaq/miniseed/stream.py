"""The records of one stream: what waits to become some, and when it is enough."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from rawdaq.miniseed.encodings import NO_PLAN, Plan, can_exceed, right_count
from rawdaq.miniseed.format import RecordFormat, RecordRun
from rawdaq.miniseed.packer import FLOAT32, FLOAT64, INT32, STEIM2, Packer
from rawdaq.miniseed.patch import MAX_SEQUENCE
from rawdaq.miniseed.pending import SampleRun
from rawdaq.miniseed.series import PlainSeries, RecordSeries, Steim2Series, is_compiled, steim2_record
from rawdaq.packet import Packet, PacketRun, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import MAX_YEAR, MIN_YEAR, NS_PER_S, from_calendar

_log = logging.getLogger("rawdaq.miniseed")

#: What a record can carry, within what libmseed converts without losing it.
_MIN_RATE_HZ, _MAX_RATE_HZ = 1e-9, 1e9
_MIN_NS, _MAX_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 0, 0, 0)
_STEP_NS = 1000  # miniSEED 2 has microseconds
_Quick = Callable[[Samples, int, bool], RecordSeries]
_SERIES: Mapping[int, type[PlainSeries] | type[Steim2Series]] = {
    STEIM2: Steim2Series,
    INT32: PlainSeries,
    FLOAT32: PlainSeries,
    FLOAT64: PlainSeries,
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
    """Whether a record can say the rate and the times of *packet*."""
    if not (_MIN_RATE_HZ <= packet.rate_hz <= _MAX_RATE_HZ and _MIN_NS <= packet.start_ns):
        return False
    return packet.start_ns + packet.samples.size * NS_PER_S / packet.rate_hz <= _MAX_NS


class StreamRecords:
    """Makes the records of one stream."""

    def __init__(self, record_format: RecordFormat, stream: StreamId) -> None:
        self.counts = RecordCounts()
        self._stream = stream
        self._length_bytes = record_format.length_bytes
        self._packer = Packer(record_format, stream)
        self._plan = NO_PLAN
        self._run = SampleRun(self._plan.dtype, 1.0)
        self._least = 1  # samples that can fill a record
        self._usual = 1  # samples that filled the last one
        self._try_at = 1  # samples with which the next attempt is worth its cost
        self._limit = _MAX_SERIES
        self._quick: _Quick | None = None
        self._header: bytes | None = None  # of records of STEIM2 that are made one by one

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest sample that waits had arrived."""
        return self._run.arrived_ns if self._run.size else None

    @property
    def waiting(self) -> int:
        """How many samples wait."""
        return self._run.size

    def add(self, packet: Packet | PacketRun, plan: Plan, now_ns: int, out: list[RecordRun]) -> None:
        """Append *packet*; when it does not continue what waits, that becomes records first."""
        samples = packet.samples
        if not samples.size:
            return
        run = self._run
        if (
            plan is not self._plan
            or packet.rate_hz != run.rate_hz
            or not run.continues(packet.start_ns, self._usual)
            or not (run.size or _is_possible(packet))
        ):
            self.close(out)
            if not _is_possible(packet):
                return self._refuse(samples.size, f"{packet.rate_hz} Hz from {packet.start_ns} ns on")
            run = self._begin(plan, packet.rate_hz)
        run.append(samples, packet.start_ns, packet.timing_quality, now_ns)

    def _begin(self, plan: Plan, rate_hz: float) -> SampleRun:
        self._plan = plan
        self._run = SampleRun(plan.dtype, rate_hz)
        self._packer.set_run(plan.letter, rate_hz)
        series_type = _SERIES.get(plan.codes[0]) if is_compiled() else None
        header = self._packer.series_header(plan.codes[0]) if series_type else None
        self._quick = partial(series_type, header, self._length_bytes) if series_type and header else None
        self._header = header if series_type is Steim2Series else None
        # No encoding fills a record with less than one sample in every word that is not header.
        self._least = max(1, (self._length_bytes - 128) // self._run.samples.itemsize)
        self._usual = self._try_at = self._least
        return self._run

    def has_full(self, count: int) -> bool:
        """Whether about *count* records are full."""
        return self._run.size >= count * self._usual

    def take(self, out: list[RecordRun]) -> None:
        """Make the records that are full by now."""
        if self._run.size >= self._try_at:
            self._make(out, is_closing=False)

    def close(self, out: list[RecordRun]) -> None:
        """Make records of all that waits, the last one perhaps not full."""
        if self._run.size:
            self._make(out, is_closing=True)

    def _make(self, out: list[RecordRun], is_closing: bool) -> None:
        if self._run.next_ns > _MAX_NS:  # one possible packet after the other has led there
            return self._drop_run(f"{self._run.rate_hz} Hz from {self._run.start_ns} ns on")
        samples, done, is_pinned, needs_check = self._run.samples, 0, False, False
        codes = self._plan.codes[1:] if self._quick else self._plan.codes
        while samples.size - done >= (1 if is_closing else self._try_at):
            made = self._quickly(samples[done:], is_closing, out)
            if not made and not is_pinned:
                self._packer.pin(samples)
                is_pinned, needs_check = True, can_exceed(self._plan.codes[0], samples)
            for code in codes:
                # The record at hand alone falls back; what follows is tried in the wanted encoding again.
                made = made or self._series(samples[done:], done, code, needs_check, is_closing, out)
            if not made:
                self._drop_run(self._packer.why_not())
                break
            done += made
        if is_pinned:
            self._packer.unpin()

    def _quickly(self, samples: Samples, is_closing: bool, out: list[RecordRun]) -> int:
        """Make records of *samples*, all that wait, the quick way.

        Returns:
            How many samples are dealt with: in records, or, at the end, waiting for more. 0: the next one cannot be
            made so.
        """
        if self._header is not None and samples.size < 2 * self._usual:
            return self._single(self._header, samples, is_closing, out)
        return self._quick_series(self._quick, samples, is_closing, out) if self._quick else 0

    def _single(self, header: bytes, samples: Samples, is_closing: bool, out: list[RecordRun]) -> int:
        """Make one record of *samples*."""
        run = self._run
        start_ns, quality = run.start_ns, run.timing_quality
        data, count = steim2_record(header, self._length_bytes, samples, is_closing, self._sequence, quality, start_ns)
        if count < 0:
            return 0
        if not count:
            self._learn([], samples.size)
            return samples.size
        out.append(RecordRun(self._stream, [start_ns], [count], run.rate_hz, data))
        self._count([count], is_fallback=False)
        self._learn([count], 0)
        return count

    def _quick_series(self, quick: _Quick, samples: Samples, is_closing: bool, out: list[RecordRun]) -> int:
        """Make as many records as there are."""
        run, series = self._run, quick(samples, _MAX_SERIES, is_closing)
        counts, first = series.counts, 0
        while first < len(counts):
            sequence, quality = self._sequence, run.timing_quality
            starts_ns = run.starts_ns(counts[first:], _STEP_NS)
            end = first + len(starts_ns)
            data = series.finished(first, starts_ns, sequence, quality)
            out.append(RecordRun(self._stream, starts_ns, counts[first:end], run.rate_hz, data))
            self._count(counts[first:end], is_fallback=False)
            first = end
        waiting = 0 if series.is_stuck or series.is_full else samples.size - sum(counts)
        self._learn(counts, waiting)
        return sum(counts) + waiting

    def _series(
        self, samples: Samples, first: int, code: int, needs_check: bool, is_closing: bool, out: list[RecordRun]
    ) -> int:
        """Make the records of *samples*, from *first* of what is pinned on, that one call of libmseed makes right.

        Returns:
            How many samples are dealt with: in records, or, at the end, waiting for more. 0: *code* cannot hold them.
        """
        run, packer = self._run, self._packer
        sequence = self._sequence
        is_fallback = code != self._plan.codes[0]
        quality = run.timing_quality
        packer.begin(first, code, run.start_ns, sequence, quality)
        try:
            records = packer.records(self._limit if packer.is_serial and not is_fallback else 1)
        finally:
            packer.end()
        counts = packer.sample_counts(records)
        starts_ns = run.starts_ns(counts, _STEP_NS)
        self._limit = 1 if len(starts_ns) < len(counts) else min(2 * self._limit, _MAX_SERIES)
        if needs_check:
            del starts_ns[right_count(code, samples, counts) :]
        if len(starts_ns) == len(counts) and sum(counts) == samples.size and not is_closing:
            # The last took all there was, so it may have room for more.
            starts_ns.pop()
            waiting = counts[-1]
        else:
            waiting = 0
        made = len(starts_ns)
        self._learn(counts[:made], waiting)
        if made:
            out.append(
                RecordRun(
                    self._stream,
                    starts_ns,
                    counts[:made],
                    run.rate_hz,
                    packer.finished(records[:made], sequence, quality),
                )
            )
            self._count(counts[:made], is_fallback)
        return sum(counts[:made]) + waiting

    def _learn(self, counts: list[int], waiting: int) -> None:
        """Decide when to try again, as so many samples are *waiting* that do not fill a record, behind some that do.

        An attempt costs as much as a record. The signal may have become lively: then less fills a record than before.
        """
        self._usual = max(self._least, counts[-1]) if counts else self._usual
        self._try_at = max(self._least, waiting * 9 // 8 + 1)

    @property
    def _sequence(self) -> int:
        """The number of the next record."""
        return self.counts.records % MAX_SEQUENCE + 1

    def _count(self, counts: list[int], is_fallback: bool) -> None:
        samples = sum(counts)
        self.counts.records += len(counts)
        self.counts.samples += samples
        self.counts.fallbacks += is_fallback
        self._run.drop(samples)

    def _drop_run(self, reason: str) -> None:
        self._refuse(self._run.size, reason)
        self._run.drop(self._run.size)

    def _refuse(self, count: int, reason: str) -> None:
        if not self.counts.refused:
            _log.error("%s: no record can carry these samples, counted as refused: %s", self._stream, reason)
        self.counts.refused += count
